//! Reads the lines of a file that may be compressed and may be huge.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use flate2::read::MultiGzDecoder;

use crate::SourceError;

/// Longest line to accept, in bytes. Otherwise a file without line ends would be read into memory
/// as a whole.
const LINE_BYTES_MAX: usize = 64 * 1024;
const BUFFER_BYTES: usize = 64 * 1024;

/// A reader of lines.
pub(super) struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    /// Opens a file, whose lines are decompressed if its name ends in `.gz`. Reading lines adds the
    /// number of bytes read from disk to `bytes_read`. Also returns the length of the file on disk,
    /// in bytes.
    pub(super) fn open(
        path: &Path,
        bytes_read: &Arc<AtomicU64>,
    ) -> Result<(Self, u64), SourceError> {
        let failed = |source| SourceError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let counted = Counted { file, bytes_read: Arc::clone(bytes_read) };
        let reader: Box<dyn BufRead + Send> =
            if path.extension().is_some_and(|extension| extension == "gz") {
                let decoder = MultiGzDecoder::new(BufReader::new(counted));
                Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder))
            } else {
                Box::new(BufReader::with_capacity(BUFFER_BYTES, counted))
            };
        let lines = Self { path: path.to_owned(), reader, line: Vec::new(), number: 0 };
        Ok((lines, metadata.len()))
    }

    /// Advances to the next line. Returns `false` at the end.
    pub(super) fn advance(&mut self) -> Result<bool, SourceError> {
        self.line.clear();
        let mut length = 0;
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.broken(error)),
            };
            let end = chunk.iter().position(|&byte| byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            length += part.len();
            if length <= LINE_BYTES_MAX {
                self.line.extend_from_slice(part);
            }
            let at_end = chunk.is_empty();
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if at_end && length == 0 {
                return Ok(false);
            }
            if at_end || end.is_some() {
                break;
            }
        }
        self.number += 1;
        if length > LINE_BYTES_MAX {
            let problem = format!("a line of {length} bytes: expected at most {LINE_BYTES_MAX}");
            return Err(self.malformed(LINE_BYTES_MAX + 1, "", problem));
        }
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        Ok(true)
    }

    /// Returns the current line as text, without its line end.
    pub(super) fn text(&self) -> Result<&str, SourceError> {
        let text = std::str::from_utf8(&self.line).map_err(|error| {
            self.malformed(error.valid_up_to() + 1, "", "not UTF-8 text".to_owned())
        })?;
        // Spreadsheets write a byte order mark at the start of a file.
        Ok(if self.number == 1 { text.trim_start_matches('\u{feff}') } else { text })
    }

    /// Returns the number of the current line, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Returns the error for a fault in the current line. `column` is the byte at which the fault
    /// starts, from 1.
    pub(super) fn malformed(
        &self,
        column: usize,
        field: &'static str,
        problem: String,
    ) -> SourceError {
        SourceError::Line { path: self.path.clone(), line: self.number, column, field, problem }
    }

    fn broken(&self, source: io::Error) -> SourceError {
        let path = self.path.clone();
        let line = self.number;
        match source.kind() {
            io::ErrorKind::UnexpectedEof => SourceError::Truncated { path, line },
            _ => SourceError::Read { path, line, source },
        }
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("path", &self.path).field("number", &self.number).finish()
    }
}

/// A file whose reads are added to `bytes_read`, for the progress of the feed.
struct Counted {
    file: File,
    bytes_read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.bytes_read.fetch_add(count as u64, Relaxed);
        Ok(count)
    }
}
