//! Looks up the feeds and views that requests name.

use std::sync::Arc;

use serde::Deserialize;

use crate::fanout::FeedId;
use crate::state::feeds::Feeds;
use crate::state::topic_registry::TopicRegistry;
use crate::state::views::{View, Views};

/// Query of an endpoint that belongs to a feed or a view: `?feed=NAME`.
#[derive(Debug, Deserialize)]
pub(super) struct FeedQuery {
    pub(super) feed: Option<String>,
}

/// The feeds, views and topics of the hub, by name.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) views: Arc<Views>,
    pub(crate) topics: Arc<TopicRegistry>,
}

impl Directory {
    /// Returns the name of the feed for requests that name none: the first one.
    pub(super) fn default_feed(&self) -> &str {
        self.feeds.get(FeedId(0)).name.as_str()
    }

    /// Returns the view with this name.
    pub(super) fn view(&self, name: &str) -> Option<View> {
        self.views.find(name)
    }

    /// Returns the names of all views, joined by commas, for messages.
    pub(super) fn view_names(&self) -> String {
        self.views.names().collect::<Vec<_>>().join(", ")
    }

    /// Returns the feed with this name, for a publisher. Without a name, the first feed.
    ///
    /// # Errors
    /// If the name stands for no feed, or for one that is not open to publishers. Lists the feeds
    /// that are.
    pub(super) fn publishable_feed(&self, name: Option<&str>) -> Result<FeedId, String> {
        let found = self.feeds.find(name).filter(|feed| self.feeds.test_feed() != Some(*feed));
        found.ok_or_else(|| {
            let names: Vec<_> = self.feeds.publishable_names().collect();
            let is_view = name.is_some_and(|name| self.view(name).is_some());
            let what = if is_view { "a view, which takes no publishers" } else { "no such feed" };
            format!("{what}; expected one of: {}", names.join(", "))
        })
    }
}
