//! Looks up the feeds and views that requests name.

use std::sync::Arc;

use serde::Deserialize;
use tickwire_protocol::Printable;

use crate::access::keys::Grant;
use crate::fanout::FeedId;
use crate::state::feeds::Feeds;
use crate::state::topic_registry::TopicRegistry;
use crate::state::views::{View, Views};

/// Maximum number of characters of an unknown name that an error repeats.
const NAME_CHARS_SHOWN: usize = 64;

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

    /// Returns the names of the views that a client may read, sorted.
    pub(super) fn readable_names<'a>(&'a self, grant: &'a Grant) -> impl Iterator<Item = &'a str> {
        self.views.names().filter(|name| grant.may_read(name))
    }

    /// Explains that a client may not read a view, whether that exists or not.
    pub(super) fn not_for_view(&self, grant: &Grant, name: &str) -> String {
        let holder = if grant.is_anonymous() { "a client without a key" } else { "this key" };
        let name = Printable(name).cut(NAME_CHARS_SHOWN);
        let names: Vec<_> = self.readable_names(grant).collect();
        format!("{holder} is not for the feed {name}; expected one of: {}", names.join(", "))
    }

    /// Explains that there is no view with the requested name, and names those that the client may
    /// read.
    pub(super) fn no_such_view(&self, grant: &Grant) -> String {
        let names: Vec<_> = self.readable_names(grant).collect();
        format!("no such feed; expected one of: {}", names.join(", "))
    }

    /// Returns the feed with this name, for a publisher. Without a name, the first feed. `None` if
    /// the name stands for no feed, or for one that is not open to publishers.
    pub(super) fn publishable_feed(&self, name: Option<&str>) -> Option<FeedId> {
        self.feeds.find(name).filter(|feed| self.feeds.test_feed() != Some(*feed))
    }

    /// Explains that [`Directory::publishable_feed`] has found no feed, and names those that the
    /// client may publish to.
    pub(super) fn no_such_publishable_feed(&self, name: Option<&str>, grant: &Grant) -> String {
        let names = self.feeds.publishable_names().filter(|name| grant.may_publish(name));
        let names: Vec<_> = names.collect();
        let is_view = name.is_some_and(|name| grant.may_read(name) && self.view(name).is_some());
        let what = if is_view { "a view, which takes no publishers" } else { "no such feed" };
        format!("{what}; expected one of: {}", names.join(", "))
    }
}
