//! The trait of tick sources, and their errors.

use std::path::PathBuf;

use tickwire_protocol::{Printable, Tick};

/// A sequence of ticks with event times, mostly in order of time.
///
/// Methods may block briefly on a file, but never on a network or a clock.
pub trait Source {
    /// Returns the next tick, or `None` at the end.
    ///
    /// # Errors
    /// Fails if the source cannot continue. It is not called again then.
    fn next_tick(&mut self) -> Result<Option<Tick>, SourceError>;

    /// Returns to the first tick and yields the same ticks again. Returns `false` if the source
    /// cannot be read again, such as a live source.
    ///
    /// # Errors
    /// Fails if reading again fails, for example because a file is gone. The source is not called
    /// again then.
    fn rewind(&mut self) -> Result<bool, SourceError> {
        Ok(false)
    }

    /// Returns a number that identifies the source: two sources with the same identity yield the
    /// same ticks in the same order, so a position in one is valid in the other. A live source has
    /// a new identity in each run.
    fn identity(&self) -> u64;

    /// Returns the number of malformed lines skipped so far.
    fn skipped(&self) -> u64 {
        0
    }

    /// Returns the part of the source that has been read, from 0 to 1, or `None` if it is unknown.
    fn fraction_done(&self) -> Option<f64> {
        None
    }
}

/// Why a source cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The name of a file has no known ending.
    #[error("{}: unknown kind of file: expected a name ending in .csv, .csv.gz, .ndjson or .ndjson.gz", path.display())]
    Kind {
        /// Path of the file.
        path: PathBuf,
    },
    /// A file cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// Path of the file.
        path: PathBuf,
        /// Cause reported by the system.
        source: std::io::Error,
    },
    /// Reading a file failed.
    #[error("cannot read {} after line {line}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// Number of the last line that was read; 0 if none.
        line: u64,
        /// Cause reported by the system.
        source: std::io::Error,
    },
    /// A compressed file is truncated.
    #[error("{} is cut off: the compressed data ends early, after line {line}", path.display())]
    Truncated {
        /// Path of the file.
        path: PathBuf,
        /// Number of the last complete line.
        line: u64,
    },
    /// The header of a CSV file is unknown.
    #[error("{}, line 1: {}", path.display(), Printable(problem))]
    Header {
        /// Path of the file.
        path: PathBuf,
        /// Description with the given and the allowed value.
        problem: String,
    },
    /// A line is malformed.
    #[error("{}, line {line}, column {column}{}: {}", path.display(), in_brackets(field), Printable(problem))]
    Line {
        /// Path of the file.
        path: PathBuf,
        /// Number of the line, starting at 1 with the header.
        line: u64,
        /// Byte of the line at which the fault starts, from 1.
        column: usize,
        /// Name of the field; empty if the fault is not in one field.
        field: &'static str,
        /// Description with the given and the allowed value.
        problem: String,
    },
}

fn in_brackets(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!(" ({field})") }
}
