//! What a client subscribes to.

use std::collections::{HashMap, HashSet};

use tickwire_protocol::{Channel, Symbol};

use crate::checker::Violation;
use crate::oracle::Topic;

/// What a client subscribes to, and how.
#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    pub(crate) channels: Vec<Channel>,
    /// `None` stands for `"*"`.
    pub(crate) symbols: Option<Vec<Symbol>>,
    pub(crate) delivery: Delivery,
}

/// Delivery mode of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Every tick; and how the client resumes after a disconnect.
    Every(ResumeMode),
    /// The newest tick of each topic, at most `max_rate` times a second.
    Latest { max_rate: Option<u32> },
}

/// How a client resumes after a disconnect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResumeMode {
    /// It subscribes again and gets a snapshot.
    Never,
    /// It resumes after its last position.
    FromPosition,
    /// It resumes each topic after its last sequence number.
    FromSeqs,
}

impl Subscription {
    /// Returns whether the subscription includes a topic.
    pub(crate) fn contains(&self, (channel, symbol): &Topic) -> bool {
        self.channels.contains(channel)
            && self.symbols.as_ref().is_none_or(|symbols| symbols.contains(symbol))
    }

    /// Returns all topics that are subscribed to by name.
    pub(crate) fn topics(&self) -> impl Iterator<Item = Topic> {
        let symbols = self.symbols.iter().flatten();
        symbols.flat_map(|symbol| self.channels.iter().map(|channel| (*channel, *symbol)))
    }
}

/// Returns a violation for each subscribed topic whose last sequence number is not the newest,
/// except after a gap without an end.
pub(crate) fn stale_topics(
    subscription: &Subscription,
    last: Option<&HashMap<Topic, u64>>,
    unbounded_gaps: &HashSet<Topic>,
    newest: &HashMap<Topic, u64>,
) -> Vec<Violation> {
    let has = |topic| last.and_then(|last| last.get(topic)).copied().unwrap_or(0);
    let is_wanted = |topic: &Topic| subscription.contains(topic) && !unbounded_gaps.contains(topic);
    let wanted = newest.iter().filter(|(topic, _)| is_wanted(topic));
    let compared = wanted.map(|(topic, newest)| (*topic, has(topic), *newest));
    compared
        .filter(|(_, has, newest)| has != newest)
        .map(|(topic, has, newest)| Violation::Stale { topic, has, newest })
        .collect()
}
