//! Last values for those who ask once: a shard answers in its turn from what it has for its sessions.

use std::time::Duration;

use tickwire_protocol::{Channel, Symbol, Tick};
use tokio::sync::oneshot;

use crate::fanout::{FeedId, Shard};
use crate::serving::timeline::Timeline;

/// Questions that wait for a shard, at the most.
pub(crate) const QUERIES_MAX: usize = 64;
/// Questions that a shard answers in a turn, at the most. Each takes it some 100 µs.
pub(crate) const QUERIES_PER_TURN: usize = 4;
/// Symbols in a query, at the most; who wants more asks several times.
const SYMBOLS_PER_QUERY: usize = 200;
/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// What is asked of a shard.
#[derive(Debug)]
pub(crate) struct LastValuesQuery {
    feed: FeedId,
    channels: &'static [Channel],
    symbols: Vec<Symbol>,
    answer: oneshot::Sender<Vec<Option<Tick>>>,
}

/// A shard is too busy to answer, or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoAnswer;

impl LastValuesQuery {
    /// Sends the answer, if somebody still waits for it.
    pub(crate) fn answer(self, shard: &Shard) {
        if self.answer.is_closed() {
            return;
        }
        let mut found = Vec::with_capacity(self.symbols.len() * self.channels.len());
        for symbol in self.symbols {
            let last = |channel: &Channel| shard.last(self.feed, *channel, symbol).cloned();
            found.extend(self.channels.iter().map(last));
        }
        let _gone = self.answer.send(found); // then nobody needs it
    }
}

/// The last values of channels of a feed: symbol by symbol in the order given, and of each the channels
/// in theirs. Those of different symbols may be some moments apart.
pub(crate) async fn ask(
    market: &Timeline,
    feed: FeedId,
    channels: &'static [Channel],
    symbols: &[Symbol],
) -> Result<Vec<Option<Tick>>, NoAnswer> {
    let shard = &market.shards[rand::random_range(0..market.shards.len())];
    let mut values = Vec::with_capacity(symbols.len() * channels.len());
    for symbols in symbols.chunks(SYMBOLS_PER_QUERY) {
        let (answer, answered) = oneshot::channel();
        let query = LastValuesQuery { feed, channels, symbols: symbols.to_vec(), answer };
        shard.queries.try_send(query).map_err(|_| NoAnswer)?;
        shard.waker.wake();
        let found = tokio::time::timeout(ANSWER_TIME_MAX, answered).await;
        values.extend(found.map_err(|_| NoAnswer)?.map_err(|_| NoAnswer)?);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::Log;
    use crate::serving::shard_loop::prepare;

    #[tokio::test]
    async fn shard_with_as_many_questions_as_may_wait_or_none_at_all_gives_no_answer() {
        let (market, inboxes) =
            Timeline::new(Log::new(1_000, 1_000), Duration::ZERO, &[prepare().unwrap()]);
        let symbols = [Symbol::new("A").unwrap()];
        let ask = || ask(&market, FeedId(0), &[Channel::Trades], &symbols);
        let waiting: Vec<_> = (0..QUERIES_MAX).map(|_| Box::pin(ask())).collect();
        let mut waiting = futures_util::future::join_all(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert_eq!(ask().await, Err(NoAnswer));
        drop(inboxes);
        assert!(waiting.await.iter().all(|answer| *answer == Err(NoAnswer)));
        assert_eq!(ask().await, Err(NoAnswer));
    }
}
