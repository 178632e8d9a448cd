//! The names under which subscribers reach feeds, live or delayed.

use std::collections::BTreeMap;

use crate::config::NamedView;
use crate::fanout::FeedId;

/// Index of the timeline without delay.
pub(crate) const LIVE_TIMELINE: usize = 0;

/// A feed on one of the hub's timelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) feed: FeedId,
    /// Index of the timeline.
    pub(crate) timeline: usize,
}

/// All views of the hub, by name.
#[derive(Debug)]
pub(crate) struct Views(BTreeMap<String, View>);

impl Views {
    /// Assigns each view to the timeline with its delay. `delays` are the delays of the timelines,
    /// by index.
    pub(crate) fn new(named: Vec<NamedView>, delays: &[std::time::Duration]) -> Self {
        let view = |NamedView { name, feed, delay }: NamedView| {
            let timeline = delays.iter().position(|of_timeline| *of_timeline == delay)?;
            Some((name, View { feed, timeline }))
        };
        Self(named.into_iter().filter_map(view).collect())
    }

    /// Finds the view with this name.
    pub(crate) fn find(&self, name: &str) -> Option<View> {
        self.0.get(name).copied()
    }

    /// Returns the names of all views, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
