//! The loop around a [`Shard`]: one thread that owns its connections and does their I/O.
//!
//! [`turn::run`] defines the order of a turn. New batches gather while the turn writes to sessions,
//! so throughput rises with load and latency stays bounded.

mod client_scan;
mod connection;
mod drain;
mod evictions;
mod login;
mod pacing;
mod requests;
mod shard_io;
mod timers;
mod transport;
mod writing;

use std::collections::VecDeque;
use std::hash::RandomState;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use tickwire_protocol::UnixNanos;

use crate::access::admission::client_prefix;
use crate::access::keys::Keys;
use crate::clock;
use crate::config::Config;
use crate::fanout::{Acks, CloseReason, LastTick, Limits, SessionId, Shard, turn};
use crate::serving::history_reader::HistoryReaderHandle;
use crate::serving::new_connection::{BareStream, NewConnection, PendingSession};
use crate::serving::session_protocol::SessionProtocol;
use crate::serving::shard_handle::{DiskReadReply, Inbox, ShardHandle, ShardId};
use crate::serving::shard_query::{QUERIES_MAX, ShardQuery};
use crate::serving::timeline::Timeline;
use crate::state::feeds::Feeds;
use crate::state::lifecycle::Lifecycle;
use crate::state::shard_waker::ShardWaker;
use crate::state::topic_registry::TopicRegistry;
use crate::state::views::Views;
use crate::websocket::{BudgetAccount, MessageBudget};
use client_scan::ClientScan;
use connection::{Connection, Stage};
use drain::Drain;
use evictions::Evictions;
use pacing::Pacing;
use transport::Transport;
use writing::CLOSE_TIME_MAX;

/// Longest sleep while ticks arrive that no session needs immediately.
const DOZE_MAX: Duration = Duration::from_millis(10);
/// Most events that one poll takes from the kernel.
const EVENTS_PER_POLL: usize = 1_024;
/// Token of the waker. The token of a connection is its slot.
const WAKER: Token = Token(usize::MAX);

/// Poll and waker of one shard, created before its thread so that the waker can be shared.
pub(crate) struct Prepared {
    poll: Poll,
    pub(crate) waker: Arc<ShardWaker>,
}

/// Creates the poll and the waker of a shard.
///
/// # Errors
/// Fails if the kernel cannot create an event queue.
pub(crate) fn prepare() -> io::Result<Prepared> {
    let poll = Poll::new()?;
    let waker = mio::Waker::new(poll.registry(), WAKER)?;
    Ok(Prepared { poll, waker: Arc::new(ShardWaker::new(waker)) })
}

/// Handles to the parts of the hub that every shard loop uses.
#[derive(Debug, Clone)]
pub(crate) struct ShardContext {
    pub(crate) config: Arc<Config>,
    pub(crate) epoch: Arc<str>,
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) topics: Arc<TopicRegistry>,
    pub(crate) views: Arc<Views>,
    pub(crate) keys: Arc<Keys>,
    /// Reads ticks that are no longer in memory; `None` without a log on disk.
    pub(crate) history: Option<Arc<HistoryReaderHandle>>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) message_budget: Arc<MessageBudget>,
    /// Makes the [`ClientId`](crate::fanout::ClientId) of a session: the same in all shards.
    pub(crate) client_hash: RandomState,
}

/// Arguments of [`spawn`]: the state that one shard starts with.
pub(crate) struct ShardStart {
    pub(crate) id: ShardId,
    pub(crate) prepared: Prepared,
    pub(crate) inbox: Inbox,
    /// The timeline whose log the shard reads.
    pub(crate) timeline: Arc<Timeline>,
    /// The last tick of each topic that has no tick in the log.
    pub(crate) last_before: Arc<[LastTick]>,
}

/// Starts the thread of a shard. The thread ends once the hub is stopping and all connections of
/// the shard have ended.
///
/// # Errors
/// Fails if the thread cannot be started.
pub(crate) fn spawn(
    start: ShardStart,
    context: ShardContext,
) -> io::Result<thread::JoinHandle<()>> {
    let ShardStart { id, prepared, inbox, timeline, last_before } = start;
    context.topics.add_shard((id.timeline, id.shard));
    let now = clock::monotonic();
    let limits = limits(&context, &timeline);
    let mut core = Shard::new(limits, timeline.log.start()).in_epoch(&context.epoch);
    last_before.iter().for_each(|last| core.restore(last.clone()));
    let task = ShardTask {
        core,
        poll: prepared.poll,
        events: Events::with_capacity(EVENTS_PER_POLL),
        evictions: Arc::new(Evictions::new(prepared.waker.clone())),
        waker: prepared.waker,
        inbox,
        new_connections: Vec::new(),
        answers: Vec::new(),
        queries: VecDeque::new(),
        disk_index_version: 0,
        connections: Vec::new(),
        turn_began: now,
        phase_began: now,
        phase_ends: now,
        client_scan: ClientScan::default(),
        id,
        handle: timeline.shards[id.shard].clone(),
        timeline,
        now,
        next_sweep: now,
        last_sweep: now,
        suspended: None,
        was_suspended: false,
        earliest_deadline: None,
        watchful: false,
        ticks_arrived: false,
        feeds_version: 0,
        closed_sessions: 0,
        pacing: Pacing::default(),
        drain: None,
        context,
    };
    thread::Builder::new().name(format!("shard-{id}")).spawn(move || task.run())
}

/// Returns the longest time from the start of a drain until the sessions of all shards have ended.
pub(crate) fn drain_time_max(config: &Config) -> Duration {
    config.drain_duration + config.slow_grace + CLOSE_TIME_MAX
}

fn limits(context: &ShardContext, timeline: &Timeline) -> Limits {
    let config = &context.config;
    let shards = timeline.shards.len();
    Limits {
        feeds: context.feeds.all().len(),
        subscriptions_per_session: config.subscriptions_per_session_max,
        subscriptions: config.subscriptions_max / shards,
        waiting_topics: config.waiting_topics_max,
        backlog_ticks: config.backlog_ticks_max,
        total_backlog_ticks: config.total_backlog_ticks_max as u64 / shards as u64,
        total_control_bytes: turn::SHARD_CONTROL_BYTES,
        backlog_age_ns: u64::try_from(config.backlog_age_max.as_nanos()).unwrap_or(u64::MAX),
        message_bytes: config.message_size_max.as_usize(),
        topics_per_piece: turn::TOPICS_PER_PIECE,
    }
}

struct ShardTask {
    core: Shard,
    poll: Poll,
    events: Events,
    waker: Arc<ShardWaker>,
    inbox: Inbox,
    new_connections: Vec<NewConnection>,
    answers: Vec<DiskReadReply>,
    queries: VecDeque<ShardQuery>,
    disk_index_version: u64,
    /// Connections, indexed by the slot of their session.
    connections: Vec<Option<Box<Connection>>>,
    evictions: Arc<Evictions>,
    client_scan: ClientScan,
    id: ShardId,
    handle: Arc<ShardHandle>,
    /// The timeline whose log the shard reads.
    timeline: Arc<Timeline>,
    /// Monotonic time of the turn; refreshed within a long round of writing.
    now: Instant,
    turn_began: Instant,
    phase_began: Instant,
    /// When the time of the current phase is used up; unused in phases without a time limit.
    phase_ends: Instant,
    next_sweep: Instant,
    /// When the deadlines and keep-alives of all connections were last checked.
    last_sweep: Instant,
    /// For how long the process was suspended before this turn, until the next sweep.
    suspended: Option<Duration>,
    /// Whether the last sweep was late because the process was suspended.
    was_suspended: bool,
    /// The earliest deadline of a connection that is ending or has to authenticate.
    earliest_deadline: Option<Instant>,
    /// Whether a session is blocked, so that the ages of backlogs are checked often.
    watchful: bool,
    /// Whether ticks have arrived since the shard last slept.
    ticks_arrived: bool,
    feeds_version: u64,
    /// [`Keys::closed_sessions`](crate::access::keys::Keys::closed_sessions) at the last check of
    /// all sessions.
    closed_sessions: u64,
    pacing: Pacing,
    /// Set once the hub drains. Every connection then gets a deadline.
    drain: Option<Drain>,
    context: ShardContext,
}

impl ShardTask {
    fn run(mut self) {
        turn::take_up_log(&mut self);
        self.next_sweep = clock::monotonic();
        self.suspended = None; // taking up a long log is no suspension
        self.handle.head.set(self.core.head().0);
        while !self.has_ended() {
            let timeout = self.time_to_sleep();
            let polled = self.poll.poll(&mut self.events, Some(timeout));
            self.waker.set_awake();
            if let Err(error) = polled
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, shard = %self.id, "cannot wait for events");
            }
            self.turn();
        }
    }

    /// Returns how long the shard may sleep, and sets the mode of its waker. During a rest, and
    /// while no session needs ticks immediately, new ticks do not wake the shard: the shard polls
    /// the log when it wakes up.
    fn time_to_sleep(&mut self) -> Duration {
        let rest = self.pacing.rest(clock::monotonic());
        let dozes = rest.is_some() || (self.ticks_arrived && !self.core.is_eager());
        self.ticks_arrived = false;
        if dozes {
            self.waker.set_dozing();
        } else {
            self.waker.set_asleep();
        }
        self.new_connections.extend(self.inbox.connections.try_iter());
        self.answers.extend(self.inbox.disk_reads.try_iter());
        let room = QUERIES_MAX - self.queries.len();
        self.queries.extend(self.inbox.queries.try_iter().take(room));
        match rest {
            Some(rest) => rest,
            None if self.has_work() => Duration::ZERO,
            None if dozes => self.until_timer().min(DOZE_MAX),
            None if self.is_behind() => Duration::ZERO,
            None => self.until_timer(),
        }
    }

    /// Returns whether the log holds batches that the shard has not applied.
    fn is_behind(&self) -> bool {
        self.core.head() != self.timeline.log.head()
    }

    fn has_ended(&self) -> bool {
        self.context.lifecycle.is_stopping() && self.core.sessions() == 0
    }

    fn has_work(&self) -> bool {
        self.core.has_ready()
            || self.core.has_unread()
            || self.core.has_pieces()
            || self.core.can_begin_disk_read()
            || !self.new_connections.is_empty()
            || !self.answers.is_empty()
            || !self.queries.is_empty()
            || self.client_scan.is_running()
            || !self.evictions.is_empty()
            || self.feeds_version != self.context.feeds.version()
            || self.closed_sessions != self.context.keys.closed_sessions()
            || (self.drain.is_none() && self.context.lifecycle.is_draining())
    }

    fn turn(&mut self) {
        turn::run(self);
        self.scan_clients();
        self.handle.head.set(self.core.head().0);
        let metrics = &self.handle.metrics;
        metrics.publish(&self.core.stats());
        metrics.sessions.set(self.core.sessions() as u64);
        metrics.turn_seconds.observe((clock::monotonic() - self.turn_began).as_secs_f64());
    }

    /// Returns the time on the wall clock of the timeline. The clock of a delayed timeline is
    /// shifted back by the delay.
    fn wall(&self) -> UnixNanos {
        self.timeline.shows_until(clock::wall())
    }

    fn get(&self, id: SessionId) -> Option<&Connection> {
        self.connections.get(id.0 as usize)?.as_deref()
    }

    fn connection(&mut self, id: SessionId) -> Option<&mut Connection> {
        self.connections.get_mut(id.0 as usize)?.as_deref_mut()
    }

    fn handle_events(&mut self) {
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            if event.token() == WAKER {
                continue;
            }
            let id = SessionId(u32::try_from(event.token().0).unwrap_or(u32::MAX));
            if self.connection(id).is_none() {
                continue; // closed earlier in this turn
            }
            if event.is_writable() {
                self.core.writable(id);
            }
            if event.is_readable() || event.is_error() {
                turn::read_session(self, id);
            }
        }
        self.events = events;
    }

    /// Opens a session for each connection that the HTTP layer has handed over.
    fn accept(&mut self) {
        for NewConnection { stream, pending } in std::mem::take(&mut self.new_connections) {
            let handshake = &pending.handshake;
            let id = self.core.open(handshake.feed, handshake.encoding);
            if handshake.protocol == SessionProtocol::Alpaca {
                self.core.set_acks(id, Acks::WholeSet);
                self.core.separate_corrections(id);
            }
            if let Err(error) = self.register(id, stream, pending) {
                tracing::debug!(%error, "a connection ended before its session began");
                self.core.close(id);
                self.handle.metrics.assigned.sub(1);
                continue;
            }
            self.send_welcome(id);
            if self.drain.is_some() {
                self.finish_session(id, CloseReason::Shutdown);
            }
            turn::read_session(self, id); // commands may have arrived with the handshake
        }
    }

    /// Registers a connection with the poll and stores it in the slot of its session.
    fn register(
        &mut self,
        id: SessionId,
        stream: BareStream,
        new: PendingSession,
    ) -> io::Result<()> {
        let mut transport = Transport::new(stream)?;
        let slot = id.0 as usize;
        transport.register(self.poll.registry(), Token(slot))?;
        let account = BudgetAccount::new(
            self.context.message_budget.clone(),
            client_prefix(new.handshake.peer),
            slot as u64,
            self.evictions.clone(),
        );
        let connection = Connection::new(transport, new, account, &self.context.config, self.now);
        if self.connections.len() <= slot {
            self.connections.resize_with(slot + 1, || None);
        }
        self.connections[slot] = Some(Box::new(connection));
        Ok(())
    }

    /// Reports changes in the states of feeds to the sessions of these feeds.
    fn report_feed_changes(&mut self) {
        let version = self.context.feeds.version();
        if version == self.feeds_version {
            return;
        }
        let changed = self.context.feeds.changed_since(self.feeds_version);
        self.feeds_version = version;
        for slot in 0..self.connections.len() {
            if let Some(connection) = &self.connections[slot]
                && connection.stage == Stage::Open
                && connection.receives_notices()
                && changed.contains(&(connection.handshake.feed, connection.feed_timeline))
            {
                let feed = self.context.feeds.get(connection.handshake.feed);
                let view = &connection.handshake.view;
                let element = feed.element(connection.feed_timeline, view, self.timeline.delay);
                let id = SessionId(u32::try_from(slot).unwrap_or(u32::MAX));
                self.core.control(id, &element);
            }
        }
    }
}
