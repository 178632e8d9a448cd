//! The router: a thread that is the single writer of numbers and of the log.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tickwire_protocol::Tick;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use crate::clock;
use crate::fanout::{FeedId, Opened, PublisherToken, Sequencer};
use crate::metrics::Refused;
use crate::server::Shared;

/// What publishers hand to the router. The queue is bounded in messages, and in ticks by the permit
/// each message carries.
#[derive(Debug)]
pub(crate) enum Ingest {
    /// A publisher begins acknowledged publishing. No answer: too many publishers.
    Open { id: Arc<str>, progress: watch::Sender<Progress>, opened: oneshot::Sender<Opened> },
    /// Ticks of one feed.
    Ticks {
        feed: FeedId,
        ticks: Vec<Tick>,
        /// Present when the publisher is acknowledged.
        numbered: Option<MessageNumber>,
        /// Present when it is a session that is not acknowledged: where to tell of refused ticks.
        progress: Option<watch::Sender<Progress>>,
        /// Told how many of the ticks were refused, once the others are numbered.
        done: Option<oneshot::Sender<usize>>,
        permit: OwnedSemaphorePermit,
    },
    /// A publisher's session has ended.
    Close { id: Arc<str>, token: PublisherToken },
    /// Everything before it is numbered; the router may end.
    End,
}

/// Which message of which publisher.
#[derive(Debug)]
pub(crate) struct MessageNumber {
    pub(crate) id: Arc<str>,
    pub(crate) token: PublisherToken,
    pub(crate) number: u64,
    pub(crate) mark: Option<String>,
}

/// How far a publisher's session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    /// Number of the last message taken.
    pub(crate) upto: u64,
    /// Ticks refused because of the limit of topics.
    pub(crate) refused: u64,
    /// A newer session of the same publisher has taken over.
    pub(crate) fenced: bool,
}

/// Messages taken in one turn at the most, so that a batch reaches the shards soon.
const MESSAGES_PER_TURN: usize = 64;
/// Ticks taken in one turn, after which no further message is.
const TICKS_PER_TURN: usize = 8_192;

/// Pause between two turns while no shard waits for ticks.
const REST: Duration = Duration::from_millis(1);

/// Starts the router's thread. It ends at [`Ingest::End`].
///
/// # Errors
/// If the thread cannot be started.
pub(crate) fn spawn(
    sequencer: Sequencer,
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Ingest>,
) -> std::io::Result<thread::JoinHandle<()>> {
    let router = Router { sequencer, shared, sessions: HashMap::new(), acks: Vec::new() };
    thread::Builder::new().name("router".to_owned()).spawn(move || router.run(queue))
}

struct Router {
    sequencer: Sequencer,
    shared: Arc<Shared>,
    sessions: HashMap<PublisherToken, watch::Sender<Progress>>,
    /// What to tell publishers once the turn's batch is in the log.
    acks: Vec<Ack>,
}

enum Ack {
    Message { token: PublisherToken, number: u64, refused: usize },
    Done(oneshot::Sender<usize>, usize),
}

impl Router {
    fn run(mut self, mut queue: mpsc::Receiver<Ingest>) {
        let mut permits = Vec::new();
        while let Some(message) = queue.blocking_recv() {
            let began = clock::monotonic();
            let mut end = self.take(message, &mut permits);
            let mut drained = false;
            for _ in 1..MESSAGES_PER_TURN {
                if end || self.sequencer.pending() >= TICKS_PER_TURN {
                    break;
                }
                let Ok(message) = queue.try_recv() else {
                    drained = true;
                    break;
                };
                end = self.take(message, &mut permits);
            }
            self.end_turn();
            permits.clear(); // only now may publishers send more
            let took = clock::monotonic() - began;
            self.shared.metrics.router_turn_seconds.observe(took.as_secs_f64());
            if end {
                break;
            }
            if drained && self.shared.log.can_wait() {
                thread::sleep(REST); // no shard looks before: gather a larger batch for it
            }
        }
    }

    /// Says whether this was the end.
    fn take(&mut self, message: Ingest, permits: &mut Vec<OwnedSemaphorePermit>) -> bool {
        match message {
            Ingest::Open { id, progress, opened } => self.open(&id, progress, opened),
            Ingest::Ticks { feed, ticks, numbered, progress, done, permit } => {
                permits.push(permit);
                let refused = self.take_ticks(feed, ticks, numbered, done);
                if refused > 0 {
                    self.tell_refused(refused as u64, progress);
                }
            }
            Ingest::Close { id, token } => {
                self.sequencer.close(&id, token);
                self.sessions.remove(&token);
            }
            Ingest::End => return true,
        }
        false
    }

    fn open(
        &mut self,
        id: &str,
        progress: watch::Sender<Progress>,
        opened: oneshot::Sender<Opened>,
    ) {
        let Some(answer) = self.sequencer.open(id) else { return };
        if let Some(session) = answer.fenced.and_then(|token| self.sessions.remove(&token)) {
            session.send_modify(|progress| progress.fenced = true);
        }
        progress.send_modify(|progress| progress.upto = answer.last);
        self.sessions.insert(answer.token, progress);
        let token = answer.token;
        if opened.send(answer).is_err() {
            self.sequencer.close(id, token); // the session ended while it waited
            self.sessions.remove(&token);
        }
    }

    fn tell_refused(&self, refused: u64, progress: Option<watch::Sender<Progress>>) {
        self.shared.metrics.refuse(Refused::TopicLimit, refused);
        if let Some(progress) = progress {
            progress.send_modify(|progress| progress.refused += refused);
        }
    }

    /// Says how many of the ticks were refused.
    fn take_ticks(
        &mut self,
        feed: FeedId,
        ticks: Vec<Tick>,
        numbered: Option<MessageNumber>,
        done: Option<oneshot::Sender<usize>>,
    ) -> usize {
        let ack = match numbered {
            None => None,
            Some(MessageNumber { id, token, number, mark }) => {
                if self.sequencer.advance(&id, token, number, mark).is_err() {
                    return 0; // fenced: the newer session sends it again if it was not taken
                }
                Some((token, number))
            }
        };
        let refused = self.sequencer.take(feed, ticks);
        self.acks.extend(ack.map(|(token, number)| Ack::Message { token, number, refused }));
        self.acks.extend(done.map(|done| Ack::Done(done, refused)));
        refused
    }

    fn end_turn(&mut self) {
        let now = clock::wall();
        let topics = self.sequencer.take_new_topics();
        if !topics.is_empty() {
            self.shared.catalog.add(&topics);
            self.shared.metrics.topics.set(self.sequencer.topics() as u64);
        }
        if let Some(batch) = self.sequencer.batch(now) {
            self.shared.metrics.ticks_in.add(batch.ticks().len() as u64);
            let mut last = None;
            for numbered in batch.ticks() {
                if last != Some(numbered.feed) {
                    self.shared.feeds.get(numbered.feed).ticked(now);
                    last = Some(numbered.feed);
                }
            }
            self.shared.log.append(Arc::new(batch));
        }
        for ack in std::mem::take(&mut self.acks) {
            match ack {
                Ack::Message { token, number, refused } => {
                    if let Some(session) = self.sessions.get(&token) {
                        session.send_modify(|progress| {
                            progress.upto = number;
                            progress.refused += refused as u64;
                        });
                    }
                }
                Ack::Done(done, refused) => {
                    let _gone = done.send(refused); // who asked may have left
                }
            }
        }
    }
}
