//! The form of a view on the command line: `delayed_sip=main+15m`.

use std::time::Duration;

use tickwire_hub::ViewConfig;

use crate::flags::duration;

/// A view as `--views` names it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    name: String,
    feed: String,
    delay: Duration,
}

impl View {
    /// Returns the view as an entry of the `views` of a config.
    pub(super) fn into_entry(self) -> (String, ViewConfig) {
        (self.name, ViewConfig { feed: self.feed, delay: self.delay })
    }
}

/// Parses a view.
pub(super) fn view(text: &str) -> Result<View, String> {
    const EXPECTED: &str = "expected NAME=FEED or NAME=FEED+DELAY such as delayed_sip=main+15m";
    let (name, rest) = text.trim().split_once('=').ok_or(EXPECTED)?;
    let (feed, delay) = match rest.split_once('+') {
        None => (rest, Duration::ZERO),
        Some((feed, delay)) => (feed, duration(delay)?),
    };
    if name.is_empty() || feed.is_empty() {
        return Err(EXPECTED.to_owned());
    }
    Ok(View { name: name.to_owned(), feed: feed.to_owned(), delay })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn view_is_the_name_of_a_feed_with_or_without_a_delay() {
        let expected = |name: &str, feed: &str, delay| {
            Ok(View { name: name.to_owned(), feed: feed.to_owned(), delay })
        };
        assert_eq!(view("sip=main"), expected("sip", "main", Duration::ZERO));
        assert_eq!(view("late=main+90s"), expected("late", "main", Duration::from_secs(90)));
        for wrong in ["late", "=main", "late=", "late=+5m"] {
            assert!(view(wrong).unwrap_err().contains("such as delayed_sip=main+15m"), "{wrong}");
        }
        assert!(view("late=main+5").unwrap_err().contains("such as 500ms, 30s or 5m"));
    }
}
