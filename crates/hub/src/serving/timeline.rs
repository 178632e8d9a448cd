//! A log and the shards that follow it: the live market, or the same some time later.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use tickwire_protocol::UnixNanos;
use tokio::sync::oneshot;

use crate::fanout::{DISK_READS_MAX, Log};
use crate::metrics::{Cell, ShardMetrics};
use crate::serving::history_reader::Answer;
use crate::serving::shard_loop::{Inbox, NewConnection, Prepared};
use crate::serving::shard_query::{NoAnswer, QUERIES_MAX, ShardQuery};
use crate::state::shared_log::{ShardWaker, SharedLog};

/// What the sessions of some views follow. The first market of a hub is live: its log is the router's.
#[derive(Debug)]
pub(crate) struct Timeline {
    pub(crate) log: SharedLog,
    /// How much later than the live market its ticks come, by their receive time.
    pub(crate) delay: Duration,
    pub(crate) shards: Vec<ShardHandle>,
    /// Ticks that were not to be had any more when they were due.
    pub(crate) lost: Cell,
}

/// The way to one shard.
#[derive(Debug)]
pub(crate) struct ShardHandle {
    pub(crate) inbox: SyncSender<NewConnection>,
    /// Old ticks it has asked for.
    pub(crate) older: SyncSender<Answer>,
    /// Queries of the HTTP API.
    queries: SyncSender<ShardQuery>,
    pub(crate) waker: Arc<ShardWaker>,
    pub(crate) metrics: ShardMetrics,
    /// Position behind the last tick it has dealt with.
    pub(crate) head: Cell,
}

/// Which shard of the hub: its market, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShardId {
    pub(crate) market: usize,
    pub(crate) shard: usize,
}

/// Connections handed over to a shard and not yet taken, at the most.
const INBOX_MAX: usize = 4_096;
/// How long a shard may take to answer a query.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

impl Timeline {
    /// A market of these shards, and what will come to them.
    pub(crate) fn new(log: Log, delay: Duration, prepared: &[Prepared]) -> (Self, Vec<Inbox>) {
        let (mut shards, mut inboxes) = (Vec::new(), Vec::new());
        for prepared in prepared {
            let (inbox, connections) = sync_channel(INBOX_MAX);
            let (older, answers) = sync_channel(DISK_READS_MAX);
            let (queries, asked) = sync_channel(QUERIES_MAX);
            let (waker, metrics) = (prepared.waker.clone(), ShardMetrics::new());
            let head = Cell::default();
            shards.push(ShardHandle { inbox, older, queries, waker, metrics, head });
            inboxes.push(Inbox { connections, answers, queries: asked });
        }
        let wakers = prepared.iter().map(|shard| shard.waker.clone()).collect();
        (Self { log: SharedLog::new(log, wakers), delay, shards, lost: Cell::default() }, inboxes)
    }

    /// The shard with the fewest sessions, which is to have one more.
    pub(crate) fn least_loaded(&self) -> Option<&ShardHandle> {
        let shard = self.shards.iter().min_by_key(|shard| shard.metrics.assigned.get())?;
        shard.metrics.assigned.add(1);
        Some(shard)
    }

    /// The timeline shows ticks that the live one received up to this time.
    pub(crate) fn shows_until(&self, wall: UnixNanos) -> UnixNanos {
        let delay_ns = u64::try_from(self.delay.as_nanos()).unwrap_or(u64::MAX);
        UnixNanos(wall.0.saturating_sub(delay_ns))
    }

    /// One of the shards, chosen at random: each can answer a query.
    pub(crate) fn any_shard(&self) -> &ShardHandle {
        &self.shards[rand::random_range(0..self.shards.len())]
    }
}

impl ShardHandle {
    /// Sends a query to the shard and waits for the answer.
    ///
    /// # Errors
    /// If the shard is too busy to answer, or the hub is stopping.
    pub(crate) async fn query<T>(
        &self,
        query: impl FnOnce(oneshot::Sender<T>) -> ShardQuery,
    ) -> Result<T, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        self.queries.try_send(query(answer)).map_err(|_| NoAnswer)?;
        self.waker.wake();
        let answered = tokio::time::timeout(ANSWER_TIME_MAX, answered).await;
        answered.map_err(|_| NoAnswer)?.map_err(|_| NoAnswer)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.market {
            0 => write!(f, "{}", self.shard),
            market => write!(f, "{market}.{}", self.shard),
        }
    }
}
