//! Views: the names under which subscribers reach feeds, live or delayed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tickwire_protocol::Feed;

use super::{Config, ConfigError, duration, format_duration};
use crate::fanout::FeedId;

/// A view: a feed under another name, live or with a delay.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ViewConfig {
    /// Name of the feed.
    pub feed: String,
    /// How long after their receipt by the hub the ticks of the feed are sent; zero for a live
    /// view.
    #[serde(default, with = "duration")]
    pub delay: Duration,
}

/// A view whose feed is known to exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedView {
    pub(crate) name: String,
    pub(crate) feed: FeedId,
    pub(crate) delay: Duration,
}

/// Views of the first feed with their delays, named as clients of Alpaca's stream expect. The
/// config may give these names another meaning.
const DEFAULT_VIEWS: [(&str, Duration); 3] = [
    ("sip", Duration::ZERO),
    ("iex", Duration::ZERO),
    ("delayed_sip", Duration::from_secs(15 * 60)),
];
/// Longest delay of a view.
const DELAY_MAX: Duration = Duration::from_secs(7 * 86_400);
/// Maximum number of different delays of views, including the zero of live views: each takes a log
/// and two threads.
pub(crate) const TIMELINES_MAX: usize = 8;

impl Config {
    /// Returns the different delays of views in ascending order, without the zero of live views.
    ///
    /// # Errors
    /// Fails like [`Config::named_views`].
    pub(crate) fn delays(&self) -> Result<Vec<Duration>, ConfigError> {
        let delays = self.named_views()?.into_iter().map(|view| view.delay);
        let delays: BTreeSet<_> = delays.filter(|delay| !delay.is_zero()).collect();
        Ok(delays.into_iter().collect())
    }

    /// Checks feeds and views, and that history goes back further than the longest delay.
    ///
    /// # Errors
    /// Fails like [`Config::named_views`], or names a view whose delay is too long for the history.
    pub(super) fn check_feeds_and_views(&self) -> Result<(), ConfigError> {
        let (kept, setting, alternative) = match self.data_dir {
            None => (self.log_age, "log_age", ", or set data_dir"),
            Some(_) if self.disk_age < self.log_age => (self.log_age, "log_age", ""),
            Some(_) => (self.disk_age, "disk_age", ""),
        };
        let Some(view) = self.named_views()?.into_iter().find(|view| view.delay >= kept) else {
            return Ok(());
        };
        let NamedView { name, delay, .. } = view;
        let given = format!("{name} with a delay of {}", format_duration(delay));
        let kept = format_duration(kept);
        let allowed = format!(
            "history goes back {setting} = {kept}, so expected less than that; raise \
             it{alternative}, or give {name} another delay (--views {name}=FEED+DELAY)"
        );
        Err(ConfigError::setting("views", given, allowed))
    }

    /// Returns every view: the feeds themselves, the configured views and the default ones.
    ///
    /// # Errors
    /// Fails if the name of a view is not allowed or that of a feed, if its feed does not exist, if
    /// its delay is too long, or if there are too many different delays.
    pub(crate) fn named_views(&self) -> Result<Vec<NamedView>, ConfigError> {
        let feeds = self.feeds()?;
        let mut views = BTreeMap::new();
        for (name, delay) in DEFAULT_VIEWS {
            views.insert(name, (FeedId(0), delay));
        }
        for (name, view) in &self.views {
            views.insert(name, (feed_of_view(name, view, &feeds)?, view.delay));
        }
        for (id, feed) in (0..=u8::MAX).zip(&feeds) {
            views.insert(feed.as_str(), (FeedId(id), Duration::ZERO));
        }
        let delays: BTreeSet<_> = views.values().map(|(_, delay)| *delay).collect();
        if delays.len() > TIMELINES_MAX {
            let given = format!("{} different delays", delays.len());
            let allowed = format!("expected at most {TIMELINES_MAX}, including none");
            return Err(ConfigError::setting("views", given, allowed));
        }
        let named =
            |(name, (feed, delay)): (&str, _)| NamedView { name: name.to_owned(), feed, delay };
        Ok(views.into_iter().map(named).collect())
    }
}

/// Checks a configured view and looks its feed up.
fn feed_of_view(name: &str, view: &ViewConfig, feeds: &[Feed]) -> Result<FeedId, ConfigError> {
    let id = |name: &str| {
        let index = feeds.iter().position(|feed| feed.as_str() == name)?;
        u8::try_from(index).ok().map(FeedId)
    };
    let ViewConfig { feed, delay } = view;
    let refused = |given: String, allowed: String| ConfigError::setting("views", given, allowed);
    Feed::new(name).map_err(|error| refused(format!("{name:?}"), error.to_string()))?;
    if id(name).is_some() {
        return Err(refused(format!("{name} = {feed}"), format!("{name} is the name of a feed")));
    }
    let Some(feed) = id(feed) else {
        let names: Vec<_> = feeds.iter().map(Feed::as_str).collect();
        let allowed = format!("expected one of the feeds {}", names.join(", "));
        return Err(refused(format!("{name} = {feed}"), allowed));
    };
    if *delay > DELAY_MAX {
        let given = format!("{name} with a delay of {}", format_duration(*delay));
        return Err(refused(given, format!("expected at most {}", format_duration(DELAY_MAX))));
    }
    Ok(feed)
}
