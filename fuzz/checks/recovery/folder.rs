//! A folder in memory whose files can be damaged in arbitrary ways.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use tickwire_hub::durable::Storage;

use super::super::input::Input;

/// Bytes before the first frame of a file.
const MAGIC_BYTES: usize = 8;
/// Length of the content, checksum of the content, checksum of both fields.
const FRAME_HEADER_BYTES: usize = 12;

#[derive(Debug, Clone, Default)]
pub(super) struct Folder(Rc<RefCell<BTreeMap<String, Vec<u8>>>>);

impl Folder {
    /// Changes one file. Returns whether the change was sealed: made within a frame whose checksums
    /// were then corrected, which no accident does.
    pub(super) fn change(&self, input: &mut Input<'_>) -> bool {
        let mut files = self.0.borrow_mut();
        let count = files.len().max(1);
        let Some(name) = files.keys().nth(usize::from(input.byte()) % count).cloned() else {
            return false;
        };
        let Some(file) = files.get_mut(&name) else { return false };
        let kind = input.byte() % 8;
        let at = usize::from(input.number()) % file.len().max(1);
        match kind {
            0 => file.truncate(at),
            1 => {
                let count = usize::from(input.byte());
                file.extend_from_slice(input.take(count));
            }
            2 => drop(files.remove(&name)),
            3 | 4 => {
                let new = input.take(1 + usize::from(kind) % 4 * 3);
                overwrite(file, at, new);
            }
            5 => drop(file.get_mut(at).map(|byte| *byte ^= 1 << (input.byte() % 8))),
            _ => {
                let count = 1 + usize::from(input.byte() % 9);
                return overwrite_sealed(file, at, input.take(count));
            }
        }
        false
    }
}

fn overwrite(file: &mut [u8], at: usize, new: &[u8]) {
    file.iter_mut().skip(at).zip(new).for_each(|(old, new)| *old = *new);
}

/// Overwrites bytes at `at` and corrects the checksums of the frame around them. Returns false
/// without a change if no complete frame is there.
fn overwrite_sealed(file: &mut [u8], at: usize, new: &[u8]) -> bool {
    let mut start = MAGIC_BYTES;
    while let Some(header) = file.get(start..start + FRAME_HEADER_BYTES) {
        let length = header.first_chunk().copied().map_or(0, u32::from_le_bytes) as usize;
        let content = start + FRAME_HEADER_BYTES;
        let end = content.saturating_add(length);
        if end > file.len() {
            return false;
        }
        if at < end {
            overwrite(&mut file[content..end], at.saturating_sub(content), new);
            let sum = crc32fast::hash(&file[content..end]);
            file[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
            let check = crc32fast::hash(&file[start..start + 8]);
            file[start + 8..content].copy_from_slice(&check.to_le_bytes());
            return true;
        }
        start = end;
    }
    false
}

impl Storage for Folder {
    type File = String;

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let files = self.0.borrow();
        Ok(files.iter().map(|(name, file)| (name.clone(), file.len() as u64)).collect())
    }

    fn read(&self, name: &str, bytes_max: usize) -> io::Result<Vec<u8>> {
        let files = self.0.borrow();
        let file = files.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(file[..file.len().min(bytes_max)].to_vec())
    }

    fn create(&self, name: &str, content: &[u8]) -> io::Result<String> {
        self.0.borrow_mut().insert(name.to_owned(), content.to_vec());
        Ok(name.to_owned())
    }

    fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        self.create(name, content).map(drop)
    }

    fn append(&self, file: &mut String, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.0.borrow_mut();
        files.get_mut(file).ok_or(io::ErrorKind::NotFound)?.extend_from_slice(bytes);
        Ok(())
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        let mut files = self.0.borrow_mut();
        let file = files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        file.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.borrow_mut().remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
