//! A folder in memory that can fail, fill up and be damaged.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use crate::durable::Storage;
use crate::durable::storage::{FileKind, UNFINISHED, file_kind};

#[derive(Debug, Clone, Default)]
pub(super) struct Folder {
    files: Rc<RefCell<BTreeMap<String, Vec<u8>>>>,
    health: Rc<Cell<Health>>,
    /// Name of a file whose reads fail.
    unreadable: Rc<RefCell<Option<String>>>,
}

#[derive(Debug, Clone, Copy, Default)]
enum Health {
    #[default]
    Fine,
    /// This many more operations succeed. The next one is carried out in part, later ones not at
    /// all.
    Dying {
        operations: usize,
        percent: usize,
    },
    Dead,
    /// Writes fail until a file is deleted.
    Full,
}

impl Folder {
    pub(super) fn die_after(&self, operations: usize, percent: usize) {
        self.health.set(Health::Dying { operations, percent });
    }

    pub(super) fn live(&self) {
        self.health.set(Health::Fine);
    }

    pub(super) fn fill(&self) {
        self.health.set(Health::Full);
    }

    pub(super) fn is_dead(&self) -> bool {
        matches!(self.health.get(), Health::Dead)
    }

    /// Returns an independent folder with the same files.
    pub(super) fn copy(&self) -> Self {
        let files = Rc::new(RefCell::new(self.files.borrow().clone()));
        Self { files, ..Self::default() }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.files.borrow().keys().cloned().collect()
    }

    fn checkpoint_numbers(&self) -> Vec<u64> {
        let number = |name: &String| match file_kind(name) {
            FileKind::Checkpoint(number) => Some(number),
            _ => None,
        };
        self.files.borrow().keys().filter_map(number).collect()
    }

    pub(super) fn checkpoints(&self) -> usize {
        self.checkpoint_numbers().len()
    }

    pub(super) fn newest_checkpoint(&self) -> u64 {
        *self.checkpoint_numbers().last().unwrap()
    }

    pub(super) fn make_unreadable(&self, name: &str) {
        self.unreadable.replace(Some(name.to_owned()));
    }

    pub(super) fn make_readable(&self) {
        self.unreadable.replace(None);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.files.borrow().values().map(|file| file.len() as u64).sum()
    }

    pub(super) fn len(&self, name: &str) -> usize {
        self.files.borrow()[name].len()
    }

    /// Returns name and length of the last segment.
    pub(super) fn last_segment(&self) -> (String, usize) {
        let files = self.files.borrow();
        let mut segments =
            files.iter().filter(|(name, _)| matches!(file_kind(name), FileKind::Segment(_)));
        let (name, file) = segments.next_back().unwrap();
        (name.clone(), file.len())
    }

    pub(super) fn cut_to(&self, name: &str, len: usize) {
        self.files.borrow_mut().get_mut(name).unwrap().truncate(len);
    }

    pub(super) fn flip(&self, name: &str, bit: usize) {
        self.files.borrow_mut().get_mut(name).unwrap()[bit / 8] ^= 1 << (bit % 8);
    }

    pub(super) fn remove_file(&self, name: &str) {
        self.files.borrow_mut().remove(name);
    }

    /// Returns the percentage of its bytes that the next operation writes. Below 100 the operation
    /// fails.
    fn percent(&self) -> usize {
        match self.health.get() {
            Health::Fine => 100,
            Health::Full | Health::Dead => 0,
            Health::Dying { operations: 0, percent } => {
                self.health.set(Health::Dead);
                percent
            }
            Health::Dying { operations, percent } => {
                self.health.set(Health::Dying { operations: operations - 1, percent });
                100
            }
        }
    }

    fn error(&self) -> io::Error {
        match self.health.get() {
            Health::Full => io::ErrorKind::StorageFull.into(),
            _ => io::Error::other("dead"),
        }
    }
}

impl Storage for Folder {
    type File = String;

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let files = self.files.borrow();
        Ok(files.iter().map(|(name, file)| (name.clone(), file.len() as u64)).collect())
    }

    fn read(&self, name: &str, bytes_max: usize) -> io::Result<Vec<u8>> {
        if self.unreadable.borrow().as_deref() == Some(name) {
            return Err(io::Error::other("unreadable"));
        }
        let files = self.files.borrow();
        let file = files.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(file[..file.len().min(bytes_max)].to_vec())
    }

    fn create(&self, name: &str, content: &[u8]) -> io::Result<String> {
        let percent = self.percent();
        if percent < 100 {
            let part = content[..content.len() * percent / 100].to_vec();
            if percent > 0 {
                self.files.borrow_mut().insert(format!("{name}{UNFINISHED}"), part);
            }
            return Err(self.error());
        }
        self.files.borrow_mut().insert(name.to_owned(), content.to_vec());
        Ok(name.to_owned())
    }

    fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        self.create(name, content).map(drop)
    }

    fn append(&self, file: &mut String, bytes: &[u8]) -> io::Result<()> {
        let percent = self.percent();
        let part = &bytes[..bytes.len() * percent / 100];
        self.files.borrow_mut().get_mut(file.as_str()).unwrap().extend_from_slice(part);
        if percent < 100 { Err(self.error()) } else { Ok(()) }
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        if self.percent() < 100 {
            return Err(self.error());
        }
        self.cut_to(name, usize::try_from(len).unwrap());
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if matches!(self.health.get(), Health::Full) && file_kind(name) != FileKind::Other {
            self.live();
        } else if !matches!(self.health.get(), Health::Full) && self.percent() < 100 {
            return Err(self.error());
        }
        self.files.borrow_mut().remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
