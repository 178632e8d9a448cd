//! The loop around a [`Shard`]: one thread that owns its connections and does their I/O.
//!
//! The order of a turn is that of [`turn::run`]. While sessions are written, new batches gather, so
//! throughput rises with load and latency stays bounded.

mod connection;
mod drain;
mod login;
mod pacing;
mod requests;
mod shard_io;
mod timers;
mod transport;
mod writing;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use tickwire_protocol::UnixNanos;

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
pub use connection::Reader;
use connection::{Connection, Stage};
use drain::Drain;
use pacing::Pacing;
use transport::Transport;
use writing::CLOSE_TIME_MAX;

/// Longest sleep while ticks come that nobody wants at once.
const DOZE_MAX: Duration = Duration::from_millis(10);
/// Events taken from the kernel at once.
const EVENTS_AT_ONCE: usize = 1_024;
/// Token of the waker; connections have their slot.
const WAKER: Token = Token(usize::MAX);

/// One shard's poll, made before its thread so that its waker can be shared.
pub(crate) struct Prepared {
    poll: Poll,
    pub(crate) waker: Arc<ShardWaker>,
}

/// Makes a shard's poll and waker.
///
/// # Errors
/// If the kernel gives no event queue.
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
    pub(crate) keys: Arc<Keys>,
    /// Reads ticks that memory no longer holds; `None` without a log on disk.
    pub(crate) history: Option<Arc<HistoryReaderHandle>>,
    pub(crate) lifecycle: Arc<Lifecycle>,
}

/// What one shard starts with.
pub(crate) struct ShardStart {
    pub(crate) id: ShardId,
    pub(crate) prepared: Prepared,
    pub(crate) inbox: Inbox,
    /// The timeline that it follows.
    pub(crate) timeline: Arc<Timeline>,
    /// The last tick of each topic that has none in the log.
    pub(crate) last_before: Arc<[LastTick]>,
}

/// Starts a shard's thread. It ends once the hub is stopping and its connections have ended.
///
/// # Errors
/// If the thread cannot be started.
pub(crate) fn spawn(
    start: ShardStart,
    context: ShardContext,
) -> io::Result<thread::JoinHandle<()>> {
    let ShardStart { id, prepared, inbox, timeline, last_before } = start;
    let now = clock::monotonic();
    let limits = limits(&context, &timeline);
    let mut core = Shard::new(limits, timeline.log.start()).in_epoch(&context.epoch);
    last_before.iter().for_each(|last| core.restore(last.clone()));
    let task = ShardTask {
        core,
        poll: prepared.poll,
        events: Events::with_capacity(EVENTS_AT_ONCE),
        waker: prepared.waker,
        inbox,
        arrived: Vec::new(),
        answers: Vec::new(),
        queries: VecDeque::new(),
        disk_index_version: 0,
        connections: Vec::new(),
        turn_began: now,
        phase_began: now,
        phase_ends: now,
        id,
        handle: timeline.shards[id.shard].clone(),
        timeline,
        now,
        next_sweep: now,
        swept: now,
        earliest_deadline: None,
        watchful: false,
        ticks_came: false,
        feeds_version: 0,
        closed_sessions: 0,
        pacing: Pacing::default(),
        drain: None,
        context,
    };
    thread::Builder::new().name(format!("shard-{id}")).spawn(move || task.run())
}

/// How long the sessions of all shards take to end, from the beginning of a drain, at the most.
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
    }
}

struct ShardTask {
    core: Shard,
    poll: Poll,
    events: Events,
    waker: Arc<ShardWaker>,
    inbox: Inbox,
    arrived: Vec<NewConnection>,
    answers: Vec<DiskReadReply>,
    queries: VecDeque<ShardQuery>,
    disk_index_version: u64,
    /// By slot of the session.
    connections: Vec<Option<Box<Connection>>>,
    id: ShardId,
    handle: Arc<ShardHandle>,
    /// The timeline that it follows.
    timeline: Arc<Timeline>,
    /// The turn's monotonic time; read again amid a long round of writing.
    now: Instant,
    turn_began: Instant,
    phase_began: Instant,
    /// When the phase of the turn that is bounded by time has had its share.
    phase_ends: Instant,
    next_sweep: Instant,
    /// When all connections were looked at last.
    swept: Instant,
    /// The earliest deadline of a connection that is ending, or has to log in.
    earliest_deadline: Option<Instant>,
    /// Somebody is blocked: look at ages often.
    watchful: bool,
    /// There were ticks since it last slept.
    ticks_came: bool,
    feeds_version: u64,
    /// [`Keys::closed_sessions`](crate::access::keys::Keys::closed_sessions) at the last check of all sessions.
    closed_sessions: u64,
    pacing: Pacing,
    /// The hub goes away: every connection will have a deadline.
    drain: Option<Drain>,
    context: ShardContext,
}

impl ShardTask {
    fn run(mut self) {
        turn::take_up_log(&mut self);
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

    /// How long there is nothing to do. In a rest, and while nobody is in a hurry, ticks need not wake
    /// the shard: it will look.
    fn time_to_sleep(&mut self) -> Duration {
        let rest = self.pacing.rest(clock::monotonic());
        let dozes = rest.is_some() || (self.ticks_came && !self.core.is_eager());
        self.ticks_came = false;
        if dozes {
            self.waker.set_dozing();
        } else {
            self.waker.set_asleep();
        }
        self.arrived.extend(self.inbox.connections.try_iter());
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

    /// Whether there is something in the log that it has not seen.
    fn is_behind(&self) -> bool {
        self.core.head() != self.timeline.log.head()
    }

    fn has_ended(&self) -> bool {
        self.context.lifecycle.is_stopping() && self.core.sessions() == 0
    }

    fn has_work(&self) -> bool {
        self.core.has_ready()
            || self.core.has_unread()
            || !self.arrived.is_empty()
            || !self.answers.is_empty()
            || !self.queries.is_empty()
            || self.feeds_version != self.context.feeds.version()
            || self.closed_sessions != self.context.keys.closed_sessions()
            || (self.drain.is_none() && self.context.lifecycle.is_draining())
    }

    fn turn(&mut self) {
        turn::run(self);
        self.handle.head.set(self.core.head().0);
        let metrics = &self.handle.metrics;
        metrics.publish(&self.core.stats());
        metrics.sessions.set(self.core.sessions() as u64);
        metrics.turn_seconds.observe((clock::monotonic() - self.turn_began).as_secs_f64());
    }

    /// The time in its market: everything in a delayed one happens as if it were that time.
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

    /// Takes the connections that the HTTP front has handed over.
    fn accept(&mut self) {
        for NewConnection { stream, pending } in std::mem::take(&mut self.arrived) {
            let handshake = &pending.handshake;
            let id = self.core.open(handshake.feed, handshake.encoding);
            if handshake.protocol == SessionProtocol::Alpaca {
                self.core.set_acks(id, Acks::WholeSet);
            }
            if let Err(error) = self.adopt(id, stream, pending) {
                tracing::debug!(%error, "a connection ended before its session began");
                self.core.close(id);
                self.handle.metrics.assigned.sub(1);
                continue;
            }
            self.greet(id);
            if self.drain.is_some() {
                self.finish_session(id, CloseReason::Shutdown);
            }
            turn::read_session(self, id); // commands may have arrived with the handshake
        }
    }

    fn adopt(&mut self, id: SessionId, stream: BareStream, new: PendingSession) -> io::Result<()> {
        let mut transport = Transport::new(stream)?;
        let slot = id.0 as usize;
        transport.register(self.poll.registry(), Token(slot))?;
        let connection = Connection::new(transport, new, &self.context.config, self.now);
        if self.connections.len() <= slot {
            self.connections.resize_with(slot + 1, || None);
        }
        self.connections[slot] = Some(Box::new(connection));
        Ok(())
    }

    /// Tells sessions of feeds whose state has changed.
    fn follow_feeds(&mut self) {
        let version = self.context.feeds.version();
        if version == self.feeds_version {
            return;
        }
        let changed = self.context.feeds.changed_since(self.feeds_version);
        self.feeds_version = version;
        for slot in 0..self.connections.len() {
            if let Some(connection) = &self.connections[slot]
                && connection.stage == Stage::Open
                && connection.is_told_more()
                && changed.contains(&connection.handshake.feed)
            {
                let element = self.context.feeds.get(connection.handshake.feed).element();
                let id = SessionId(u32::try_from(slot).unwrap_or(u32::MAX));
                self.core.control(id, &element);
            }
        }
    }
}
