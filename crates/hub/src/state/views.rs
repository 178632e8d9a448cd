//! The names under which subscribers reach feeds.

use std::collections::BTreeMap;

use crate::config::NamedView;
use crate::fanout::FeedId;

/// What a subscriber follows: a feed, as one of the hub's timelines has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) feed: FeedId,
    /// Index of the timeline.
    pub(crate) timeline: usize,
}

/// All views there are, by name.
#[derive(Debug)]
pub(crate) struct Views(BTreeMap<String, View>);

impl Views {
    /// Views of timelines with these delays.
    pub(crate) fn new(named: Vec<NamedView>, delays: &[std::time::Duration]) -> Self {
        let view = |NamedView { name, feed, delay }: NamedView| {
            let timeline = delays.iter().position(|of_timeline| *of_timeline == delay)?;
            Some((name, View { feed, timeline }))
        };
        Self(named.into_iter().filter_map(view).collect())
    }

    /// The view of a name.
    pub(crate) fn find(&self, name: &str) -> Option<View> {
        self.0.get(name).copied()
    }

    /// The names, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
