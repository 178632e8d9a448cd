//! The config file: TOML with the names of settings as keys.

use std::fmt::Write;
use std::path::Path;

use toml::de::DeTable;

use super::{Config, ConfigError};

/// A fault in the text of a config file.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    /// Offset of the faulty byte.
    at: usize,
    message: String,
}

impl Config {
    /// Reads a TOML file. Settings that the file does not name keep their defaults.
    ///
    /// # Errors
    /// Fails if the file cannot be read, is not TOML, or has an unknown setting or a value of the
    /// wrong type. The error never shows a value of the file, since it could be a token.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: shown.clone(), source })?;
        Self::from_toml(&text).map_err(|Fault { at, message }| ConfigError::Parse {
            path: shown,
            line: line_at(&text, at),
            message,
        })
    }

    fn from_toml(text: &str) -> Result<Self, Fault> {
        let table = DeTable::parse(text).map_err(|error| fault(&error, None))?;
        for key in table.get_ref().keys() {
            let name = key.get_ref();
            if !Self::settings().iter().any(|setting| setting.name == name.as_ref()) {
                return Err(Fault { at: key.span().start, message: unknown_setting(name) });
            }
        }
        toml::from_str(text).map_err(|error| fault(&error, Some(table.get_ref())))
    }

    /// Returns the settings as a TOML table; those without a value are left out.
    pub(super) fn to_table(&self) -> toml::Table {
        toml::Table::try_from(self).expect("every setting has a form in TOML")
    }
}

/// Describes an error of the parser, with the setting it is in, but without its line, which could
/// show a token.
fn fault(error: &toml::de::Error, table: Option<&DeTable<'_>>) -> Fault {
    let at = error.span().map_or(0, |span| span.start);
    let keys = table.into_iter().flat_map(DeTable::keys);
    let begun = keys.filter(|key| key.span().start <= at);
    let message = match begun.max_by_key(|key| key.span().start) {
        Some(key) => format!("{}: {}", key.get_ref(), error.message()),
        None => error.message().to_owned(),
    };
    Fault { at, message }
}

fn unknown_setting(name: &str) -> String {
    let settings = Config::settings();
    let names: Vec<_> = settings.iter().map(|setting| setting.name).collect();
    let mut message = format!("unknown setting {name}");
    if let Some(closest) = closest(name, &names) {
        let _infallible = write!(message, ", did you mean {closest}?");
    }
    let _infallible = write!(message, "; the settings are {}", names.join(", "));
    message
}

/// Returns the name that differs least from the given one, unless more than a third of it differs.
#[must_use]
pub fn closest<'a>(given: &str, names: &[&'a str]) -> Option<&'a str> {
    let distances = names.iter().map(|name| (edit_distance(given, name), *name));
    let (distance, name) = distances.min()?;
    (distance <= name.len() / 3).then_some(name)
}

/// Returns how many characters must be inserted, deleted or replaced to turn one name into another.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Returns the number of the line that holds the byte at an offset, from 1.
fn line_at(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        Config::from_toml(text).unwrap_err().message
    }

    #[test]
    fn faults_are_reported_by_line_without_the_text_of_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.toml");
        for text in
            ["bars = true\npublish_token = supersecret", "\nadmin_token = [\"supersecret\"]"]
        {
            std::fs::write(&path, text).unwrap();
            let error = Config::from_file(&path).unwrap_err().to_string();
            assert!(error.contains("hub.toml, line 2: "), "{error}");
            assert!(!error.contains("supersecret"), "{error}");
        }
    }

    #[test]
    fn unknown_setting_is_refused_with_the_closest_name_and_all_names() {
        let text = message("sesions_max = 3");
        assert!(
            text.starts_with("unknown setting sesions_max, did you mean sessions_max?"),
            "{text}"
        );
        assert!(text.contains("the settings are listen, shards, "), "{text}");
        assert!(text.ends_with(", drain_duration"), "{text}");
        let text = message("moon_phase_max = 3");
        assert!(text.starts_with("unknown setting moon_phase_max; the settings are"), "{text}");
    }

    #[test]
    fn plain_numbers_for_durations_and_sizes_are_refused_with_the_form_to_write() {
        for (text, name, form) in [
            ("ping_interval = 10", "ping_interval: ", "\"10s\""),
            ("shards = 1\nping_interval = \"10\"", "ping_interval: ", "\"10s\""),
            ("log_size = 1048576", "log_size: ", "\"512MiB\""),
            ("log_size = \"1048576\"", "log_size: ", "\"512MiB\""),
            ("[views.late]\nfeed = \"main\"\ndelay = 900", "views: ", "\"10s\""),
        ] {
            let text = message(text);
            assert!(text.starts_with(name) && text.contains(form), "{text}");
        }
    }

    #[test]
    fn durations_sizes_and_views_are_read() {
        let config = Config::from_toml(
            "ping_interval = \"500ms\"\nlog_size = \"2GiB\"\n[views.late]\nfeed = \"main\"\ndelay = \"15m\"",
        )
        .unwrap();
        assert_eq!(config.ping_interval.as_millis(), 500);
        assert_eq!(config.log_size.to_string(), "2GiB");
        assert_eq!(config.views["late"].delay.as_secs(), 900);
    }

    #[test]
    fn edit_distance_counts_changed_characters() {
        for (a, b, distance) in
            [("open", "open", 0), ("sesions", "sessions", 1), ("", "keys", 4), ("tls", "open", 4)]
        {
            assert_eq!(edit_distance(a, b), distance, "{a} {b}");
        }
    }
}
