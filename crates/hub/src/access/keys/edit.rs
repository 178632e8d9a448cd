//! Changing a keys file: comments and order stay, several programs may do it at once, and who reads
//! meanwhile finds either all of the old file or all of the new one.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::file::{Anonymous, Key, KeyList, KeysError, WhenFull};

/// Who may read and write keys files: their owner.
const MODE: u32 = 0o600;
const HEADER: &str = "[[key]]";

/// A keys file that nobody else changes meanwhile.
#[derive(Debug)]
pub struct KeysEditor {
    path: PathBuf,
    /// Held until the end.
    locked: File,
    text: String,
    list: KeyList,
}

impl KeysEditor {
    /// Opens a keys file to change it, and waits for others who do. If there is none, begins one in which
    /// somebody without a key may do what is said here.
    ///
    /// # Errors
    /// If the file cannot be read, or is not what it should be.
    pub fn open(path: &Path, anonymous: Anonymous) -> Result<Self, KeysError> {
        let failed = |source| KeysError::Read { path: path.display().to_string(), source };
        let (path, locked) = lock(path).map_err(failed)?;
        let mut text = super::file::read(&path)?;
        let list = KeyList::from_text(&text, &path)?;
        let mut editor = Self { path, locked, text: String::new(), list };
        if text.is_empty() && anonymous != Anonymous::None {
            text = format!("anonymous = {}\n", word(&anonymous));
            editor.list.anonymous = anonymous;
        }
        editor.text = text;
        Ok(editor)
    }

    /// What the file says.
    #[must_use]
    pub const fn list(&self) -> &KeyList {
        &self.list
    }

    /// Adds a key at the end.
    ///
    /// # Errors
    /// If its id or name is taken or cannot be one, or the file cannot be written.
    pub fn append(mut self, mut key: Key) -> Result<(), KeysError> {
        if let Some(symbols) = &mut key.symbols {
            symbols.sort_unstable();
        }
        let end = if self.text.is_empty() || self.text.ends_with('\n') { "" } else { "\n" };
        let space = if self.text.is_empty() { "" } else { "\n" };
        let text = format!("{}{end}{space}{}", self.text, block(&key));
        self.list.keys.push(key);
        self.write(&text)
    }

    /// Removes the key with an id; tells whether there was one.
    ///
    /// # Errors
    /// If the file cannot be written, or is spelled in a way that leaves this to a person.
    pub fn remove(mut self, id: &str) -> Result<bool, KeysError> {
        let Some(index) = self.list.keys.iter().position(|key| key.id == id) else {
            return Ok(false);
        };
        self.list.keys.remove(index);
        let text = without(&self.text, index);
        self.write(&text)?;
        Ok(true)
    }

    /// Puts a text in place of the file, if it says what is meant.
    fn write(&self, text: &str) -> Result<(), KeysError> {
        let failed = |source| KeysError::Write { path: self.path.display().to_string(), source };
        let meant = KeyList::from_text(text, &self.path)?;
        if meant != self.list {
            let text = format!("its keys are not tables below lines of {HEADER}: edit it by hand");
            return Err(failed(io::Error::other(text)));
        }
        replace(&self.path, &self.locked, text).map_err(failed)
    }
}

/// Opens or makes a file and locks it; another file may have come into its place while this waited.
fn lock(path: &Path) -> io::Result<(PathBuf, File)> {
    loop {
        let file = OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path)?;
        file.lock()?;
        // The file itself and not a link to it is what is replaced.
        let real = path.canonicalize()?;
        let (now, locked) = (real.metadata()?, file.metadata()?);
        if (now.dev(), now.ino()) == (locked.dev(), locked.ino()) {
            return Ok((real, file));
        }
    }
}

/// Puts a new file in place of one, with the same owner.
fn replace(path: &Path, old: &File, text: &str) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.new"));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&new)?;
    file.set_permissions(Permissions::from_mode(MODE))?;
    let (before, now) = (old.metadata()?, file.metadata()?);
    if (before.uid(), before.gid()) != (now.uid(), now.gid()) {
        std::os::unix::fs::chown(&new, Some(before.uid()), Some(before.gid()))?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// A key as the file spells it.
fn block(key: &Key) -> String {
    let mut text = format!("{HEADER}\n");
    let mut line = |name: &str, value: String| {
        let written = writeln!(text, "{name} = {value}");
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    };
    line("id", word(&key.id));
    line("name", word(&key.name));
    line("secret", word(&key.secret.to_string()));
    line("role", word(&key.role));
    if let Some(feeds) = &key.feeds {
        line("feeds", list(feeds.iter().map(|feed| feed.as_str())));
    }
    if let Some(symbols) = &key.symbols {
        line("symbols", list(symbols.iter().map(|symbol| symbol.as_str())));
    }
    if let Some(most) = key.symbols_max {
        line("symbols_max", most.to_string());
    }
    if let Some(most) = key.sessions_max {
        line("sessions_max", most.to_string());
    }
    if key.when_full != WhenFull::default() {
        line("when_full", word(&key.when_full));
    }
    text
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.map(|text| word(&text)).collect();
    format!("[{}]", words.join(", "))
}

/// A text of TOML.
fn word(value: &impl Serialize) -> String {
    toml::Value::try_from(value).map(|value| value.to_string()).unwrap_or_default()
}

/// The text without its key number so and so. Comments outside of the key stay: nobody knows what they
/// are about.
fn without(text: &str, index: usize) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let is_header = |line: &&str| line.trim_start().starts_with(HEADER);
    let headers: Vec<_> = (0..lines.len()).filter(|at| is_header(&lines[*at])).collect();
    let Some(&first) = headers.get(index) else { return text.to_owned() };
    let next = headers.get(index + 1).copied().unwrap_or(lines.len());
    let says_something = |line: &&str| !(line.trim().is_empty() || line.trim().starts_with('#'));
    let last = (first..next).rev().find(|at| says_something(&lines[*at])).unwrap_or(first);
    let before = lines[..first].concat();
    let behind = lines[last + 1..].concat();
    if before.is_empty() {
        behind.trim_start().to_owned()
    } else {
        before + behind.trim_start_matches('\n')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::keys::{Role, SecretHash};

    fn file() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        (folder, path)
    }

    fn open(path: &Path) -> KeysEditor {
        KeysEditor::open(path, Anonymous::None).unwrap()
    }

    #[test]
    fn a_key_comes_back_as_it_was_added() {
        let (_folder, path) = file();
        let full = Key {
            role: Role::Admin,
            feeds: Some(vec!["sip".parse().unwrap()]),
            symbols: Some(["BRK.B", "AAPL"].map(|name| name.parse().unwrap()).to_vec()),
            symbols_max: Some(30),
            sessions_max: Some(2),
            when_full: WhenFull::Replace,
            ..Key::for_test("one")
        };
        KeysEditor::open(&path, Anonymous::Read).unwrap().append(full.clone()).unwrap();
        open(&path).append(Key::for_test("two")).unwrap();
        let list = KeyList::from_file(&path).unwrap();
        assert_eq!(list.anonymous, Anonymous::Read);
        let sorted = list.keys[0].symbols.as_ref().unwrap();
        assert_eq!(sorted[0].as_str(), "AAPL");
        assert_eq!(list.keys[0], Key { symbols: Some(sorted.clone()), ..full });
        assert_eq!(list.keys[1].id, "two");
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        assert_eq!(path.parent().unwrap().read_dir().unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn comments_and_other_keys_stay_when_one_is_removed() {
        let (_folder, path) = file();
        let (a, b, c) =
            (block(&Key::for_test("a")), block(&Key::for_test("b")), block(&Key::for_test("c")));
        let before = format!("# all keys\n\n{a}\n# the second\n{b}# inside?\n\n# the third\n{c}");
        std::fs::write(&path, &before).unwrap();
        assert!(!open(&path).remove("d").unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
        assert!(open(&path).remove("b").unwrap());
        let after = format!("# all keys\n\n{a}\n# the second\n# inside?\n\n# the third\n{c}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
        assert!(open(&path).remove("a").unwrap());
        assert!(open(&path).remove("c").unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "# all keys\n\n# the second\n# inside?\n\n# the third\n");
    }

    #[test]
    fn what_cannot_be_edited_is_left_as_it_is() {
        let (_folder, path) = file();
        let hash = SecretHash::new("0123456789abcdef");
        let inline =
            format!("key = [{{id = \"a\", name = \"a\", secret = \"{hash}\", role = \"read\"}}]\n");
        for text in ["[[key]]\nid = 1\n".to_owned(), "no TOML".to_owned(), inline] {
            std::fs::write(&path, &text).unwrap();
            let added =
                KeysEditor::open(&path, Anonymous::None).and_then(|e| e.append(Key::for_test("b")));
            assert!(added.is_err(), "{text}");
            let removed = KeysEditor::open(&path, Anonymous::None).and_then(|e| e.remove("a"));
            assert!(removed.is_err(), "{text}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_name_or_id_that_is_taken_is_refused() {
        let (_folder, path) = file();
        open(&path).append(Key::for_test("one")).unwrap();
        let same_name = Key { name: "name of one".to_owned(), ..Key::for_test("two") };
        let error = open(&path).append(same_name).unwrap_err().to_string();
        assert!(error.contains("name of one is that of line 3"), "{error}");
        assert!(open(&path).append(Key::for_test("one")).is_err());
        assert_eq!(KeyList::from_file(&path).unwrap().keys.len(), 1);
    }

    #[test]
    fn keys_added_at_the_same_time_are_all_there() {
        let (_folder, path) = file();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    for n in 0..8 {
                        open(path).append(Key::for_test(&format!("{thread}-{n}"))).unwrap();
                    }
                });
            }
        });
        assert_eq!(KeyList::from_file(&path).unwrap().keys.len(), 64);
    }

    #[test]
    fn a_link_stays_one() {
        let (folder, path) = file();
        let link = folder.path().join("link.toml");
        std::fs::write(&path, "").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        open(&link).append(Key::for_test("one")).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(KeyList::from_file(&path).unwrap().keys.len(), 1);
    }
}
