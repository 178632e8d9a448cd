//! The router: a thread that is the single writer of numbers and of the log.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tickwire_protocol::{Tick, UnixNanos};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use crate::bars::BarMaker;
use crate::clock;
use crate::durable::{DurableLog, Turn};
use crate::fanout::{FeedId, Fenced, Opened, PublisherToken, Sequencer};
use crate::ingest::message::{Ingest, MessageNumber, Progress};
use crate::ingest::publisher_id::PublisherId;
use crate::metrics::{HubMetrics, Refused};
use crate::state::feeds::Feeds;
use crate::state::shared_log::SharedLog;
use crate::state::topic_registry::TopicRegistry;

/// Messages taken in one turn at the most, so that a batch reaches the shards soon.
const MESSAGES_PER_TURN: usize = 64;
/// Ticks taken in one turn, after which no further message is.
const TICKS_PER_TURN: usize = 8_192;

/// Pause between two turns while no shard waits for ticks.
const REST: Duration = Duration::from_millis(1);

/// What the router shares with the rest of the hub.
#[derive(Debug)]
pub(crate) struct RouterContext {
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) topics: Arc<TopicRegistry>,
    /// The log that it appends to.
    pub(crate) log: Arc<SharedLog>,
    pub(crate) metrics: Arc<HubMetrics>,
    /// Set while a minute is open whose bar is still to come, so that the router needs the time.
    pub(crate) minutes_open: Arc<AtomicBool>,
}

/// Starts the router's thread. It ends at [`Ingest::End`].
///
/// # Errors
/// If the thread cannot be started.
pub(crate) fn spawn(
    sequencer: Sequencer,
    bars: Option<BarMaker>,
    durable: Option<DurableLog>,
    context: RouterContext,
    queue: mpsc::Receiver<Ingest>,
) -> std::io::Result<thread::JoinHandle<()>> {
    let (sessions, acks, permits) = (HashMap::new(), Vec::new(), Vec::new());
    let without_bars = Vec::new();
    let router =
        Router { sequencer, bars, durable, context, sessions, without_bars, acks, permits };
    thread::Builder::new().name("router".to_owned()).spawn(move || router.run(queue))
}

struct Router {
    sequencer: Sequencer,
    /// None where no bars are to be made.
    bars: Option<BarMaker>,
    /// None where there is to be no log on disk.
    durable: Option<DurableLog>,
    context: RouterContext,
    sessions: Sessions,
    /// Feeds of which no bars are made from this turn on.
    without_bars: Vec<FeedId>,
    /// What to tell publishers once the turn's batch is in the log.
    acks: Vec<Ack>,
    /// The room its ticks take, until publishers have been told.
    permits: Vec<OwnedSemaphorePermit>,
}

type Sessions = HashMap<PublisherToken, watch::Sender<Progress>>;

enum Ack {
    Opened(oneshot::Sender<Opened>, Opened),
    Message { token: PublisherToken, number: u64, refused: usize },
    Done(oneshot::Sender<usize>, usize),
}

impl Ack {
    /// Tells whom it concerns, who may have left.
    fn tell(self, sessions: &Sessions) {
        match self {
            Self::Opened(opened, answer) => _ = opened.send(answer),
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
            let began = clock::monotonic();
            let mut end = self.take(message);
            let mut drained = false;
            for _ in 1..MESSAGES_PER_TURN {
                if end || self.sequencer.pending() >= TICKS_PER_TURN {
                    break;
                }
                let Ok(message) = queue.try_recv() else {
                    drained = true;
                    break;
                };
                end = self.take(message);
            }
            self.end_turn();
            let took = clock::monotonic() - began;
            self.context.metrics.router_turn_seconds.observe(took.as_secs_f64());
            if end {
                break;
            }
            if drained && self.context.log.can_wait() {
                thread::sleep(REST); // no shard looks before: gather a larger batch for it
            }
        }
        if let Some(durable) = self.durable {
            durable.close();
        }
    }

    /// Says whether this was the end.
    fn take(&mut self, message: Ingest) -> bool {
        match message {
            Ingest::Open { id, progress, opened } => self.open(&id, progress, opened),
            Ingest::Ticks { feed, ticks, lost, numbered, progress, done, permit } => {
                self.permits.push(permit);
                // Fenced: the newer session sends it again if it was not taken.
                let Ok(number) = self.advance(numbered) else { return false };
                self.context.feeds.get(feed).lose(lost);
                let refused = self.take_ticks(feed, ticks, number, done);
                if refused > 0 {
                    self.tell_refused(refused as u64, progress);
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
            Ingest::Clock => {} // the end of every turn looks at the time
            Ingest::End => return true,
        }
        false
    }

    fn open(
        &mut self,
        id: &PublisherId,
        progress: watch::Sender<Progress>,
        opened: oneshot::Sender<Opened>,
    ) {
        if opened.is_closed() {
            return; // the session ended while it waited
        }
        if let Some(formerly) = id.formerly() {
            self.sequencer.rename(formerly, id.as_str());
        }
        let Some(answer) = self.sequencer.open(id.as_str()) else { return };
        if let Some(session) = answer.fenced.and_then(|token| self.sessions.remove(&token)) {
            session.send_modify(|progress| progress.fenced = true);
        }
        progress.send_modify(|progress| progress.up_to = answer.last);
        self.sessions.insert(answer.token, progress);
        self.acks.push(Ack::Opened(opened, answer));
    }

    fn tell_refused(&self, refused: u64, progress: Option<watch::Sender<Progress>>) {
        self.context.metrics.refuse(Refused::TopicLimit, refused);
        if let Some(progress) = progress {
            progress.send_modify(|progress| progress.refused += refused);
        }
    }

    /// Counts a message of an acknowledged publisher: whom to acknowledge which number.
    fn advance(
        &mut self,
        numbered: Option<MessageNumber>,
    ) -> Result<Option<(PublisherToken, u64)>, Fenced> {
        let Some(MessageNumber { id, token, number, mark }) = numbered else { return Ok(None) };
        self.sequencer.advance(id.as_str(), token, number, mark)?;
        Ok(Some((token, number)))
    }

    /// Says how many of the ticks were refused.
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

    fn end_turn(&mut self) {
        let mut more = true;
        while more {
            let now = clock::wall();
            self.note_taken(now);
            let before = self.sequencer.pending();
            more = self.make_bars(now);
            self.append(now, self.sequencer.pending() - before);
        }
        self.acknowledge();
    }

    /// Counts what publishers have sent, before bars are among it.
    fn note_taken(&self, now: UnixNanos) {
        let taken = self.sequencer.taken();
        self.context.metrics.ticks_in.add(taken.len() as u64);
        for run in taken.chunk_by(|a, b| a.feed == b.feed) {
            self.context.feeds.get(run[0].feed).ticked(run.len(), now);
        }
    }

    /// Numbers the bars that the ticks of this turn and the time lead to. Says whether more are due,
    /// which are for another batch.
    fn make_bars(&mut self, now: UnixNanos) -> bool {
        let Some(bars) = &mut self.bars else { return false };
        let mut made = Vec::new();
        let more = bars.turn(self.sequencer.taken(), now, &mut made);
        let metrics = &self.context.metrics;
        metrics.bars.add(made.len() as u64);
        metrics.bars_skipped(bars.skipped());
        metrics.bars_kept_bytes.set(bars.kept_bytes() as u64);
        self.context.minutes_open.store(bars.has_open_minutes(), Ordering::Relaxed);
        for run in made.chunk_by(|a, b| a.0 == b.0) {
            let ticks = run.iter().map(|(_, tick)| tick.clone()).collect();
            let refused = self.sequencer.take(run[0].0, ticks);
            metrics.refuse(Refused::TopicLimit, refused as u64);
        }
        more
    }

    /// Ends a batch, of whose ticks the last `made` are bars made here.
    fn append(&mut self, now: UnixNanos, made: usize) {
        let topics = self.sequencer.take_new_topics();
        if !topics.is_empty() {
            self.context.topics.add_ticked(&topics, now);
            self.context.metrics.topics.set(self.sequencer.topics() as u64);
        }
        let batch = self.sequencer.batch(now);
        if let Some(durable) = &mut self.durable {
            // Nobody hears of the turn before it is written.
            let (changes, received) = (self.sequencer.take_changes(), self.sequencer.received());
            let (batch, without_bars) = (batch.as_ref(), self.without_bars.as_slice());
            durable.append(&Turn { batch, made, changes: &changes, without_bars, received });
        }
        self.without_bars.clear();
        if let Some(batch) = batch {
            self.context.log.append(Arc::new(batch));
        }
    }

    /// Tells publishers how far they have come, and lets them send more: now, or once the turn is on the
    /// disk if they are to wait for that.
    fn acknowledge(&mut self) {
        if self.acks.is_empty() && self.permits.is_empty() {
            return; // what waits for the disk is bounded by what publishers may send
        }
        let acks = self.acks.drain(..);
        match self.durable.as_ref().filter(|durable| durable.acks_wait_for_sync()) {
            None => {
                acks.for_each(|ack| ack.tell(&self.sessions));
                self.permits.clear();
            }
            Some(durable) => {
                let (acks, permits) = (acks.collect::<Vec<_>>(), self.permits.split_off(0));
                let sessions = self.sessions.clone();
                durable.after_sync(Box::new(move || {
                    acks.into_iter().for_each(|ack| ack.tell(&sessions));
                    drop(permits);
                }));
            }
        }
    }
}
