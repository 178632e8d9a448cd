//! The names of feeds and views that requests may use.

use std::sync::Arc;

use serde::Deserialize;

use crate::fanout::FeedId;
use crate::state::feeds::Feeds;
use crate::state::topic_registry::TopicRegistry;
use crate::state::views::{View, Views};

/// The query of an endpoint that belongs to a feed or a view.
#[derive(Debug, Deserialize)]
pub(super) struct FeedQuery {
    pub(super) feed: Option<String>,
}

/// Looks up feeds, views and symbols by name.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) views: Arc<Views>,
    pub(crate) topics: Arc<TopicRegistry>,
}

impl Directory {
    /// Name of the feed that is meant when a request names none: the first one.
    pub(super) fn default_feed(&self) -> &str {
        self.feeds.get(FeedId(0)).name.as_str()
    }

    /// The view of a name.
    pub(super) fn view(&self, name: &str) -> Option<View> {
        self.views.find(name)
    }

    /// The names of all views, for messages.
    pub(super) fn view_names(&self) -> String {
        self.views.names().collect::<Vec<_>>().join(", ")
    }

    /// The feed of a name that publishers may publish to; the first one without a name.
    ///
    /// # Errors
    /// What is wrong with the name, and which feeds there are.
    pub(super) fn publishable_feed(&self, name: Option<&str>) -> Result<FeedId, String> {
        let found = self.feeds.find(name).filter(|feed| self.feeds.test_feed() != Some(*feed));
        found.ok_or_else(|| {
            let names: Vec<_> = self.feeds.publishable_names().collect();
            let is_view = name.is_some_and(|name| self.view(name).is_some());
            let what = if is_view { "a view, to which nobody publishes" } else { "no such feed" };
            format!("{what}; there are the feeds: {}", names.join(", "))
        })
    }
}
