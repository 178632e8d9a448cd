//! Under which name numbering and the log know a publisher.

use std::sync::Arc;

use tickwire_protocol::Feed;

use crate::fanout::ID_SEPARATOR;

/// A publisher of one feed. The same id at two feeds is two publishers: whoever may publish to one feed
/// can neither replace nor overtake a publisher of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublisherId {
    feed_and_name: Arc<str>,
    feed_bytes: usize,
}

impl PublisherId {
    /// The publisher that calls itself `name` at a feed.
    pub(crate) fn new(feed: &Feed, name: &str) -> Self {
        let feed = feed.as_str();
        let feed_and_name = format!("{feed}{ID_SEPARATOR}{name}").into();
        Self { feed_and_name, feed_bytes: feed.len() }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.feed_and_name
    }

    /// How a log knows it that was written before ids belonged to feeds. A name that could be the
    /// publisher of another feed was never known so.
    pub(crate) fn formerly(&self) -> Option<&str> {
        let name = &self.feed_and_name[self.feed_bytes + ID_SEPARATOR.len_utf8()..];
        (!name.contains(ID_SEPARATOR)).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_at_two_feeds_is_two_publishers_that_were_one() {
        let [main, other] = ["main", "other"].map(|feed| feed.parse::<Feed>().unwrap());
        let (one, two) = (PublisherId::new(&main, "relay"), PublisherId::new(&other, "relay"));
        assert_ne!(one.as_str(), two.as_str());
        assert_eq!((one.formerly(), two.formerly()), (Some("relay"), Some("relay")));
    }

    #[test]
    fn nobody_was_known_by_what_another_is_known_by_now() {
        let [main, other] = ["main", "other"].map(|feed| feed.parse::<Feed>().unwrap());
        let relay = PublisherId::new(&main, "relay");
        assert_eq!(PublisherId::new(&other, relay.as_str()).formerly(), None);
    }
}
