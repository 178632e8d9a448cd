//! How other threads reach a shard.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::fanout::{Batch, DISK_READS_MAX, DiskReadRequest};
use crate::metrics::{Metric, ShardMetrics};
use crate::serving::new_connection::NewConnection;
use crate::serving::shard_query::{NoAnswer, QUERIES_MAX, ShardQuery};
use crate::state::shard_waker::ShardWaker;

/// Identifies a shard of the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShardId {
    /// Index of its timeline.
    pub(crate) timeline: usize,
    /// Its index among the shards of that timeline.
    pub(crate) shard: usize,
}

/// The queues of a shard, and the metrics that it publishes.
#[derive(Debug)]
pub(crate) struct ShardHandle {
    pub(crate) connections: SyncSender<NewConnection>,
    /// Replies to the shard's requests for old ticks on disk.
    pub(crate) disk_reads: SyncSender<DiskReadReply>,
    queries: SyncSender<ShardQuery>,
    pub(crate) waker: Arc<ShardWaker>,
    pub(crate) metrics: ShardMetrics,
    /// Position after the last tick that the shard has applied.
    pub(crate) head: Metric,
}

/// The shard's ends of the queues of its [`ShardHandle`].
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) connections: Receiver<NewConnection>,
    pub(crate) disk_reads: Receiver<DiskReadReply>,
    pub(crate) queries: Receiver<ShardQuery>,
}

/// Result of a disk read: see
/// [`Shard::complete_disk_read`](crate::fanout::Shard::complete_disk_read).
#[derive(Debug)]
pub(crate) struct DiskReadReply {
    pub(crate) request: DiskReadRequest,
    /// `None` if the log on disk does not have the ticks, or cannot be read.
    pub(crate) found: Option<Vec<Arc<Batch>>>,
}

/// Maximum number of connections handed to a shard that it has not accepted yet.
const CONNECTIONS_MAX: usize = 4_096;
/// How long a shard may take to answer a query.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

impl ShardHandle {
    /// Creates the queues of a shard.
    pub(crate) fn new(waker: Arc<ShardWaker>) -> (Self, Inbox) {
        let (connections, new_connections) = sync_channel(CONNECTIONS_MAX);
        let (disk_reads, replies) = sync_channel(DISK_READS_MAX);
        let (queries, asked) = sync_channel(QUERIES_MAX);
        let metrics = ShardMetrics::new();
        let head = Metric::default();
        let inbox = Inbox { connections: new_connections, disk_reads: replies, queries: asked };
        (Self { connections, disk_reads, queries, waker, metrics, head }, inbox)
    }

    /// Sends a query to the shard and waits for the answer.
    ///
    /// # Errors
    /// Fails if the shard is too busy to answer, or the hub is stopping.
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
        match self.timeline {
            0 => write!(f, "{}", self.shard),
            timeline => write!(f, "{timeline}.{}", self.shard),
        }
    }
}
