//! What sessions subscribe to, and how the numbers of subscribers change.

use tickwire_protocol::{Channel, Symbol};

use super::FeedId;
use super::topics::{LocalId, Topics};

/// What a session can subscribe to: one symbol of a channel, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicInterest {
    /// The feed.
    pub feed: FeedId,
    /// The channel.
    pub channel: Channel,
    /// The symbol; `None` stands for `"*"`.
    pub symbol: Option<Symbol>,
}

/// A change in the number of a shard's sessions that subscribe to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterestChange {
    /// What the sessions subscribe to.
    pub interest: TopicInterest,
    /// Subscribers gained (positive) or lost (negative); never zero.
    pub delta: i64,
}

/// The changes in numbers of subscribers that a shard has not reported yet.
///
/// A topic remembers the number it reported last, so a topic that changes often within a turn costs
/// one entry of four bytes per change, and nothing is hashed until the report.
#[derive(Debug, Default)]
pub(super) struct PendingInterest {
    /// Changes that no topic remembers: of `"*"`, and of topics that have been removed.
    changes: Vec<InterestChange>,
    /// Topics whose number of subscribers may differ from the reported one; repetitions are
    /// harmless.
    topics: Vec<LocalId>,
}

impl PendingInterest {
    /// Records a change that no topic remembers.
    pub(super) fn push(&mut self, change: InterestChange) {
        self.changes.push(change);
    }

    /// Notes that the number of subscribers of a topic has changed.
    pub(super) fn touch(&mut self, topic: LocalId) {
        self.topics.push(topic);
    }

    /// Whether there may be changes to take.
    pub(super) const fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.topics.is_empty()
    }

    /// Returns the net changes since the last call. The changes of one interest may be in several
    /// parts.
    pub(super) fn take(&mut self, topics: &mut Topics) -> Vec<InterestChange> {
        let mut changes = std::mem::take(&mut self.changes);
        let touched = std::mem::take(&mut self.topics);
        changes.extend(touched.into_iter().filter_map(|topic| topics.report_subscribers(topic)));
        changes
    }
}
