//! Changes a keys file: comments and order stay, several programs may change it at the same time,
//! and readers find either all of the old file or all of the new one.

mod locked_file;

use std::io;
use std::path::Path;

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, RawString, Table, value};

use super::file::{Anonymous, Key, KeyList, KeysError, WhenFull};
use locked_file::LockedFile;

/// Name of the tables of the file: each `[[key]]` is one.
const KEY: &str = "key";

/// A keys file, locked against other editors.
#[derive(Debug)]
pub struct KeysEditor {
    file: LockedFile,
    document: DocumentMut,
    list: KeyList,
}

impl KeysEditor {
    /// Opens a keys file, and waits until other editors have finished. A file that does not exist
    /// or is empty begins with the rights that `anonymous` gives to clients without a key.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or is not a valid keys file.
    pub fn open(path: &Path, anonymous: Anonymous) -> Result<Self, KeysError> {
        let failed = |source| KeysError::Read { path: path.display().to_string(), source };
        let file = LockedFile::open(path).map_err(failed)?;
        let text = super::file::read(file.path())?;
        let mut list = KeyList::from_text(&text, file.path())?;
        // Does not fail, since the list was read from it. Its error would show a secret.
        let document = text.parse::<DocumentMut>();
        let mut document = document.map_err(|_| failed(io::Error::other("it is not TOML")))?;
        if text.is_empty() && anonymous != Anonymous::None {
            document["anonymous"] = value(anonymous.name());
            list.anonymous = anonymous;
        }
        Ok(Self { file, document, list })
    }

    /// Returns the content of the file.
    #[must_use]
    pub const fn list(&self) -> &KeyList {
        &self.list
    }

    /// Adds a key at the end of the file.
    ///
    /// # Errors
    /// Fails if its id or name is taken or not allowed, or the file cannot be written.
    pub fn append(mut self, mut key: Key) -> Result<(), KeysError> {
        if let Some(symbols) = &mut key.symbols {
            symbols.sort_unstable();
        }
        let mut table = table(&key);
        // Comments at the end of the file stay before the new key.
        let mut before = text(Some(self.document.trailing()));
        if !before.is_empty() && !before.ends_with('\n') {
            before.push('\n');
        }
        if !self.document.is_empty() || !before.is_empty() {
            before.push('\n');
        }
        table.decor_mut().set_prefix(before);
        self.document.set_trailing("");
        self.tables()?.push(table);
        self.list.keys.push(key);
        self.save()
    }

    /// Removes the key with an id. Returns whether there was one. Comments above the key and after
    /// it stay: they may be about other keys.
    ///
    /// # Errors
    /// Fails if the file cannot be written, or its keys are written in a form that only a person
    /// can edit.
    pub fn remove(mut self, id: &str) -> Result<bool, KeysError> {
        let Some(index) = self.list.keys.iter().position(|key| key.id == id) else {
            return Ok(false);
        };
        let tables = self.tables()?;
        let before = text(tables.get(index).and_then(|table| table.decor().prefix()));
        tables.remove(index);
        if let Some(next) = tables.get_mut(index) {
            let joined = join(before, &text(next.decor().prefix()));
            next.decor_mut().set_prefix(joined);
        } else {
            let joined = join(before, &text(Some(self.document.trailing())));
            self.document.set_trailing(joined);
        }
        self.list.keys.remove(index);
        self.save()?;
        Ok(true)
    }

    /// Returns the tables of the keys.
    fn tables(&mut self) -> Result<&mut ArrayOfTables, KeysError> {
        let path = self.file.path().display().to_string();
        let empty = || Item::ArrayOfTables(ArrayOfTables::new());
        let tables = self.document.entry(KEY).or_insert_with(empty).as_array_of_tables_mut();
        tables.ok_or_else(|| {
            let text = "its keys are not tables below lines of [[key]]: edit it by hand";
            KeysError::Write { path, source: io::Error::other(text) }
        })
    }

    /// Writes the file, if the new text is a valid keys file with the keys of the list.
    fn save(&self) -> Result<(), KeysError> {
        let path = self.file.path();
        let failed = |source| KeysError::Write { path: path.display().to_string(), source };
        let text = self.document.to_string();
        if KeyList::from_text(&text, path)? != self.list {
            return Err(failed(io::Error::other("it would have other keys: edit it by hand")));
        }
        self.file.replace(&text).map_err(failed)
    }
}

/// Returns a key as a table of the file.
fn table(key: &Key) -> Table {
    let mut table = Table::new();
    table["id"] = value(&key.id);
    table["name"] = value(&key.name);
    table["secret"] = value(key.secret.to_string());
    table["role"] = value(key.role.name());
    if key.metrics {
        table["metrics"] = value(true);
    }
    if let Some(feeds) = &key.feeds {
        table["feeds"] = value(feeds.iter().map(|feed| feed.as_str()).collect::<Array>());
    }
    if let Some(symbols) = &key.symbols {
        table["symbols"] = value(symbols.iter().map(|symbol| symbol.as_str()).collect::<Array>());
    }
    if let Some(most) = key.symbols_max {
        table["symbols_max"] = value(i64::try_from(most).unwrap_or(i64::MAX));
    }
    if let Some(most) = key.sessions_max {
        table["sessions_max"] = value(i64::from(most));
    }
    if key.when_full != WhenFull::default() {
        table["when_full"] = value(key.when_full.name());
    }
    table
}

/// Returns the blank lines and comments around a part of the document.
fn text(around: Option<&RawString>) -> String {
    around.and_then(RawString::as_str).unwrap_or_default().to_owned()
}

/// Joins the comments around a part that was between them, without doubling blank lines.
fn join(before: String, after: &str) -> String {
    if before.is_empty() {
        after.trim_start().to_owned()
    } else {
        before + after.trim_start_matches('\n')
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::locked_file::MODE;
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
    fn key_reads_back_as_it_was_added() {
        let (_folder, path) = file();
        let full = Key {
            role: Role::Admin,
            feeds: Some(vec!["sip".parse().unwrap()]),
            symbols: Some(["BRK.B", "AAPL"].map(|name| name.parse().unwrap()).to_vec()),
            symbols_max: Some(30),
            sessions_max: Some(2),
            when_full: WhenFull::Replace,
            metrics: true,
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
        let [a, b, c] = ["a", "b", "c"].map(|id| format!("[[key]]\n{}", table(&Key::for_test(id))));
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
    fn new_key_follows_everything_that_the_file_ends_with() {
        let (_folder, path) = file();
        let [a, b] = ["a", "b"].map(|id| format!("[[key]]\n{}", table(&Key::for_test(id))));
        for (before, after) in [
            ("# no keys yet".to_owned(), format!("# no keys yet\n\n{b}")),
            (format!("{a}\n# the end\n"), format!("{a}\n# the end\n\n{b}")),
            (a.trim_end().to_owned(), format!("{a}\n{b}")),
            ("anonymous = \"read\" # all\n".into(), format!("anonymous = \"read\" # all\n\n{b}")),
        ] {
            std::fs::write(&path, before).unwrap();
            open(&path).append(Key::for_test("b")).unwrap();
            let salted = |line: &&str| line.starts_with("secret");
            let lines = |text: &str| -> Vec<String> {
                text.lines().filter(|line| !salted(line)).map(str::to_owned).collect()
            };
            assert_eq!(lines(&std::fs::read_to_string(&path).unwrap()), lines(&after));
        }
    }

    #[test]
    fn file_that_cannot_be_edited_stays_unchanged() {
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
    fn duplicate_name_or_id_is_refused() {
        let (_folder, path) = file();
        open(&path).append(Key::for_test("one")).unwrap();
        let same_name = Key { name: "name of one".to_owned(), ..Key::for_test("two") };
        let error = open(&path).append(same_name).unwrap_err().to_string();
        assert!(error.contains("name of one is that of line 3"), "{error}");
        assert!(open(&path).append(Key::for_test("one")).is_err());
        assert_eq!(KeyList::from_file(&path).unwrap().keys.len(), 1);
    }

    #[test]
    fn concurrent_editors_lose_no_key() {
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
    fn symbolic_link_stays_a_link() {
        let (folder, path) = file();
        let link = folder.path().join("link.toml");
        std::fs::write(&path, "").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        open(&link).append(Key::for_test("one")).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(KeyList::from_file(&path).unwrap().keys.len(), 1);
    }
}
