//! A simulated disk: written data survives a killed hub, synced data survives a failed machine.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use tickwire_hub::durable::Storage;

use crate::random::Random;

#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Rc<RefCell<Content>>);

#[derive(Debug, Default)]
struct Content {
    files: BTreeMap<String, File>,
    fault: Option<DiskFault>,
}

#[derive(Debug, Default)]
struct File {
    bytes: Vec<u8>,
    /// Number of bytes that survive a failure of the machine.
    synced: usize,
}

/// The outcome of the next write.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DiskFault {
    /// The disk is full after this many bytes.
    Full { written: usize },
    /// The hub is killed after this many bytes.
    Killed { written: usize },
}

impl Disk {
    pub(crate) fn set_fault(&self, fault: Option<DiskFault>) {
        self.0.borrow_mut().fault = fault;
    }

    /// Syncs everything written so far.
    pub(crate) fn sync(&self) {
        for file in self.0.borrow_mut().files.values_mut() {
            file.synced = file.bytes.len();
        }
    }

    /// Simulates a failure of the machine: a part of the unsynced data is lost.
    pub(crate) fn fail(&self, random: &mut Random) {
        for file in self.0.borrow_mut().files.values_mut() {
            let left = file.synced + random.index(file.bytes.len() - file.synced + 1);
            file.bytes.truncate(left);
            file.synced = left;
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut content = self.0.borrow_mut();
        let fault = content.fault;
        let file = content.files.entry(name.to_owned()).or_default();
        let (written, kind) = match fault {
            None => {
                file.bytes.extend(bytes);
                return Ok(());
            }
            Some(DiskFault::Full { written }) => (written, io::ErrorKind::StorageFull),
            Some(DiskFault::Killed { written }) => (written, io::ErrorKind::Interrupted),
        };
        file.bytes.extend(&bytes[..written.min(bytes.len() - 1)]);
        Err(kind.into())
    }
}

impl Storage for Disk {
    /// Name of the file.
    type File = String;

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let content = self.0.borrow();
        Ok(content
            .files
            .iter()
            .map(|(name, file)| (name.clone(), file.bytes.len() as u64))
            .collect())
    }

    fn read(&self, name: &str, bytes_max: usize) -> io::Result<Vec<u8>> {
        let content = self.0.borrow();
        let file = content.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(file.bytes[..file.bytes.len().min(bytes_max)].to_vec())
    }

    fn create(&self, name: &str, content: &[u8]) -> io::Result<String> {
        self.replace(name, content)?;
        Ok(name.to_owned())
    }

    fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        if let Some(DiskFault::Full { .. }) = self.0.borrow().fault {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = File { bytes: content.to_vec(), synced: content.len() };
        self.0.borrow_mut().files.insert(name.to_owned(), file);
        Ok(())
    }

    fn append(&self, file: &mut String, bytes: &[u8]) -> io::Result<()> {
        self.write(file, bytes)
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        let mut content = self.0.borrow_mut();
        let file = content.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        file.bytes.truncate(usize::try_from(len).unwrap());
        file.synced = file.synced.min(file.bytes.len());
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = self.0.borrow_mut().files.remove(name);
        removed.map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
