//! The name under which numbering and the log on disk know a publisher.

use std::sync::Arc;

use tickwire_protocol::Feed;

use crate::fanout::ID_SEPARATOR;

/// Identifies a publisher of one feed.
///
/// The same name at two feeds stands for two publishers: the right to publish to one feed does not
/// allow to replace or overtake a publisher of another feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublisherId {
    feed_and_name: Arc<str>,
    feed_bytes: usize,
}

impl PublisherId {
    /// Creates the id of the publisher with this name at a feed.
    pub(crate) fn new(feed: &Feed, name: &str) -> Self {
        let feed = feed.as_str();
        let feed_and_name = format!("{feed}{ID_SEPARATOR}{name}").into();
        Self { feed_and_name, feed_bytes: feed.len() }
    }

    /// Returns feed and name, joined by [`ID_SEPARATOR`].
    pub(crate) fn as_str(&self) -> &str {
        &self.feed_and_name
    }

    /// Returns the id that logs contain which were written before ids included the feed: the name
    /// alone. `None` for names that contain the separator, which could be the full id of another
    /// feed's publisher.
    pub(crate) fn legacy_id(&self) -> Option<&str> {
        let name = &self.feed_and_name[self.feed_bytes + ID_SEPARATOR.len_utf8()..];
        (!name.contains(ID_SEPARATOR)).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_name_at_two_feeds_has_two_ids_and_one_legacy_id() {
        let [main, other] = ["main", "other"].map(|feed| feed.parse::<Feed>().unwrap());
        let one = PublisherId::new(&main, "relay");
        let two = PublisherId::new(&other, "relay");
        assert_ne!(one.as_str(), two.as_str());
        assert_eq!((one.legacy_id(), two.legacy_id()), (Some("relay"), Some("relay")));
    }

    #[test]
    fn legacy_id_never_matches_another_publisher() {
        let [main, other] = ["main", "other"].map(|feed| feed.parse::<Feed>().unwrap());
        let relay = PublisherId::new(&main, "relay");
        assert_eq!(PublisherId::new(&other, relay.as_str()).legacy_id(), None);
    }
}
