//! Flags about the names under which subscribers reach feeds.

use std::time::Duration;

use tickwire_hub::{Config, ViewConfig};

use super::on_off;
use crate::flags::duration;

#[derive(Debug, clap::Args)]
pub(super) struct ViewsArgs {
    /// A name by which subscribers reach a feed, perhaps some time later; may be repeated [default:
    /// sip=FIRST, iex=FIRST and delayed_sip=FIRST+15m, where FIRST is the first feed]
    #[arg(
        long,
        value_name = "NAME=FEED[+DELAY]",
        value_delimiter = ',',
        env = "TICKWIRE_VIEWS",
        value_parser = view
    )]
    views: Vec<View>,
    /// Have a feed `test` with the symbol FAKEPACA, which ticks by itself [default: on]
    #[arg(long, value_name = "on|off", env = "TICKWIRE_TEST_FEED", value_parser = on_off)]
    test_feed: Option<bool>,
}

#[derive(Debug, Clone, PartialEq)]
struct View {
    name: String,
    feed: String,
    delay: Duration,
}

fn view(text: &str) -> Result<View, String> {
    const EXPECTED: &str = "expected NAME=FEED or NAME=FEED+DELAY such as delayed_sip=main+15m";
    let (name, rest) = text.split_once('=').ok_or(EXPECTED)?;
    let (feed, delay) = match rest.split_once('+') {
        None => (rest, Duration::ZERO),
        Some((feed, delay)) => (feed, duration(delay)?),
    };
    if name.is_empty() || feed.is_empty() {
        return Err(EXPECTED.to_owned());
    }
    Ok(View { name: name.to_owned(), feed: feed.to_owned(), delay })
}

impl ViewsArgs {
    /// Adds the views to those of the config file, or puts them in their place.
    pub(super) fn set(self, config: &mut Config) {
        let views = self
            .views
            .into_iter()
            .map(|View { name, feed, delay }| (name, ViewConfig { feed, delay }));
        config.views.extend(views);
        config.test_feed = self.test_feed.unwrap_or(config.test_feed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_a_name_of_a_feed_with_or_without_a_delay() {
        let of = |name: &str, feed: &str, delay| {
            Ok(View { name: name.to_owned(), feed: feed.to_owned(), delay })
        };
        assert_eq!(view("sip=main"), of("sip", "main", Duration::ZERO));
        assert_eq!(view("late=main+90s"), of("late", "main", Duration::from_secs(90)));
        for wrong in ["late", "=main", "late=", "late=+5m"] {
            assert!(view(wrong).unwrap_err().contains("such as delayed_sip=main+15m"), "{wrong}");
        }
        assert!(view("late=main+5").unwrap_err().contains("such as 500ms, 30s or 5m"));
    }
}
