//! What sessions subscribe to, and how the numbers of subscribers change.

use tickwire_protocol::{Channel, Symbol};

use super::super::FeedId;

/// What a session can subscribe to: one symbol of a channel, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicInterest {
    /// Feed of the interest.
    pub feed: FeedId,
    /// Channel of the interest.
    pub channel: Channel,
    /// The symbol; `None` stands for `"*"`.
    pub symbol: Option<Symbol>,
}

/// A change in the number of a shard's sessions that subscribe to an interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterestChange {
    /// What the sessions subscribe to.
    pub interest: TopicInterest,
    /// Subscribers gained (positive) or lost (negative); never zero.
    pub delta: i64,
}
