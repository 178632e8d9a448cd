//! A log and the shards that follow it: the live market, or the same some time later.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use crate::fanout::{DISK_READS_MAX, Log};
use crate::metrics::{Cell, ShardMetrics};
use crate::serving::history_reader::Answer;
use crate::serving::last_values::{LastValuesQuery, QUERIES_MAX};
use crate::serving::shard_loop::{Inbox, NewConnection, Prepared};
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
    /// What somebody asks once.
    pub(crate) queries: SyncSender<LastValuesQuery>,
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
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.market {
            0 => write!(f, "{}", self.shard),
            market => write!(f, "{market}.{}", self.shard),
        }
    }
}
