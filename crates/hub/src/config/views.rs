//! The names under which subscribers reach feeds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use tickwire_protocol::Feed;

use super::{Config, ConfigError, duration, format_duration, setting};
use crate::fanout::FeedId;

/// A view: a feed under another name, or some time later.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewConfig {
    /// Name of the feed.
    pub feed: String,
    /// How much later its ticks come, from when the hub received them.
    #[serde(default, with = "duration")]
    pub delay: Duration,
}

/// A view whose feed exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedView {
    pub(crate) name: String,
    pub(crate) feed: FeedId,
    pub(crate) delay: Duration,
}

/// Views of the first feed that there are if the config gives their names no other meaning, with their
/// delays: the names that clients of Alpaca's stream ask for.
const OF_FIRST_FEED: [(&str, Duration); 3] = [
    ("sip", Duration::ZERO),
    ("iex", Duration::ZERO),
    ("delayed_sip", Duration::from_secs(15 * 60)),
];
/// Longest delay of a view.
const DELAY_MAX: Duration = Duration::from_secs(7 * 86_400);
/// Most different delays of views, the live feed's (none) included: each takes a log and two threads.
pub(crate) const TIMELINES_MAX: usize = 8;

impl Config {
    /// The delays of views, each once, but for none.
    ///
    /// # Errors
    /// As [`Config::named_views`].
    pub(crate) fn delays(&self) -> Result<Vec<Duration>, ConfigError> {
        let delays = self.named_views()?.into_iter().map(|view| view.delay);
        let delays: BTreeSet<_> = delays.filter(|delay| !delay.is_zero()).collect();
        Ok(delays.into_iter().collect())
    }

    /// A delay must not be longer than history goes back.
    ///
    /// # Errors
    /// Names a view for which it is.
    pub(super) fn check_delays(&self) -> Result<(), ConfigError> {
        let (kept, setting_name, wider) = match self.data_dir {
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
            "history goes back {setting_name} = {kept}, so expected less than that; raise it{wider}, \
             or give {name} another delay (--views {name}=FEED+DELAY)"
        );
        Err(setting("views", given, allowed))
    }

    /// Every view there is: the feeds themselves, those of the config, and those there are by default.
    ///
    /// # Errors
    /// If one has no name, has that of a feed, is of no feed or is too late, or there are too many delays.
    pub(crate) fn named_views(&self) -> Result<Vec<NamedView>, ConfigError> {
        let feeds = self.feeds()?;
        let number = |name: &str| {
            let at = feeds.iter().position(|feed| feed.as_str() == name)?;
            u8::try_from(at).ok().map(FeedId)
        };
        let mut views = BTreeMap::new();
        for (name, delay) in OF_FIRST_FEED {
            views.insert(name, (FeedId(0), delay));
        }
        for (name, ViewConfig { feed, delay }) in &self.views {
            Feed::new(name).map_err(|error| setting("views", format!("{name:?}"), error))?;
            if number(name).is_some() {
                let given = format!("{name} = {feed}");
                return Err(setting("views", given, format!("{name} is the name of a feed")));
            }
            let Some(feed) = number(feed) else {
                let names: Vec<_> = feeds.iter().map(Feed::as_str).collect();
                let allowed = format!("expected one of the feeds {}", names.join(", "));
                return Err(setting("views", format!("{name} = {feed}"), allowed));
            };
            if *delay > DELAY_MAX {
                let given = format!("{name} with a delay of {}", format_duration(*delay));
                let allowed = format!("expected at most {}", format_duration(DELAY_MAX));
                return Err(setting("views", given, allowed));
            }
            views.insert(name, (feed, *delay));
        }
        for feed in &feeds {
            let itself =
                number(feed.as_str()).map(|number| (feed.as_str(), (number, Duration::ZERO)));
            views.extend(itself);
        }
        let delays: BTreeSet<_> = views.values().map(|(_, delay)| *delay).collect();
        if delays.len() > TIMELINES_MAX {
            let given = format!("{} different delays", delays.len());
            return Err(setting(
                "views",
                given,
                format!("expected at most {TIMELINES_MAX}, none included"),
            ));
        }
        let named = |(name, (feed, delay)): (&str, (FeedId, Duration))| NamedView {
            name: name.to_owned(),
            feed,
            delay,
        };
        Ok(views.into_iter().map(named).collect())
    }
}
