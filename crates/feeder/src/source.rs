//! Where ticks come from, and how that can fail.

use std::path::PathBuf;

use tickwire_protocol::Tick;

/// A sequence of ticks with their event times, mostly in order of time.
///
/// Reading may block on a file for a moment, never on a network or a clock.
pub trait Source {
    /// The next tick, `None` at the end.
    ///
    /// # Errors
    /// If the source cannot go on; it is not asked again.
    fn next_tick(&mut self) -> Result<Option<Tick>, SourceError>;

    /// Goes back to the first tick and gives the same ones again; `false` if it cannot, as a live
    /// source, whose ticks are gone once it has given them.
    ///
    /// # Errors
    /// If it could, but something is in the way; it is not asked again.
    fn rewind(&mut self) -> Result<bool, SourceError> {
        Ok(false)
    }

    /// Tells this source from others: two sources with the same identity give the same ticks in the
    /// same order, so that a position in one is a position in the other. A live source has an
    /// identity of its own in each run.
    fn identity(&self) -> u64;

    /// Malformed lines passed over so far.
    fn skipped(&self) -> u64 {
        0
    }

    /// How much of it is done, from 0 to 1, where that is known.
    fn fraction_done(&self) -> Option<f64> {
        None
    }
}

/// Why a source cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The name of a file says nothing about what is in it.
    #[error("{}: unknown kind of file: expected a name ending in .csv, .csv.gz, .ndjson or .ndjson.gz", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file cannot be read any further.
    #[error("cannot read {} after line {line}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The last line that was read, 0 if none was.
        line: u64,
        /// Why not.
        source: std::io::Error,
    },
    /// A compressed file ends before its data does.
    #[error("{} is cut off: the compressed data ends early, after line {line}", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The last complete line.
        line: u64,
    },
    /// A CSV file does not begin with a header that is known.
    #[error("{}, line 1: {problem}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What was given and what is allowed.
        problem: String,
    },
    /// A line is malformed.
    #[error("{}, line {line}, column {column}{}: {problem}", path.display(), in_brackets(field))]
    Line {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1; the header counts.
        line: u64,
        /// Where in the line the fault begins: number of the byte, from 1.
        column: usize,
        /// Name of the field, empty when it is not one field.
        field: &'static str,
        /// What was given and what is allowed.
        problem: String,
    },
}

fn in_brackets(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!(" ({field})") }
}
