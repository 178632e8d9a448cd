//! Recorded ticks from files, merged into one sequence.
//!
//! Files are read as they are needed, never as a whole. They are merged by time, then by their order
//! among the arguments; within a file its own order is kept, even where its times go back.

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

/// What to do about a malformed line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// End with an error that names it.
    #[default]
    Stop,
    /// Pass over it and count it. Where compressed data ends early, the file ends there.
    Skip,
}

/// What to replay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplayConfig {
    /// The files. Their names say what is in them:
    ///
    /// - `.csv`, `.csv.gz` with the header `time,symbol,exchange,price,size,conditions,correction`:
    ///   trades. Each character of the conditions that is not blank is one condition. A trade's id
    ///   is the number of its row (1 is the line below the header); its tape is unknown, so empty.
    ///   A row with correction 10 or 11 is followed by a cancel or error (`x`): of the earlier row
    ///   marked 8 or 7 with the same symbol, exchange, price and size, or of itself if there is
    ///   none. A row with correction 12 is followed by a correction (`c`): the row repeats what had
    ///   been reported, and the earlier row marked 1 of the same symbol and exchange (or itself) is
    ///   what it should have been.
    /// - `.csv`, `.csv.gz` with the header `time,symbol,exchange,bid,bid_size,ask,ask_size`: quotes,
    ///   both sides made by the one exchange.
    /// - `.ndjson`, `.ndjson.gz`: ticks as JSON objects, one a line.
    ///
    /// Columns may stand in any order and others among them.
    pub files: Vec<PathBuf>,
    /// Whether to begin again at the end, each time with later event times.
    pub repeat: bool,
    /// What to do about a malformed line.
    pub on_error: OnError,
}

/// Between the last tick of a round and the first of the next.
const ROUND_GAP: Duration = Duration::from_millis(1);

/// A file is told from others by its name and so many bytes of its beginning: it may move, and grow.
const FINGERPRINT_BYTES: u64 = 1_024;

/// The files of a [`ReplayConfig`] as one source.
#[derive(Debug)]
pub struct Replay {
    config: ReplayConfig,
    identity: u64,
    files: Vec<TickFile>,
    /// The next tick of each file, as far as it has been read.
    heads: Vec<Option<Tick>>,
    /// Invariant: holds time and index of exactly those heads that are there.
    order: BinaryHeap<Reverse<(UnixNanos, usize)>>,
    /// Files whose next tick has to be read first.
    stale: Vec<usize>,
    round: Round,
    skipped: u64,
    bytes: u64,
    bytes_read: Arc<AtomicU64>,
}

/// One pass over the files.
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
    /// If a file is of an unknown kind, cannot be opened, or has an unknown header.
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

    /// Reads on in the files that have no head.
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

/// The first bytes of a file; none of what is no file, since what is read from a pipe is gone.
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
