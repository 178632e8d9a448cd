//! The router: the one thread that numbers ticks and appends them to the live log.
//!
//! In each turn it takes some queued messages, numbers their ticks, makes bars of the trades among
//! them, writes everything to the log on disk, appends it to the log in memory as one batch, and
//! acknowledges the messages.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tickwire_protocol::{Tick, UnixNanos};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use crate::access::keys::Keys;
use crate::bars::{BarMaker, TradesAhead};
use crate::clock;
use crate::durable::{DurableLog, Turn};
use crate::fanout::{FeedId, Fenced, Opened, PublisherToken, Sequencer};
use crate::ingest::message::{ForeignPublisher, Ingest, MessageNumber, Progress};
use crate::ingest::publisher_id::PublisherId;
use crate::log_rate_limit::LogRateLimit;
use crate::metrics::{HubMetrics, Refused};
use crate::state::feeds::Feeds;
use crate::state::shared_log::SharedLog;
use crate::state::topic_registry::TopicRegistry;

/// Maximum number of messages taken in one turn, so that the batch reaches the shards soon.
const MESSAGES_PER_TURN: usize = 64;
/// Ticks after which a turn takes no further message.
const TICKS_PER_TURN: usize = 8_192;

/// Pause between two turns while all shards doze. A larger batch gathers meanwhile, and no shard
/// gets it later for that.
const PAUSE: Duration = Duration::from_millis(1);

/// Warnings about trades ahead of the hub's clock: at most this many in [`AHEAD_WARNINGS_WINDOW`].
const AHEAD_WARNINGS_MAX: u32 = 5;
const AHEAD_WARNINGS_WINDOW: Duration = Duration::from_secs(60);

/// Handles to the parts of the hub that the router uses.
#[derive(Debug)]
pub(crate) struct RouterContext {
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) topics: Arc<TopicRegistry>,
    /// Knows which owners of publishers exist.
    pub(crate) keys: Arc<Keys>,
    /// The log that the router appends to.
    pub(crate) log: Arc<SharedLog>,
    pub(crate) metrics: Arc<HubMetrics>,
    /// Set while a minute bar is being made, so that the router needs [`Ingest::Clock`].
    pub(crate) minutes_open: Arc<AtomicBool>,
}

/// Starts the router's thread. It ends at [`Ingest::End`].
///
/// # Errors
/// Fails if the thread cannot be started.
pub(crate) fn spawn(
    sequencer: Sequencer,
    bars: Option<BarMaker>,
    durable: Option<DurableLog>,
    context: RouterContext,
    queue: mpsc::Receiver<Ingest>,
) -> std::io::Result<thread::JoinHandle<()>> {
    let router = Router {
        sequencer,
        bars,
        durable,
        context,
        sessions: HashMap::new(),
        without_bars: Vec::new(),
        acks: Vec::new(),
        permits: Vec::new(),
        ahead_warnings: LogRateLimit::new(AHEAD_WARNINGS_MAX, AHEAD_WARNINGS_WINDOW),
    };
    thread::Builder::new().name("router".to_owned()).spawn(move || router.run(queue))
}

struct Router {
    sequencer: Sequencer,
    /// Makes bars from trades; `None` if the hub makes no bars.
    bars: Option<BarMaker>,
    /// The log on disk, if there is one.
    durable: Option<DurableLog>,
    context: RouterContext,
    sessions: Sessions,
    /// Feeds for which no bars are made from this turn on.
    without_bars: Vec<FeedId>,
    /// Acknowledgements to send once the turn's batch is in the log.
    acks: Vec<Ack>,
    /// Permits of the turn's ticks. Dropping them, after the acknowledgements, lets publishers send
    /// more.
    permits: Vec<OwnedSemaphorePermit>,
    ahead_warnings: LogRateLimit,
}

/// The sessions of acknowledged publishers.
type Sessions = HashMap<PublisherToken, watch::Sender<Progress>>;

/// An acknowledgement to a publisher.
enum Ack {
    Opened(oneshot::Sender<Result<Opened, ForeignPublisher>>, Opened),
    Message { token: PublisherToken, number: u64, refused: usize },
    Done(oneshot::Sender<usize>, usize),
}

impl Ack {
    /// Sends the acknowledgement. The publisher may have left.
    fn send(self, sessions: &Sessions) {
        match self {
            Self::Opened(opened, answer) => _ = opened.send(Ok(answer)),
            Self::Done(done, refused) => _ = done.send(refused),
            Self::Message { token, number, refused } => {
                if let Some(session) = sessions.get(&token) {
                    session.send_modify(|progress| {
                        progress.up_to = number;
                        progress.refused += refused as u64;
                    });
                }
            }
        }
    }
}

impl Router {
    fn run(mut self, mut queue: mpsc::Receiver<Ingest>) {
        while let Some(message) = queue.blocking_recv() {
            let started = clock::monotonic();
            let mut ends = self.handle(message);
            let mut drained = false;
            for _ in 1..MESSAGES_PER_TURN {
                if ends || self.sequencer.pending() >= TICKS_PER_TURN {
                    break;
                }
                let Ok(message) = queue.try_recv() else {
                    drained = true;
                    break;
                };
                ends = self.handle(message);
            }
            self.end_turn();
            let took = clock::monotonic() - started;
            self.context.metrics.router_turn_seconds.observe(took.as_secs_f64());
            if ends {
                break;
            }
            if drained && self.context.log.all_shards_doze() {
                thread::sleep(PAUSE);
            }
        }
        if let Some(durable) = self.durable {
            durable.close();
        }
    }

    /// Handles a message. Returns whether it was [`Ingest::End`].
    fn handle(&mut self, message: Ingest) -> bool {
        match message {
            Ingest::Open { id, owner, progress, opened } => {
                self.open(&id, owner.as_deref(), progress, opened);
            }
            Ingest::Ticks { feed, ticks, lost, numbered, progress, done, permit } => {
                self.permits.push(permit);
                // Fenced: the newer session resends what was not acknowledged.
                let Ok(number) = self.advance(numbered) else { return false };
                self.context.feeds.get(feed).count_lost(lost);
                let refused = self.take_ticks(feed, ticks, number, done);
                if refused > 0 {
                    self.report_refused(refused as u64, progress);
                }
            }
            Ingest::Close { id, token } => {
                self.sequencer.close(id.as_str(), token);
                self.sessions.remove(&token);
            }
            Ingest::NoBars { feed } => {
                if self.bars.as_mut().is_some_and(|bars| bars.disable_bars(feed)) {
                    self.without_bars.push(feed);
                }
            }
            Ingest::Clock => {} // every turn ends with a look at the clock
            Ingest::End => return true,
        }
        false
    }

    /// Opens the session of an acknowledged publisher, and fences an older session of the same one.
    /// Refuses it if the id belongs to another owner.
    fn open(
        &mut self,
        id: &PublisherId,
        owner: Option<&str>,
        progress: watch::Sender<Progress>,
        opened: oneshot::Sender<Result<Opened, ForeignPublisher>>,
    ) {
        if opened.is_closed() {
            return; // the session ended while it waited
        }
        if let Some(legacy) = id.legacy_id() {
            self.sequencer.rename(legacy, id.as_str());
        }
        let keys = &self.context.keys;
        if !self.sequencer.may_use(id.as_str(), owner, |owner| keys.has_owner(owner)) {
            _ = opened.send(Err(ForeignPublisher));
            return;
        }
        let Some(answer) = self.sequencer.open(id.as_str()) else { return };
        self.sequencer.set_owner(id.as_str(), owner);
        if let Some(session) = answer.fenced.and_then(|token| self.sessions.remove(&token)) {
            session.send_modify(|progress| progress.fenced = true);
        }
        progress.send_modify(|progress| progress.up_to = answer.last);
        self.sessions.insert(answer.token, progress);
        self.acks.push(Ack::Opened(opened, answer));
    }

    fn report_refused(&self, refused: u64, progress: Option<watch::Sender<Progress>>) {
        self.context.metrics.refuse(Refused::TopicLimit, refused);
        if let Some(progress) = progress {
            progress.send_modify(|progress| progress.refused += refused);
        }
    }

    /// Registers the number of a message, if its publisher is acknowledged. Returns the number to
    /// acknowledge, and to whom.
    ///
    /// # Errors
    /// Fails if a newer session has replaced the publisher's session.
    fn advance(
        &mut self,
        numbered: Option<MessageNumber>,
    ) -> Result<Option<(PublisherToken, u64)>, Fenced> {
        let Some(MessageNumber { id, token, number, mark }) = numbered else { return Ok(None) };
        self.sequencer.advance(id.as_str(), token, number, mark)?;
        Ok(Some((token, number)))
    }

    /// Numbers ticks, and queues the acknowledgements. Returns how many ticks were refused.
    fn take_ticks(
        &mut self,
        feed: FeedId,
        ticks: Vec<Tick>,
        ack: Option<(PublisherToken, u64)>,
        done: Option<oneshot::Sender<usize>>,
    ) -> usize {
        let refused = self.sequencer.take(feed, ticks);
        self.acks.extend(ack.map(|(token, number)| Ack::Message { token, number, refused }));
        self.acks.extend(done.map(|done| Ack::Done(done, refused)));
        refused
    }

    /// Makes the bars of the turn, appends its batches and acknowledges its messages.
    fn end_turn(&mut self) {
        let mut more = true;
        while more {
            let now = clock::wall();
            self.count_taken(now);
            let before = self.sequencer.pending();
            more = self.make_bars(now);
            self.append(now, self.sequencer.pending() - before);
        }
        self.acknowledge();
    }

    /// Counts the ticks taken from publishers. Called before bars are added to them.
    fn count_taken(&self, now: UnixNanos) {
        let taken = self.sequencer.taken();
        self.context.metrics.ticks_in.add(taken.len() as u64);
        for run in taken.chunk_by(|a, b| a.feed == b.feed) {
            self.context.feeds.get(run[0].feed).count_ticks(run.len(), now);
        }
    }

    /// Numbers the bars that result from the turn's ticks and from the time. Returns whether more
    /// bars are due, which go into another batch.
    fn make_bars(&mut self, now: UnixNanos) -> bool {
        let Some(bars) = &mut self.bars else { return false };
        let mut made = Vec::new();
        // The receive time that the batch will have: a replay of its record makes the same bars.
        let now = now.max(self.sequencer.received());
        let more = bars.turn(self.sequencer.taken(), now, &mut made);
        let ahead = bars.take_ahead();
        let metrics = &self.context.metrics;
        metrics.bars.add(made.len() as u64);
        metrics.set_bars_skipped(bars.skipped());
        metrics.bars_kept_bytes.set(bars.kept_bytes() as u64);
        self.context.minutes_open.store(bars.has_open_minutes(), Ordering::Relaxed);
        for run in made.chunk_by(|a, b| a.0 == b.0) {
            let ticks = run.iter().map(|(_, tick)| tick.clone()).collect();
            let refused = self.sequencer.take(run[0].0, ticks);
            metrics.refuse(Refused::TopicLimit, refused as u64);
        }
        self.report_ahead(&ahead);
        more
    }

    /// Counts trades that were ahead of the hub's clock, and warns about them.
    fn report_ahead(&mut self, ahead: &[TradesAhead]) {
        for trades in ahead {
            let feed = self.context.feeds.get(trades.feed);
            feed.count_trades_ahead(trades.count);
            let Some(suppressed) = self.ahead_warnings.take(clock::monotonic()) else { continue };
            let TradesAhead { count, symbol, by, .. } = trades;
            tracing::warn!(
                feed = %feed.name, %symbol, ahead = ?by, trades = count, suppressed,
                "trades are ahead of this machine's clock: they do not advance their feed's clock \
                 (see bars_ahead_max)"
            );
        }
    }

    /// Appends the turn's ticks as one batch. The last `made` of them are bars made by the hub.
    fn append(&mut self, now: UnixNanos, made: usize) {
        let topics = self.sequencer.take_new_topics();
        if !topics.is_empty() {
            self.context.topics.add_ticked(&topics, now);
            self.context.metrics.topics.set(self.sequencer.topics() as u64);
        }
        let batch = self.sequencer.batch(now);
        if let Some(durable) = &mut self.durable {
            // Written before any shard or publisher learns of the turn.
            durable.append(&Turn {
                batch: batch.as_ref(),
                made,
                changes: &self.sequencer.take_changes(),
                without_bars: &self.without_bars,
                received: self.sequencer.received(),
            });
        }
        self.without_bars.clear();
        if let Some(batch) = batch {
            self.context.log.append(Arc::new(batch));
        }
    }

    /// Acknowledges the messages of the turn, and lets publishers send more: at once, or after the
    /// sync if the configuration says so (`fsync = "ack"`).
    fn acknowledge(&mut self) {
        if self.acks.is_empty() && self.permits.is_empty() {
            return;
        }
        let acks = self.acks.drain(..);
        match self.durable.as_ref().filter(|durable| durable.acks_wait_for_sync()) {
            None => {
                acks.for_each(|ack| ack.send(&self.sessions));
                self.permits.clear();
            }
            Some(durable) => {
                // The permits bound how many acknowledgements wait for the disk.
                let acks: Vec<_> = acks.collect();
                let permits = std::mem::take(&mut self.permits);
                let sessions = self.sessions.clone();
                durable.after_sync(Box::new(move || {
                    acks.into_iter().for_each(|ack| ack.send(&sessions));
                    drop(permits);
                }));
            }
        }
    }
}
