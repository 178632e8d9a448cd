//! Writes the log: a record for each turn, and a new segment now and then.

use std::io;
use std::time::Duration;

use tickwire_protocol::UnixNanos;

use super::epoch::{EPOCH_FILE, EpochFile};
use super::record::Turn;
use super::recovery::Recovered;
use super::segment::Header;
use super::state::State;
use super::storage::{Storage, checkpoint_name, segment_name};
use super::{frame, record};
use crate::fanout::{Batch, Position};

/// A segment that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Its number; contiguous.
    pub number: u64,
    /// Position of its first tick.
    pub first: Position,
    /// When the last tick before it was received.
    pub received: UnixNanos,
    /// Its size, as far as it is known.
    pub bytes: u64,
}

/// When a new segment begins.
#[derive(Debug, Clone, Copy)]
pub struct Rolling {
    /// Once the segment has so many bytes.
    pub bytes: u64,
    /// Once the segment spans so much time.
    pub time: Duration,
}

/// The end of the log that is written to.
#[derive(Debug)]
pub struct Writer<S: Storage> {
    storage: S,
    file: S::File,
    header: Header,
    segment: Segment,
    rolling: Rolling,
    boot: String,
    /// When the segment's time began.
    began: UnixNanos,
    /// Position behind the last tick that was written.
    head: Position,
    record: Vec<u8>,
}

impl<S: Storage> Writer<S> {
    /// Begins to write behind what was recovered: a segment and the checkpoint at its beginning, then
    /// the epoch's file; at last what nobody needs any more is removed.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn begin(
        storage: S,
        recovered: &mut Recovered,
        rolling: Rolling,
        boot: &str,
    ) -> io::Result<Self> {
        if let Some((name, len)) = recovered.cut.take() {
            storage.cut(&name, len)?;
        }
        if !recovered.continues {
            remove_if_there(&storage, EPOCH_FILE)?;
        }
        let state = &recovered.state;
        let number = recovered.next;
        let file = loop {
            match create(&storage, state, number) {
                Err(error) if is_full(&error) => {
                    let Some(name) = recovered.obsolete.pop_front() else { return Err(error) };
                    remove_if_there(&storage, &name)?; // perhaps it is what filled it
                }
                created => break created?,
            }
        };
        let header = header_of(state);
        let segment = segment_of(&header, number);
        let epoch = EpochFile { epoch: header.epoch.clone(), boot: boot.to_owned(), clean: None };
        storage.replace(EPOCH_FILE, epoch.write().as_bytes())?;
        recovered.obsolete.drain(..).try_for_each(|name| remove_if_there(&storage, &name))?;
        recovered.segments.push(segment);
        Ok(Self {
            storage,
            file,
            segment,
            rolling,
            boot: boot.to_owned(),
            head: header.first,
            began: header.received,
            header,
            record: Vec::new(),
        })
    }

    /// Writes what a turn changed, which must continue what is there. Nothing is written if that is
    /// nothing.
    ///
    /// # Errors
    /// If it cannot be written. Then the log has ended, and [cannot be continued](Self::give_up).
    pub fn append(&mut self, turn: &Turn<'_>) -> io::Result<()> {
        if turn.is_empty() {
            return Ok(());
        }
        self.record.clear();
        let head = self.head;
        frame::write(&mut self.record, |out| record::write(turn, head, out));
        self.storage.append(&mut self.file, &self.record)?;
        if self.began == UnixNanos::default() {
            self.began = turn.received; // there was no tick before
        }
        self.segment.bytes += self.record.len() as u64;
        self.head = turn.batch.map_or(head, Batch::end);
        self.record.shrink_to(RECORD_BYTES_KEPT);
        Ok(())
    }

    /// Begins a new segment if it is time, and says which one has ended.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn roll(&mut self, received: UnixNanos) -> io::Result<Option<Segment>> {
        let Segment { bytes, number, .. } = self.segment;
        let is_old = received.since(self.began) >= self.rolling.time;
        if self.head == self.header.first || !(bytes >= self.rolling.bytes || is_old) {
            return Ok(None);
        }
        self.header.first = self.head;
        self.header.received = received;
        self.began = received;
        self.file = self.storage.create(&segment_name(number + 1), &self.header.write())?;
        let begun = segment_of(&self.header, number + 1);
        Ok(Some(std::mem::replace(&mut self.segment, begun)))
    }

    /// The segment that is written to.
    #[must_use]
    pub const fn segment(&self) -> Segment {
        self.segment
    }

    /// Its file.
    #[must_use]
    pub const fn file(&self) -> &S::File {
        &self.file
    }

    /// Ends in order: the log may be continued in whatever start of the machine. All that was written
    /// must be on the disk.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn finish(self) -> io::Result<()> {
        let Self { storage, boot, header, head, .. } = self;
        let epoch = EpochFile { epoch: header.epoch, boot, clean: Some(head) };
        storage.replace(EPOCH_FILE, epoch.write().as_bytes())
    }

    /// Ends after an error: the log may not be continued.
    ///
    /// # Errors
    /// If even that cannot be written.
    pub fn give_up(self) -> io::Result<()> {
        forget_epoch(&self.storage)
    }
}

/// A record's buffer is kept from turn to turn up to this size, in bytes.
const RECORD_BYTES_KEPT: usize = 1 << 20;

fn header_of(state: &State) -> Header {
    Header {
        epoch: state.epoch.clone(),
        first: state.head,
        received: state.received,
        feeds: state.feeds.clone(),
    }
}

fn segment_of(header: &Header, number: u64) -> Segment {
    Segment { number, first: header.first, received: header.received, bytes: 0 }
}

fn create<S: Storage>(storage: &S, state: &State, number: u64) -> io::Result<S::File> {
    let file = storage.create(&segment_name(number), &header_of(state).write())?;
    storage.replace(&checkpoint_name(number), &state.write())?;
    Ok(file)
}

/// Marks a log as one that cannot be continued, in whatever way the disk still takes.
pub(super) fn forget_epoch<S: Storage>(storage: &S) -> io::Result<()> {
    remove_if_there(storage, EPOCH_FILE)
        .or_else(|error| storage.cut(EPOCH_FILE, 0).map_err(|_| error))
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

pub(super) fn remove_if_there<S: Storage>(storage: &S, name: &str) -> io::Result<()> {
    match storage.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
