//! Reads from a shard how often topics have ticked.

use crate::fanout::TopicKey;
use crate::serving::shard_handle::ShardHandle;
use crate::serving::shard_query::{NoAnswer, ShardQuery, TopicCount};

/// Maximum number of topics in one query to a shard; longer lists take several queries, and the
/// shard serves its sessions in between.
pub(crate) const TOPICS_PER_QUERY: usize = 500;

/// Returns how often each of the topics has ticked, in the order given; `None` if never. The counts
/// of different topics may be some moments apart.
///
/// # Errors
/// Fails if the shard is too busy to answer, or the hub is stopping.
pub(crate) async fn topic_counts(
    shard: &ShardHandle,
    topics: &[TopicKey],
) -> Result<Vec<Option<TopicCount>>, NoAnswer> {
    let mut counts = Vec::with_capacity(topics.len());
    for topics in topics.chunks(TOPICS_PER_QUERY) {
        let topics = topics.to_vec();
        counts.extend(shard.query(|answer| ShardQuery::TopicCounts { topics, answer }).await?);
    }
    Ok(counts)
}
