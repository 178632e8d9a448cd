//! Following the keys file.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::Keys;
use super::file::{self, KeyList, KeysError};
use crate::server::Shared;

/// How often the file is read. It is small, and its content tells a change for certain.
const INTERVAL: Duration = Duration::from_millis(500);

/// Takes changes of the keys file over until the hub closes. A file that cannot be used changes nothing.
pub(crate) async fn follow(shared: Arc<Shared>) {
    let keys = shared.keys.clone();
    if keys.is_open() {
        return;
    }
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut looks, mut unknown) = (Looks::default(), BTreeSet::new());
    while shared.closing.run_until_cancelled(interval.tick()).await.is_some() {
        let (keys, before) = (keys.clone(), std::mem::take(&mut looks));
        let looked = tokio::task::spawn_blocking(move || keys.look(before)).await;
        looks = looked.unwrap_or_default();
        unknown = shared.keys.warn_of_unknown_views(&shared.views, &unknown);
    }
}

/// What was seen of the file.
#[derive(Debug, Default)]
struct Looks {
    last: Option<Seen>,
    /// What counts, or was complained of.
    dealt_with: Option<Seen>,
    /// The last that was dealt with could not be used.
    complained: bool,
}

/// What was found in place of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Text(String),
    /// It cannot be read, and why.
    Nothing(String),
}

impl Keys {
    /// Looks at the file; takes it over, or complains, if it is not what it was. It has to be the same as at the
    /// look before: a file that is just being written may be whole TOML and lack keys.
    fn look(&self, before: Looks) -> Looks {
        let Some(path) = &self.file else { return before };
        let read = file::read(path);
        let seen = match &read {
            Ok(text) => Seen::Text(text.clone()),
            Err(error) => Seen::Nothing(chain(error)),
        };
        let Looks { last, mut dealt_with, mut complained } = before;
        if Some(&seen) == last.as_ref() && Some(&seen) != dealt_with.as_ref() {
            match read.and_then(|text| KeyList::from_text(&text, path)) {
                Ok(list) => {
                    self.take_over(list);
                    if std::mem::take(&mut complained) {
                        tracing::info!("the keys file can be used again");
                    }
                }
                Err(error) => {
                    complained = true;
                    self.file_errors.add(1);
                    tracing::error!(error = chain(&error), "the keys of before stay in force");
                }
            }
            dealt_with = Some(seen.clone());
        }
        Looks { last: Some(seen), dealt_with, complained }
    }

    fn take_over(&self, list: KeyList) {
        let keys = list.keys.len();
        if self.lock().take_over(list) {
            tracing::info!(keys, "the keys file has changed");
        }
    }
}

fn chain(error: &KeysError) -> String {
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
    fn only_a_file_that_can_be_used_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        std::fs::write(&path, KEY).unwrap();
        let config = Config { keys: Some(path.clone()), ..Config::default() };
        let keys = Keys::new(&config).unwrap();
        let count = || keys.sessions().len();
        let mut looks = Looks::default();
        let mut look_twice = || {
            for _ in 0..2 {
                looks = keys.look(std::mem::take(&mut looks));
            }
        };
        look_twice();
        for broken in [Some("[[key]]\nid = 1"), Some("no TOML"), None] {
            match broken {
                Some(text) => std::fs::write(&path, text).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            look_twice();
            assert_eq!(count(), 1, "{broken:?}");
        }
        assert_eq!(keys.file_errors(), 3);
        std::fs::write(&path, KEY.replace("one", "two") + KEY).unwrap();
        look_twice();
        assert_eq!(count(), 2);
        std::fs::write(&path, "").unwrap();
        look_twice();
        assert_eq!(count(), 0);
    }

    #[test]
    fn a_file_that_is_being_written_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        std::fs::write(&path, KEY).unwrap();
        let config = Config { keys: Some(path.clone()), ..Config::default() };
        let keys = Keys::new(&config).unwrap();
        let mut looks = Looks::default();
        for text in [KEY, "", KEY, "", KEY, KEY] {
            std::fs::write(&path, text).unwrap();
            looks = keys.look(looks);
            assert_eq!(keys.sessions().len(), 1);
        }
    }
}
