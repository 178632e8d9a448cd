//! The changes in numbers of subscribers that a shard has not reported yet.

use std::collections::VecDeque;

use super::super::LocalTopicId;
use super::interest::InterestChange;
use super::topics::Topics;

/// The changes in numbers of subscribers that a shard has not reported yet.
///
/// A topic remembers the number it reported last, so a change of it costs an entry of four bytes,
/// and nothing is hashed until the report.
#[derive(Debug, Default)]
pub(super) struct PendingInterest {
    /// Changes that no topic remembers: of `"*"`, and of topics that have been removed.
    changes: Vec<InterestChange>,
    /// Topics whose number of subscribers may differ from the reported one; repetitions are
    /// harmless.
    topics: VecDeque<LocalTopicId>,
}

impl PendingInterest {
    /// Records a change that no topic remembers.
    pub(super) fn push(&mut self, change: InterestChange) {
        self.changes.push(change);
    }

    /// Notes that the number of subscribers of a topic has changed.
    pub(super) fn touch(&mut self, topic: LocalTopicId) {
        self.topics.push_back(topic);
    }

    /// Returns whether there is nothing to report.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.topics.is_empty()
    }

    /// Returns net changes since earlier calls, the oldest first: those of about `max` topics, and
    /// all others. The change of one interest may be split over several entries.
    pub(super) fn take(&mut self, topics: &mut Topics, max: usize) -> Vec<InterestChange> {
        let mut changes = std::mem::take(&mut self.changes);
        let pending = self.topics.len();
        // A quarter, if that is more: however many changes each turn adds, the list stays bounded.
        let touched = self.topics.drain(..pending.min(max.max(pending / 4)));
        changes.extend(touched.filter_map(|topic| topics.report_subscribers(topic)));
        changes
    }
}
