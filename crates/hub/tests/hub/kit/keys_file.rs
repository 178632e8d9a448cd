//! A keys file for tests.

use std::fmt::Write;
use std::path::PathBuf;

use tempfile::TempDir;
use tickwire_hub::Config;
use tickwire_hub::keys::SecretHash;

use super::{TestHub, config};

const SECRET: &str = "a secret of the tests";

/// A keys file in a temporary folder, which exists as long as the value.
pub(crate) struct KeysFile {
    _folder: TempDir,
    pub(crate) path: PathBuf,
}

impl KeysFile {
    /// Writes a file: lines that precede the keys, then keys, each with its id, its role and its
    /// other settings in TOML.
    pub(crate) fn new(head: &str, keys: &[(&str, &str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        let mut text = format!("{head}\n");
        for (id, role, rest) in keys {
            let secret = SecretHash::new(SECRET);
            let names = format!("id = \"{id}\"\nname = \"{id}\"\nsecret = \"{secret}\"");
            writeln!(text, "[[key]]\n{names}\nrole = \"{role}\"\n{rest}").unwrap();
        }
        std::fs::write(&path, text).unwrap();
        Self { _folder: folder, path }
    }

    /// The config of a hub with these keys.
    pub(crate) fn config(&self) -> Config {
        Config { keys: Some(self.path.clone()), ..config() }
    }
}

/// The header with a key of a [`KeysFile`].
pub(crate) fn key_header(id: &str) -> (&'static str, String) {
    ("Authorization", format!("Bearer {id}:{SECRET}"))
}

impl TestHub {
    /// Sends a GET with a key, and returns the status and the body.
    pub(crate) fn get_as(&self, id: &str, path: &str) -> (u16, String) {
        let (name, value) = key_header(id);
        let answer = self.request("GET", path, &[(name, &value)], "");
        (answer.status, answer.body)
    }

    /// Returns the JSON body of a GET with a key, which must succeed.
    pub(crate) fn json_as(&self, id: &str, path: &str) -> serde_json::Value {
        let (status, body) = self.get_as(id, path);
        assert_eq!(status, 200, "{id} {path}: {body}");
        serde_json::from_str(&body).unwrap()
    }
}
