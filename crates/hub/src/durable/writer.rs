//! Appends records to the log, and starts new segments.

use std::io;
use std::time::Duration;

use tickwire_protocol::UnixNanos;

use super::epoch::{EPOCH_FILE, EpochFile};
use super::record::Turn;
use super::recovery::Recovered;
use super::segment::{Header, Segment};
use super::state::State;
use super::storage::{Storage, checkpoint_name, segment_name};
use super::{frame, record};
use crate::fanout::{Batch, Position};

/// When the writer starts a new segment.
#[derive(Debug, Clone, Copy)]
pub struct RollPolicy {
    /// Size in bytes from which a segment is complete.
    pub bytes: u64,
    /// Time span from which a segment is complete.
    pub time: Duration,
}

/// Appends to the newest segment of a log.
#[derive(Debug)]
pub struct Writer<S: Storage> {
    storage: S,
    file: S::File,
    header: Header,
    segment: Segment,
    policy: RollPolicy,
    boot: String,
    /// Receive time from which the segment's time span is measured.
    started: UnixNanos,
    /// Position after the last written tick.
    head: Position,
    record: Vec<u8>,
}

impl<S: Storage> Writer<S> {
    /// Starts a new segment after the recovered log: writes the segment, the checkpoint at its
    /// start and the epoch file, then deletes obsolete files. If the disk is full, deletes obsolete
    /// files one by one until there is room.
    ///
    /// # Errors
    /// Fails if the files cannot be written.
    pub fn begin(
        storage: S,
        recovered: &mut Recovered,
        policy: RollPolicy,
        boot: &str,
    ) -> io::Result<Self> {
        if let Some((name, len)) = recovered.cut.take() {
            storage.truncate(&name, len)?;
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
                    remove_if_there(&storage, &name)?;
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
            policy,
            boot: boot.to_owned(),
            head: header.first,
            started: header.received,
            header,
            record: Vec::new(),
        })
    }

    /// Appends the record of a turn, which must continue the log. Writes nothing if the turn
    /// changed nothing.
    ///
    /// # Errors
    /// Fails if the record cannot be written. The log cannot be continued then.
    pub fn append(&mut self, turn: &Turn<'_>) -> io::Result<()> {
        if turn.is_empty() {
            return Ok(());
        }
        self.record.clear();
        let head = self.head;
        frame::write(&mut self.record, |out| record::write(turn, head, out));
        self.storage.append(&mut self.file, &self.record)?;
        if self.started == UnixNanos::default() {
            self.started = turn.received; // the first tick of the log
        }
        self.segment.bytes += self.record.len() as u64;
        self.head = turn.batch.map_or(head, Batch::end);
        self.record.shrink_to(RECORD_BYTES_KEPT);
        Ok(())
    }

    /// Starts a new segment if one is due, and returns the completed one.
    ///
    /// # Errors
    /// Fails like [`Writer::append`].
    pub fn roll(&mut self, received: UnixNanos) -> io::Result<Option<Segment>> {
        let Segment { bytes, number, .. } = self.segment;
        let is_old = received.since(self.started) >= self.policy.time;
        if self.head == self.header.first || !(bytes >= self.policy.bytes || is_old) {
            return Ok(None);
        }
        self.header.first = self.head;
        self.header.received = received;
        self.started = received;
        self.file = self.storage.create(&segment_name(number + 1), &self.header.write())?;
        let next = segment_of(&self.header, number + 1);
        Ok(Some(std::mem::replace(&mut self.segment, next)))
    }

    /// Returns the segment being written.
    #[must_use]
    pub const fn segment(&self) -> Segment {
        self.segment
    }

    /// Returns the file of the segment being written.
    #[must_use]
    pub const fn file(&self) -> &S::File {
        &self.file
    }

    /// Marks the log as cleanly closed, so that it can be continued even after a reboot. All
    /// records must be on the disk.
    ///
    /// # Errors
    /// Fails if the mark cannot be written.
    pub fn finish(self) -> io::Result<()> {
        let Self { storage, boot, header, head, .. } = self;
        let epoch = EpochFile { epoch: header.epoch, boot, clean: Some(head) };
        storage.replace(EPOCH_FILE, epoch.write().as_bytes())
    }
}

/// Capacity in bytes up to which the record buffer is reused between turns.
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

/// Marks a log as incomplete by deleting the epoch file, or truncating it if that fails. The next
/// start then begins a new epoch.
///
/// # Errors
/// Fails if the file can be neither deleted nor truncated.
pub fn forget_epoch<S: Storage>(storage: &S) -> io::Result<()> {
    remove_if_there(storage, EPOCH_FILE)
        .or_else(|error| storage.truncate(EPOCH_FILE, 0).map_err(|_| error))
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
