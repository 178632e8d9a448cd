//! Queries of the HTTP API that a shard answers in its turn from what it keeps for its sessions.

use tickwire_protocol::{Channel, Symbol, Tick, UnixNanos};
use tokio::sync::oneshot;

use crate::fanout::{FeedId, Shard, TopicKey};

/// Maximum number of queries that wait for a shard.
pub(crate) const QUERIES_MAX: usize = 64;
/// Maximum number of queries that a shard answers in a turn. Each takes it some 100 µs.
pub(crate) const QUERIES_PER_TURN: usize = 4;

/// A query, and where its answer goes.
#[derive(Debug)]
pub(crate) enum ShardQuery {
    /// The last values of channels of a feed. The answer has them symbol by symbol in the order of
    /// `symbols`, and for each symbol one value for each of `channels`.
    LastValues {
        feed: FeedId,
        channels: &'static [Channel],
        symbols: Vec<Symbol>,
        answer: oneshot::Sender<Vec<Option<Tick>>>,
    },
    /// How often topics have ticked. The answer has `None` for topics that have not.
    TopicCounts { topics: Vec<TopicKey>, answer: oneshot::Sender<Vec<Option<TopicCount>>> },
}

/// What a shard knows of a topic's ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TopicCount {
    /// Ticks since the epoch began: the sequence number of the newest.
    pub(crate) ticks: u64,
    /// Event time of the newest tick.
    pub(crate) last: UnixNanos,
}

/// The shard did not answer: it is too busy, or the hub is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoAnswer;

impl ShardQuery {
    /// Sends the answer, unless its receiver has given up.
    pub(crate) fn answer(self, shard: &Shard) {
        match self {
            Self::LastValues { answer, .. } if answer.is_closed() => {}
            Self::TopicCounts { answer, .. } if answer.is_closed() => {}
            Self::LastValues { feed, channels, symbols, answer } => {
                let mut values = Vec::with_capacity(symbols.len() * channels.len());
                for symbol in symbols {
                    let last = |channel: &Channel| {
                        shard.last(&TopicKey { feed, channel: *channel, symbol }).cloned()
                    };
                    values.extend(channels.iter().map(last));
                }
                let _given_up = answer.send(values);
            }
            Self::TopicCounts { topics, answer } => {
                let count = |topic| {
                    let tick = shard.newest(&topic)?;
                    Some(TopicCount { ticks: tick.seq.0, last: tick.time })
                };
                let _given_up = answer.send(topics.into_iter().map(count).collect());
            }
        }
    }
}
