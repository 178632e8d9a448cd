//! Applies changes of the keys file while the hub runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Keys;
use super::file::{self, KeyList, KeysError};
use crate::state::views::Views;

/// Time between two reads of the file. The file is small, and comparing its text finds every
/// change, which times of modification do not.
const INTERVAL: Duration = Duration::from_millis(500);

/// Applies changes of the keys file until the hub stops. A file with an error changes nothing.
pub(crate) async fn reload_on_change(
    keys: Arc<Keys>,
    views: Arc<Views>,
    closing: CancellationToken,
) {
    if keys.is_open() {
        return;
    }
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut file = WatchedFile::default();
    let mut unknown_views = BTreeSet::new();
    while closing.run_until_cancelled(interval.tick()).await.is_some() {
        let polled_keys = keys.clone();
        let polled = tokio::task::spawn_blocking(move || polled_keys.poll_file(file)).await;
        file = polled.unwrap_or_default();
        unknown_views = keys.warn_of_unknown_views(&views, &unknown_views);
    }
}

/// The keys file between two reads.
#[derive(Debug, Default)]
struct WatchedFile {
    /// What the last read found.
    last: Option<Content>,
    /// The content that was applied, or reported as an error, last.
    handled: Option<Content>,
    /// Whether the handled content had an error.
    has_error: bool,
}

/// What a read of the file found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Text(String),
    /// The file could not be read: the error.
    Unreadable(String),
}

impl Keys {
    /// Reads the file, and applies its content if it is new and two consecutive reads agree. A
    /// single read may find a file that is still being written: valid TOML that lacks keys.
    fn poll_file(&self, file: WatchedFile) -> WatchedFile {
        let Some(path) = &self.file else { return file };
        let read = file::read(path);
        let content = match &read {
            Ok(text) => Content::Text(text.clone()),
            Err(error) => Content::Unreadable(with_source(error)),
        };
        let WatchedFile { last, mut handled, mut has_error } = file;
        if Some(&content) == last.as_ref() && Some(&content) != handled.as_ref() {
            match read.and_then(|text| KeyList::from_text(&text, path)) {
                Ok(list) => {
                    self.apply(list);
                    if std::mem::take(&mut has_error) {
                        tracing::info!("the keys file can be used again");
                    }
                }
                Err(error) => {
                    has_error = true;
                    self.report_unusable(&with_source(&error));
                }
            }
            handled = Some(content.clone());
        }
        WatchedFile { last: Some(content), handled, has_error }
    }

    /// Applies the file at once: an operator who asks for it has finished writing the file. A file
    /// with an error changes nothing.
    pub(crate) fn reload_file(&self) {
        let Some(path) = &self.file else { return };
        match file::read(path).and_then(|text| KeyList::from_text(&text, path)) {
            Ok(list) => self.apply(list),
            Err(error) => self.report_unusable(&with_source(&error)),
        }
    }

    fn report_unusable(&self, error: &str) {
        self.file_errors.add(1);
        tracing::error!(error, "cannot use the keys file; the previous keys stay in force");
    }

    fn apply(&self, list: KeyList) {
        let keys = list.keys.len();
        if self.lock().apply(list) {
            tracing::info!(keys, "the keys file has changed");
        }
    }
}

/// Returns the text of an error and of its cause.
fn with_source(error: &KeysError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const KEY: &str = "[[key]]\nid = \"one\"\nname = \"one\"\nrole = \"read\"\nsecret = \"sha256:\
        00112233445566778899aabbccddeeff:\
        0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"\n";

    #[test]
    fn only_a_file_without_errors_is_applied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        std::fs::write(&path, KEY).unwrap();
        let config = Config { keys: Some(path.clone()), ..Config::default() };
        let keys = Keys::new(&config).unwrap();
        let count = || keys.sessions().len();
        let mut file = WatchedFile::default();
        let mut poll_twice = || {
            for _ in 0..2 {
                file = keys.poll_file(std::mem::take(&mut file));
            }
        };
        poll_twice();
        for broken in [Some("[[key]]\nid = 1"), Some("no TOML"), None] {
            match broken {
                Some(text) => std::fs::write(&path, text).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            poll_twice();
            assert_eq!(count(), 1, "{broken:?}");
        }
        assert_eq!(keys.file_errors(), 3);
        std::fs::write(&path, KEY.replace("one", "two") + KEY).unwrap();
        poll_twice();
        assert_eq!(count(), 2);
        std::fs::write(&path, "").unwrap();
        poll_twice();
        assert_eq!(count(), 0);
    }

    #[test]
    fn requested_reload_applies_the_file_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        std::fs::write(&path, KEY).unwrap();
        let config = Config { keys: Some(path.clone()), ..Config::default() };
        let keys = Keys::new(&config).unwrap();
        std::fs::write(&path, KEY.replace("one", "two") + KEY).unwrap();
        keys.reload_file();
        assert_eq!(keys.sessions().len(), 2);
        std::fs::write(&path, "no TOML").unwrap();
        keys.reload_file();
        assert_eq!((keys.sessions().len(), keys.file_errors()), (2, 1));
    }

    #[test]
    fn file_that_is_being_written_is_not_applied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        std::fs::write(&path, KEY).unwrap();
        let config = Config { keys: Some(path.clone()), ..Config::default() };
        let keys = Keys::new(&config).unwrap();
        let mut file = WatchedFile::default();
        for text in [KEY, "", KEY, "", KEY, KEY] {
            std::fs::write(&path, text).unwrap();
            file = keys.poll_file(file);
            assert_eq!(keys.sessions().len(), 1);
        }
    }
}
