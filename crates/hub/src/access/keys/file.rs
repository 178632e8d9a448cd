//! The keys file: its words, and what is wrong with one that cannot be used.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, de};
use tickwire_protocol::{Feed, Symbol};
use toml::Spanned;

use super::grant::Role;
use super::secret::{SECRET_CHARS_MAX, SecretHash};

/// Largest keys file, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Longest name of a key, in characters.
const NAME_CHARS_MAX: usize = 64;

/// What somebody without a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Anonymous {
    /// Nothing.
    #[default]
    None,
    /// Subscribe and ask.
    Read,
}

impl Anonymous {
    /// The word in the file.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
        }
    }
}

/// Who wins when a key has as many sessions as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenFull {
    /// The oldest: a new session is refused.
    #[default]
    Refuse,
    /// The newest: the oldest session is ended.
    Replace,
}

impl WhenFull {
    /// The word in the file.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Replace => "replace",
        }
    }
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// What is shown together with the secret; letters, digits, `_` and `-`.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What is kept of its secret.
    pub secret: SecretHash,
    /// What it is for.
    pub role: Role,
    /// Names of the views it may read and the feeds it may publish to; `None`: all.
    pub feeds: Option<Vec<Feed>>,
    /// Symbols it may subscribe to, sorted; `None`: all.
    pub symbols: Option<Vec<Symbol>>,
    /// Most names of trades and quotes that one of its sessions may have; `None`: no limit of the key's.
    pub symbols_max: Option<usize>,
    /// Most sessions at a time; `None`: no limit of the key's.
    pub sessions_max: Option<u32>,
    /// Who wins when it has so many.
    pub when_full: WhenFull,
}

#[cfg(test)]
impl Key {
    /// The secret of a key for tests.
    pub(super) const TEST_SECRET: &str = "0123456789abcdef";

    /// A key for tests, which may read everything.
    pub(super) fn for_test(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: format!("name of {id}"),
            secret: SecretHash::new(Self::TEST_SECRET),
            role: Role::Read,
            feeds: None,
            symbols: None,
            symbols_max: None,
            sessions_max: None,
            when_full: WhenFull::Refuse,
        }
    }
}

/// What a keys file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyList {
    /// What somebody without a key may do.
    pub anonymous: Anonymous,
    /// The keys, in the order of the file. Ids and names are unique.
    pub keys: Vec<Key>,
}

/// Why a keys file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// It cannot be read.
    #[error("cannot read keys file {path}")]
    Read {
        /// Its path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("keys file {path}, line {line}: {message}")]
    Content {
        /// Its path.
        path: String,
        /// Where, from 1.
        line: usize,
        /// What is wrong, and what is allowed.
        message: String,
    },
    /// It cannot be written.
    #[error("cannot write keys file {path}")]
    Write {
        /// Its path.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// What is wrong with the text of a keys file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// Reads the text of a keys file; it must be there.
pub(crate) fn read(path: &Path) -> Result<String, KeysError> {
    let failed = |source| KeysError::Read { path: path.display().to_string(), source };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > FILE_BYTES_MAX {
        let text = format!("it has {bytes} bytes: expected {FILE_BYTES_MAX} at the most");
        return Err(failed(io::Error::other(text)));
    }
    std::fs::read_to_string(path).map_err(failed)
}

impl KeyList {
    /// Reads a keys file.
    ///
    /// # Errors
    /// If it cannot be read, or is not what it should be; then the line is named.
    pub fn from_file(path: &Path) -> Result<Self, KeysError> {
        Self::from_text(&read(path)?, path)
    }

    /// Reads the text of the keys file at a path.
    pub(crate) fn from_text(text: &str, path: &Path) -> Result<Self, KeysError> {
        Self::parse(text).map_err(|Mistake { line, message }| KeysError::Content {
            path: path.display().to_string(),
            line,
            message,
        })
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        let line = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        // The whole error would show the line, and with it perhaps a secret.
        let raw: RawList = toml::from_str(text).map_err(|error| Mistake {
            line: error.span().map_or(1, |span| line(span.start)),
            message: error.message().to_owned(),
        })?;
        let mut taken = HashMap::new();
        for key in &raw.keys {
            for (what, value) in [("id", &key.id), ("name", &key.name)] {
                let line = line(value.span().start);
                check_word(what, value.get_ref()).map_err(|message| Mistake { line, message })?;
                if let Some(first) = taken.insert((what, value.get_ref().as_str()), line) {
                    let message = format!("{what} {} is that of line {first}", value.get_ref());
                    return Err(Mistake { line, message });
                }
            }
        }
        drop(taken);
        let keys = raw.keys.into_iter().map(RawKey::key).collect();
        Ok(Self { anonymous: raw.anonymous, keys })
    }

    /// The key with an id or a name.
    #[must_use]
    pub fn find(&self, id_or_name: &str) -> Option<&Key> {
        let by_id = self.keys.iter().find(|key| key.id == id_or_name);
        by_id.or_else(|| self.keys.iter().find(|key| key.name == id_or_name))
    }
}

/// Checks an id or a name.
fn check_word(what: &str, value: &str) -> Result<(), String> {
    let checked = if what == "id" { check_id(value) } else { check_name(value) };
    checked.map_err(|allowed| format!("{what} {value:?}: {allowed}"))
}

/// Whether a text can be the id of a key; if not, what is allowed.
///
/// # Errors
/// What is allowed.
pub fn check_id(id: &str) -> Result<(), String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if matches!(id, "oauth" | "access_token") {
        return Err("the protocol has another meaning for that word".to_owned());
    }
    if id.is_empty() || id.len() > SECRET_CHARS_MAX || !id.bytes().all(allowed) {
        return Err(format!("expected 1 to {SECRET_CHARS_MAX} letters, digits, _ or -"));
    }
    Ok(())
}

/// Whether a text can be the name of a key; if not, what is allowed.
///
/// # Errors
/// What is allowed.
pub fn check_name(name: &str) -> Result<(), String> {
    let strange = |c: char| c.is_control() || matches!(c, '"' | '\\');
    let length = name.chars().count();
    if length == 0 || length > NAME_CHARS_MAX || name.trim() != name || name.contains(strange) {
        return Err(format!("expected 1 to {NAME_CHARS_MAX} characters, no quotes or backslashes"));
    }
    Ok(())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawList {
    #[serde(default)]
    anonymous: Anonymous,
    #[serde(default, rename = "key")]
    keys: Vec<RawKey>,
}

/// A key as the file spells it, with places to name in errors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    id: Spanned<String>,
    name: Spanned<String>,
    secret: SecretHash,
    role: Role,
    #[serde(default, deserialize_with = "feeds")]
    feeds: Option<Vec<Feed>>,
    symbols: Option<Vec<Symbol>>,
    #[serde(default, deserialize_with = "some")]
    symbols_max: Option<u32>,
    #[serde(default, deserialize_with = "some")]
    sessions_max: Option<u32>,
    #[serde(default)]
    when_full: WhenFull,
}

impl RawKey {
    fn key(self) -> Key {
        let symbols = self.symbols.map(|mut symbols| {
            symbols.sort_unstable();
            symbols
        });
        Key {
            id: self.id.into_inner(),
            name: self.name.into_inner(),
            secret: self.secret,
            role: self.role,
            feeds: self.feeds,
            symbols,
            symbols_max: self.symbols_max.map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
            sessions_max: self.sessions_max,
            when_full: self.when_full,
        }
    }
}

fn feeds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Feed>>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let feeds: Result<Vec<Feed>, _> = names.iter().map(|name| Feed::new(name)).collect();
    feeds.map(Some).map_err(de::Error::custom)
}

/// A limit; nothing at all is said by another role or an empty list, not by 0.
fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    match u32::deserialize(deserializer)? {
        0 => Err(de::Error::custom("expected 1 or more; without a limit leave it out")),
        some => Ok(Some(some)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "sha256:00112233445566778899aabbccddeeff:\
        0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn mistake(text: &str) -> Mistake {
        KeyList::parse(&text.replace("HASH", HASH)).unwrap_err()
    }

    #[test]
    fn all_settings_of_a_key_are_read() {
        let text = r#"
            anonymous = "read"
            [[key]]
            id = "TWbot"
            name = "Bot of Ann"
            secret = "HASH"
            role = "publish"
            feeds = ["sip", "main"]
            symbols = ["MSFT", "AAPL"]
            symbols_max = 30
            sessions_max = 1
            when_full = "replace"
            [[key]]
            id = "2"
            name = "other"
            secret = "HASH"
            role = "admin"
        "#;
        let list = KeyList::parse(&text.replace("HASH", HASH)).unwrap();
        assert_eq!((list.anonymous, list.keys.len()), (Anonymous::Read, 2));
        let key = list.find("Bot of Ann").unwrap();
        assert_eq!(Some(key), list.find("TWbot"));
        assert_eq!(key.role, Role::Publish);
        assert_eq!(key.feeds.as_ref().unwrap()[1].as_str(), "main");
        let symbols = ["AAPL", "MSFT"].map(|name| Symbol::new(name).unwrap());
        assert_eq!(key.symbols.as_deref(), Some(&symbols[..]), "sorted");
        assert_eq!((key.symbols_max, key.sessions_max), (Some(30), Some(1)));
        assert_eq!(key.when_full, WhenFull::Replace);
        let other = list.find("other").unwrap();
        assert_eq!((&other.feeds, &other.symbols, other.sessions_max), (&None, &None, None));
    }

    #[test]
    fn a_file_without_anything_has_no_keys() {
        assert_eq!(KeyList::parse("# later\n").unwrap(), KeyList::default());
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let key = "[[key]]\nid = \"a\"\nname = \"n\"\nsecret = \"HASH\"\nrole = \"read\"\n";
        let line_of = |more: &str| mistake(&format!("{key}{more}"));
        for (more, message) in [
            ("sesions_max = 1", "unknown field `sesions_max`"),
            ("sessions_max = 0", "expected 1 or more"),
            ("symbols = [\"aapl\"]", "expected 1 to 24 of A-Z"),
            ("feeds = [\"SIP\"]", "of a-z 0-9"),
            ("when_full = \"newest\"", "expected `refuse` or `replace`"),
            ("what", "key with no value"),
        ] {
            let mistake = line_of(more);
            assert_eq!(mistake.line, 6, "{mistake:?}");
            assert!(mistake.message.contains(message), "{mistake:?}");
        }
        let twice = line_of(&key.replace("\"a\"", "\"b\""));
        assert_eq!((twice.line, twice.message.as_str()), (8, "name n is that of line 3"));
        let odd = mistake(&key.replace("\"a\"", "\"a:b\""));
        assert!(odd.line == 2 && odd.message.contains("letters, digits"), "{odd:?}");
        assert!(mistake(&key.replace("\"a\"", "\"oauth\"")).message.contains("another meaning"));
    }

    #[test]
    fn a_secret_written_as_it_is_is_not_told() {
        for secret in ["\"hunter2hunter2hunter2\"", "2222222222222222", "[\"hunter2\"]"] {
            let text =
                format!("[[key]]\nid = \"a\"\nname = \"n\"\nsecret = {secret}\nrole = \"read\"");
            let mistake = mistake(&text);
            assert!(mistake.message.contains("sha256:SALT:HASH"), "{mistake:?}");
            assert!(!format!("{mistake:?}").contains("2222") && mistake.line == 4, "{mistake:?}");
            assert!(!mistake.message.contains("hunter2"), "{mistake:?}");
        }
    }
}
