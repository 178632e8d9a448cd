//! The keys file: its format, and the errors of a file that cannot be used.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, de};
use tickwire_protocol::{Feed, Symbol};
use toml::Spanned;

use super::role::Role;
use super::secret::{SECRET_CHARS_MAX, SecretHash};

/// Largest keys file, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Longest name of a key, in characters.
const NAME_CHARS_MAX: usize = 64;

/// Rights of clients without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Anonymous {
    /// No rights.
    #[default]
    None,
    /// The rights of [`Role::Read`].
    Read,
}

impl Anonymous {
    /// Returns the name in the keys file.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
        }
    }
}

/// Limits of the rights of clients without a key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// Names of the views that may be read; `None`: all.
    pub feeds: Option<Vec<Feed>>,
    /// Symbols that may be read, sorted; `None`: all.
    pub symbols: Option<Vec<Symbol>>,
}

/// What happens to a session beyond [`Key::sessions_max`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenFull {
    /// The new session is refused.
    #[default]
    Refuse,
    /// The oldest session is closed in favour of the new one.
    Replace,
}

impl WhenFull {
    /// Returns the name in the keys file.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Replace => "replace",
        }
    }
}

/// A key of the keys file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Sent together with the secret: letters, digits, `_` and `-`; see [`check_id`].
    pub id: String,
    /// Name for people and logs; see [`check_name`].
    pub name: String,
    /// Hash of the secret.
    pub secret: SecretHash,
    /// What the holder may do.
    pub role: Role,
    /// Names of the views that the holder may read and the feeds it may publish to; `None`: all.
    pub feeds: Option<Vec<Feed>>,
    /// Symbols that the holder may subscribe to, sorted; `None`: all.
    pub symbols: Option<Vec<Symbol>>,
    /// Maximum number of names of trades and quotes in one session; `None`: only the limits of the
    /// hub.
    pub symbols_max: Option<usize>,
    /// Maximum number of concurrent sessions of subscribers; `None`: only the limits of the hub.
    pub sessions_max: Option<u32>,
    /// What happens to a session beyond `sessions_max`.
    pub when_full: WhenFull,
    /// Whether the holder may read `/metrics`. An administrator may in any case.
    pub metrics: bool,
}

#[cfg(test)]
impl Key {
    /// The secret of [`Key::for_test`].
    pub(super) const TEST_SECRET: &str = "0123456789abcdef";

    /// Creates a key that may read everything, for tests.
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
            metrics: false,
        }
    }
}

/// The content of a keys file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyList {
    /// Rights of clients without a key.
    pub anonymous: Anonymous,
    /// What these rights are limited to.
    pub anonymous_scope: Scope,
    /// The keys in the order of the file. Ids and names are unique.
    pub keys: Vec<Key>,
}

/// A keys file cannot be read, used or written.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read.
    #[error("cannot read keys file {path}")]
    Read {
        /// Path of the file.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// The file has an error.
    #[error("keys file {path}, line {line}: {message}")]
    Content {
        /// Path of the file.
        path: String,
        /// Line of the error, counted from 1.
        line: usize,
        /// The error, and what is allowed.
        message: String,
    },
    /// The file cannot be written.
    #[error("cannot write keys file {path}")]
    Write {
        /// Path of the file.
        path: String,
        /// The cause.
        source: io::Error,
    },
}

/// An error in the text of a keys file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContentError {
    /// Line of the error, counted from 1.
    pub(crate) line: usize,
    /// The error, and what is allowed. Never contains a secret.
    pub(crate) message: String,
}

/// Reads the text of a keys file.
///
/// # Errors
/// Fails if the file does not exist, cannot be read, or is too large.
pub(crate) fn read(path: &Path) -> Result<String, KeysError> {
    let failed = |source| KeysError::Read { path: path.display().to_string(), source };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > FILE_BYTES_MAX {
        let text = format!("it has {bytes} bytes: expected at most {FILE_BYTES_MAX}");
        return Err(failed(io::Error::other(text)));
    }
    std::fs::read_to_string(path).map_err(failed)
}

impl KeyList {
    /// Reads a keys file.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or has an error; then its line is named.
    pub fn from_file(path: &Path) -> Result<Self, KeysError> {
        Self::from_text(&read(path)?, path)
    }

    /// Parses the text of a keys file. Errors name the path.
    pub(crate) fn from_text(text: &str, path: &Path) -> Result<Self, KeysError> {
        Self::parse(text).map_err(|ContentError { line, message }| KeysError::Content {
            path: path.display().to_string(),
            line,
            message,
        })
    }

    /// Parses the text of a keys file.
    pub(crate) fn parse(text: &str) -> Result<Self, ContentError> {
        let line = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        // Without the excerpt that the error of TOML shows: it may contain a secret.
        let mut raw: RawList = toml::from_str(text).map_err(|error| ContentError {
            line: error.span().map_or(1, |span| line(span.start)),
            message: error.message().to_owned(),
        })?;
        let mut taken = HashMap::new();
        for key in &raw.keys {
            for (what, value) in [("id", &key.id), ("name", &key.name)] {
                let line = line(value.span().start);
                check_id_or_name(what, value.get_ref())
                    .map_err(|message| ContentError { line, message })?;
                if let Some(first) = taken.insert((what, value.get_ref().as_str()), line) {
                    let message = format!("{what} {} is that of line {first}", value.get_ref());
                    return Err(ContentError { line, message });
                }
            }
        }
        drop(taken);
        let anonymous_scope = raw.anonymous_scope(line)?;
        let keys = raw.keys.into_iter().map(RawKey::key).collect();
        Ok(Self { anonymous: raw.anonymous, anonymous_scope, keys })
    }

    /// Finds the key with an id or a name.
    #[must_use]
    pub fn find(&self, id_or_name: &str) -> Option<&Key> {
        let by_id = self.keys.iter().find(|key| key.id == id_or_name);
        by_id.or_else(|| self.keys.iter().find(|key| key.name == id_or_name))
    }
}

/// Checks an id or a name, and names it in the error.
fn check_id_or_name(what: &str, value: &str) -> Result<(), String> {
    let checked = if what == "id" { check_id(value) } else { check_name(value) };
    checked.map_err(|allowed| format!("{what} {value:?}: {allowed}"))
}

/// Checks that a text can be the id of a key.
///
/// # Errors
/// Returns a description of what is allowed.
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

/// Checks that a text can be the name of a key.
///
/// # Errors
/// Returns a description of what is allowed.
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
    anonymous_feeds: Option<Spanned<FeedNames>>,
    anonymous_symbols: Option<Spanned<Vec<Symbol>>>,
    #[serde(default, rename = "key")]
    keys: Vec<RawKey>,
}

impl RawList {
    /// Returns what may be read without a key. `line` returns the line of an offset.
    fn anonymous_scope(&mut self, line: impl Fn(usize) -> usize) -> Result<Scope, ContentError> {
        let feeds = self.anonymous_feeds.take();
        let symbols = self.anonymous_symbols.take();
        let spans = [
            ("anonymous_feeds", feeds.as_ref().map(Spanned::span)),
            ("anonymous_symbols", symbols.as_ref().map(Spanned::span)),
        ];
        for (name, span) in spans {
            if let Some(span) = span
                && self.anonymous != Anonymous::Read
            {
                let message = format!(
                    "{name} limits what may be read without a key: expected anonymous = \"read\" as well"
                );
                return Err(ContentError { line: line(span.start), message });
            }
        }
        let feeds = feeds.map(|feeds| feeds.into_inner().0);
        Ok(Scope { feeds, symbols: symbols.map(|symbols| sorted(symbols.into_inner())) })
    }
}

/// A list of names of feeds.
#[derive(Debug)]
struct FeedNames(Vec<Feed>);

impl<'de> Deserialize<'de> for FeedNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        let feeds: Result<_, _> = names.iter().map(|name| Feed::new(name)).collect();
        feeds.map(Self).map_err(de::Error::custom)
    }
}

/// A key as the file has it, with the positions that errors name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    id: Spanned<String>,
    name: Spanned<String>,
    secret: SecretHash,
    role: Role,
    #[serde(default, deserialize_with = "feed_names")]
    feeds: Option<Vec<Feed>>,
    symbols: Option<Vec<Symbol>>,
    #[serde(default, deserialize_with = "positive")]
    symbols_max: Option<u32>,
    #[serde(default, deserialize_with = "positive")]
    sessions_max: Option<u32>,
    #[serde(default)]
    when_full: WhenFull,
    #[serde(default)]
    metrics: bool,
}

impl RawKey {
    fn key(self) -> Key {
        Key {
            id: self.id.into_inner(),
            name: self.name.into_inner(),
            secret: self.secret,
            role: self.role,
            feeds: self.feeds,
            symbols: self.symbols.map(sorted),
            symbols_max: self.symbols_max.map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
            sessions_max: self.sessions_max,
            when_full: self.when_full,
            metrics: self.metrics,
        }
    }
}

fn sorted(mut symbols: Vec<Symbol>) -> Vec<Symbol> {
    symbols.sort_unstable();
    symbols
}

fn feed_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Feed>>, D::Error> {
    FeedNames::deserialize(deserializer).map(|FeedNames(feeds)| Some(feeds))
}

/// Reads a limit. Zero is refused: it would look like "no limit", which is written by leaving it
/// out.
fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    match u32::deserialize(deserializer)? {
        0 => Err(de::Error::custom("expected 1 or more; without a limit leave it out")),
        limit => Ok(Some(limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "sha256:00112233445566778899aabbccddeeff:\
        0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn error(text: &str) -> ContentError {
        KeyList::parse(&text.replace("HASH", HASH)).unwrap_err()
    }

    #[test]
    fn all_settings_of_a_key_are_read() {
        let text = r#"
            anonymous = "read"
            anonymous_feeds = ["delayed_sip"]
            anonymous_symbols = ["MSFT", "AAPL"]
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
            metrics = true
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
        assert_eq!((key.when_full, key.metrics), (WhenFull::Replace, true));
        assert_eq!(list.anonymous_scope.symbols.as_deref(), Some(&symbols[..]), "sorted");
        assert_eq!(list.anonymous_scope.feeds.as_ref().unwrap()[0].as_str(), "delayed_sip");
        let other = list.find("other").unwrap();
        assert_eq!((&other.feeds, &other.symbols, other.sessions_max), (&None, &None, None));
    }

    #[test]
    fn empty_file_has_no_keys() {
        assert_eq!(KeyList::parse("# later\n").unwrap(), KeyList::default());
    }

    #[test]
    fn errors_name_their_line() {
        let key = "[[key]]\nid = \"a\"\nname = \"n\"\nsecret = \"HASH\"\nrole = \"read\"\n";
        let error_of = |more: &str| error(&format!("{key}{more}"));
        for (more, message) in [
            ("sesions_max = 1", "unknown field `sesions_max`"),
            ("sessions_max = 0", "expected 1 or more"),
            ("symbols = [\"aapl\"]", "expected 1 to 24 of A-Z"),
            ("feeds = [\"SIP\"]", "of a-z 0-9"),
            ("when_full = \"newest\"", "expected `refuse` or `replace`"),
            ("what", "key with no value"),
        ] {
            let error = error_of(more);
            assert_eq!(error.line, 6, "{error:?}");
            assert!(error.message.contains(message), "{error:?}");
        }
        let twice = error_of(&key.replace("\"a\"", "\"b\""));
        assert_eq!((twice.line, twice.message.as_str()), (8, "name n is that of line 3"));
        let odd = error(&key.replace("\"a\"", "\"a:b\""));
        assert!(odd.line == 2 && odd.message.contains("letters, digits"), "{odd:?}");
        assert!(error(&key.replace("\"a\"", "\"oauth\"")).message.contains("another meaning"));
    }

    #[test]
    fn limits_of_anonymous_readers_need_anonymous_readers() {
        for name in ["anonymous_feeds", "anonymous_symbols"] {
            for before in ["", "anonymous = \"none\"\n"] {
                let error = error(&format!("{before}{name} = []\n"));
                assert_eq!(error.line, 1 + before.lines().count());
                assert!(error.message.starts_with(name), "{error:?}");
                assert!(error.message.contains("expected anonymous = \"read\""), "{error:?}");
            }
        }
    }

    #[test]
    fn secret_in_plain_text_is_refused_and_not_repeated() {
        for secret in ["\"hunter2hunter2hunter2\"", "2222222222222222", "[\"hunter2\"]"] {
            let text =
                format!("[[key]]\nid = \"a\"\nname = \"n\"\nsecret = {secret}\nrole = \"read\"");
            let error = error(&text);
            assert!(error.message.contains("sha256:SALT:HASH"), "{error:?}");
            assert!(!format!("{error:?}").contains("2222") && error.line == 4, "{error:?}");
            assert!(!error.message.contains("hunter2"), "{error:?}");
        }
    }
}
