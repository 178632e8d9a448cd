//! The feeds of the hub.

use tickwire_protocol::Feed;

use super::{Config, ConfigError};

/// Name of the feed whose ticks the hub makes itself.
const TEST_FEED: &str = "test";

/// Maximum number of feeds, without the test feed.
const FEEDS_MAX: usize = 64;

impl Config {
    /// Returns the feeds in the order of their ids; the test feed is the last one.
    ///
    /// # Errors
    /// Fails if there are no feeds or more than 64, or if a name is not allowed or given twice.
    pub fn feeds(&self) -> Result<Vec<Feed>, ConfigError> {
        let mut feeds = Vec::new();
        for name in &self.feeds {
            let feed =
                Feed::new(name).map_err(|error| ConfigError::setting("feeds", name, error))?;
            if feeds.contains(&feed) {
                return Err(ConfigError::setting("feeds", name, "named twice"));
            }
            feeds.push(feed);
        }
        if !(1..=FEEDS_MAX).contains(&feeds.len()) {
            let given = format!("{} names", feeds.len());
            return Err(ConfigError::setting("feeds", given, format!("expected 1 to {FEEDS_MAX}")));
        }
        if self.has_test_feed() {
            feeds.push(Feed::new(TEST_FEED).expect("the name is allowed"));
        }
        Ok(feeds)
    }

    /// Returns whether the hub adds the test feed. It does not if publishers own a feed of that
    /// name.
    pub(crate) fn has_test_feed(&self) -> bool {
        self.test_feed && !self.feeds.iter().any(|name| name == TEST_FEED)
    }
}
