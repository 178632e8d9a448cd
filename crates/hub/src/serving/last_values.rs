//! Reads last values from a shard.

use tickwire_protocol::{Channel, Symbol, Tick};

use crate::fanout::FeedId;
use crate::serving::shard_query::{NoAnswer, ShardQuery};
use crate::serving::timeline::Timeline;

/// Maximum number of symbols in one query to a shard; longer lists take several queries.
const SYMBOLS_PER_QUERY: usize = 200;

/// Returns the last values of channels of a feed: symbol by symbol in the order of `symbols`, and
/// for each symbol one value for each of `channels`. The values of different symbols may be some
/// moments apart.
///
/// # Errors
/// Fails if the shard is too busy to answer, or the hub is stopping.
pub(crate) async fn last_values(
    timeline: &Timeline,
    feed: FeedId,
    channels: &'static [Channel],
    symbols: &[Symbol],
) -> Result<Vec<Option<Tick>>, NoAnswer> {
    let shard = timeline.any_shard();
    let mut values = Vec::with_capacity(symbols.len() * channels.len());
    for symbols in symbols.chunks(SYMBOLS_PER_QUERY) {
        let symbols = symbols.to_vec();
        let query = |answer| ShardQuery::LastValues { feed, channels, symbols, answer };
        values.extend(shard.query(query).await?);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fanout::Log;
    use crate::serving::shard_loop::prepare;
    use crate::serving::shard_query::QUERIES_MAX;

    #[tokio::test]
    async fn shard_with_a_full_queue_or_none_at_all_gives_no_answer() {
        let (timeline, inboxes) =
            Timeline::new(Log::new(1_000, 1_000), Duration::ZERO, vec![prepare().unwrap().waker]);
        let symbols = [Symbol::new("A").unwrap()];
        let ask = || last_values(&timeline, FeedId(0), &[Channel::Trades], &symbols);
        let waiting: Vec<_> = (0..QUERIES_MAX).map(|_| Box::pin(ask())).collect();
        let mut waiting = futures_util::future::join_all(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert_eq!(ask().await, Err(NoAnswer));
        drop(inboxes);
        assert!(waiting.await.iter().all(|answer| *answer == Err(NoAnswer)));
        assert_eq!(ask().await, Err(NoAnswer));
    }
}
