//! Replays recorded ticks from files, merged into one sequence.
//!
//! Files are read incrementally, never as a whole. Ticks are merged by time, then by the order of
//! the files in the arguments. Within a file the order is kept, even if its times decrease.

mod corrections;
mod file;
mod lines;
mod table;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tickwire_protocol::{Tick, UnixNanos};

use crate::{Source, SourceError, identity};
use file::TickFile;

/// What to do with a malformed line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// End with an error that names the line.
    #[default]
    Stop,
    /// Skip and count the line. A truncated compressed file ends where its data ends.
    Skip,
}

/// Settings of a replay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplayConfig {
    /// The files. The ending of a name sets the format:
    ///
    /// - `.csv`, `.csv.gz` with the header `time,symbol,exchange,price,size,conditions,correction`:
    ///   trades. Each non-blank character of the conditions is one condition. The id of a trade is
    ///   the number of its row, starting at 1 after the header. The tape is unknown and left empty.
    ///   A row with correction 10 or 11 is followed by a cancel or error (`x`) of the earlier row
    ///   marked 8 or 7 with the same symbol, exchange, price and size, or of itself if there is
    ///   none. A row with correction 12 is followed by a correction (`c`): the row repeats the
    ///   reported values, and the earlier row marked 1 with the same symbol and exchange (or the
    ///   row itself) has the corrected ones.
    /// - `.csv`, `.csv.gz` with the header `time,symbol,exchange,bid,bid_size,ask,ask_size`:
    ///   quotes, with both sides from one exchange.
    /// - `.ndjson`, `.ndjson.gz`: ticks as JSON objects, one per line.
    ///
    /// Columns may be in any order, with other columns among them.
    pub files: Vec<PathBuf>,
    /// Whether to repeat the files endlessly, each round with later event times.
    pub repeat: bool,
    /// What to do with a malformed line.
    pub on_error: OnError,
}

/// Time between the last tick of a round and the first tick of the next one.
const ROUND_GAP: Duration = Duration::from_millis(1);

/// Number of leading bytes that identify a file, together with its name: a file may move and grow.
const FINGERPRINT_BYTES: u64 = 1_024;

/// A source that merges the files of a [`ReplayConfig`].
#[derive(Debug)]
pub struct Replay {
    config: ReplayConfig,
    identity: u64,
    files: Vec<TickFile>,
    /// The next tick of each file, if it has been read.
    heads: Vec<Option<Tick>>,
    /// The time and file index of each tick in `heads`, earliest first.
    order: BinaryHeap<Reverse<(UnixNanos, usize)>>,
    /// Indices of the files whose next tick must be read.
    stale: Vec<usize>,
    round: Round,
    skipped: u64,
    bytes: u64,
    bytes_read: Arc<AtomicU64>,
}

/// One pass over the files. Later passes shift the event times, so that times never repeat.
#[derive(Debug, Default)]
struct Round {
    shift: Duration,
    first: Option<UnixNanos>,
    last: UnixNanos,
}

impl Replay {
    /// Opens the files and reads the headers of tables.
    ///
    /// # Errors
    /// Fails if a file is of an unknown kind, cannot be opened, or has an unknown header.
    pub fn open(config: ReplayConfig) -> Result<Self, SourceError> {
        let mut replay = Self {
            config,
            identity: 0,
            files: Vec::new(),
            heads: Vec::new(),
            order: BinaryHeap::new(),
            stale: Vec::new(),
            round: Round::default(),
            skipped: 0,
            bytes: 0,
            bytes_read: Arc::default(),
        };
        replay.begin_round()?;
        replay.identity = identity(&replay.config.files)?;
        Ok(replay)
    }

    fn begin_round(&mut self) -> Result<(), SourceError> {
        self.bytes_read.store(0, Relaxed);
        let open = |path: &PathBuf| TickFile::open(path, &self.bytes_read);
        self.files = self.config.files.iter().map(open).collect::<Result<_, _>>()?;
        self.bytes = self.files.iter().map(TickFile::bytes).sum();
        self.heads = vec![None; self.files.len()];
        // In reverse, since the last one is read first.
        self.stale = (0..self.files.len()).rev().collect();
        Ok(())
    }

    /// Reads the next tick of every file in `stale` into `heads`.
    fn refill(&mut self) -> Result<(), SourceError> {
        while let Some(&index) = self.stale.last() {
            let tick = loop {
                match self.files[index].next_tick() {
                    Err(error @ (SourceError::Line { .. } | SourceError::Truncated { .. }))
                        if self.config.on_error == OnError::Skip =>
                    {
                        self.skipped += 1;
                        tracing::warn!("skipped: {error}");
                        if matches!(error, SourceError::Truncated { .. }) {
                            break None;
                        }
                    }
                    result => break result?,
                }
            };
            self.stale.pop();
            if let Some(tick) = &tick {
                self.order.push(Reverse((tick.time, index)));
            }
            self.heads[index] = tick;
        }
        Ok(())
    }

    fn next_of_round(&mut self) -> Result<Option<Tick>, SourceError> {
        self.refill()?;
        let Some(Reverse((_, index))) = self.order.pop() else { return Ok(None) };
        self.stale.push(index);
        Ok(self.heads[index].take())
    }
}

fn identity(files: &[PathBuf]) -> Result<u64, SourceError> {
    let mut parts = vec![b"replay".to_vec()];
    for path in files {
        parts.extend(path.file_name().map(|name| name.as_encoded_bytes().to_vec()));
        parts.push(
            beginning(path).map_err(|source| SourceError::Open { path: path.clone(), source })?,
        );
    }
    Ok(identity::of(parts.iter().map(Vec::as_slice)))
}

/// Returns the first bytes of a regular file, which identify it. Returns no bytes for a pipe, which
/// cannot be read again.
fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path.metadata()?.is_file() {
        File::open(path)?.take(FINGERPRINT_BYTES).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

impl Source for Replay {
    fn next_tick(&mut self) -> Result<Option<Tick>, SourceError> {
        let mut next = self.next_of_round()?;
        if let (None, true, Some(first)) = (&next, self.config.repeat, self.round.first) {
            let shift = self.round.shift + self.round.last.since(first) + ROUND_GAP;
            self.round = Round { shift, ..Round::default() };
            self.begin_round()?;
            next = self.next_of_round()?;
        }
        if let Some(tick) = &mut next {
            self.round.first.get_or_insert(tick.time);
            self.round.last = self.round.last.max(tick.time);
            tick.time = tick.time + self.round.shift;
        }
        Ok(next)
    }

    fn rewind(&mut self) -> Result<bool, SourceError> {
        self.order.clear();
        self.round = Round::default();
        self.skipped = 0;
        self.begin_round()?;
        Ok(true)
    }

    fn identity(&self) -> u64 {
        self.identity
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }

    fn fraction_done(&self) -> Option<f64> {
        let read = self.bytes_read.load(Relaxed) as f64;
        (!self.config.repeat).then(|| read / self.bytes.max(1) as f64)
    }
}
