//! Names of views in the keys file that the hub does not have, most likely typing errors.

use std::collections::BTreeSet;

use super::Keys;
use crate::state::views::Views;

impl Keys {
    /// Finds names in the `feeds` of keys that are not views of the hub. Returns pairs of the name
    /// of a key and the unknown view.
    pub(super) fn unknown_views(&self, views: &Views) -> BTreeSet<(String, String)> {
        let state = self.lock();
        let keys = state.keys.values().map(|state| (state.key.name.as_str(), &state.key.feeds));
        let anonymous = ("(no key)", &state.anonymous_scope.feeds);
        keys.chain([anonymous])
            .flat_map(|(name, feeds)| feeds.iter().flatten().map(move |feed| (name, feed.as_str())))
            .filter(|(_, feed)| views.find(feed).is_none())
            .map(|(name, feed)| (name.to_owned(), feed.to_owned()))
            .collect()
    }

    /// Logs a warning for each unknown view that is not in `before`. Returns all unknown views.
    pub(super) fn warn_of_unknown_views(
        &self,
        views: &Views,
        before: &BTreeSet<(String, String)>,
    ) -> BTreeSet<(String, String)> {
        let unknown = self.unknown_views(views);
        for (key, feed) in unknown.difference(before) {
            let names: Vec<_> = views.names().collect();
            tracing::warn!(
                key,
                feed,
                "a key names a feed that this hub does not have; it has: {}",
                names.join(", ")
            );
        }
        unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn key_for_a_feed_that_the_hub_does_not_have_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        let hash = format!("sha256:{}:{}", "0".repeat(32), "1".repeat(64));
        let key = |name: &str, feeds: &str| {
            format!(
                "[[key]]\nid = \"{name}\"\nname = \"{name}\"\nrole = \"read\"\nsecret = \"{hash}\"\n{feeds}\n"
            )
        };
        let text = key("all", "") + &key("some", "feeds = [\"sip\", \"spi\", \"main\"]");
        std::fs::write(&path, text).unwrap();
        let config = Config { keys: Some(path), ..Config::default() };
        let keys = Keys::new(&config).unwrap();
        let delays = [std::time::Duration::ZERO];
        let views = Views::new(config.named_views().unwrap(), &delays);
        let unknown = keys.unknown_views(&views);
        assert_eq!(unknown, BTreeSet::from([("some".to_owned(), "spi".to_owned())]));
    }
}
