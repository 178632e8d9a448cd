//! The log on disk as the router uses it: the writer, and the threads that sync and compact.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use tickwire_protocol::Feed;

use super::archive::Archive;
use super::compactor::{Compactor, CompactorStart, Retention};
use super::disk::{Disk, FolderError, Lock, boot_id};
use super::record::Turn;
use super::recovery::{RecoverError, RecoverOptions, Recovered, TICK_CHARGE_MIN, recover};
use super::segment::Segments;
use super::state::CheckpointedState;
use super::status::LogStatus;
use super::storage::Storage;
use super::sync::{AfterSync, Syncer};
use super::writer::{RollPolicy, Writer};
use crate::clock;
use crate::config::{Config, Fsync};
use crate::fanout::{Batch, LastTick, Numbering};

/// Size of a segment in bytes; smaller if the disk limit is small.
const SEGMENT_BYTES: u64 = 32 << 20;
/// Minimum number of segments in a full log, so that retention deletes little at a time.
const SEGMENTS_MIN: u32 = 8;

/// An opened log and what was recovered from it.
pub(crate) struct Opened {
    pub(crate) log: DurableLog,
    pub(crate) epoch: String,
    pub(crate) numbering: Numbering,
    /// The newest ticks, contiguous up to the head.
    pub(crate) batches: VecDeque<Arc<Batch>>,
    /// The last tick of each topic before `batches`.
    pub(crate) last_before: Vec<LastTick>,
    /// The bytes of the [`CheckpointedState`] at the head.
    pub(crate) checkpointed: Vec<u8>,
    pub(crate) status: Arc<LogStatus>,
    /// Reader of the log's segments.
    pub(crate) archive: Archive<Disk>,
}

/// Why the log on disk cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The files in the folder cannot be read.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The folder cannot be written to.
    #[error("cannot write to it")]
    Write(#[from] io::Error),
}

/// The router's handle of the log on disk.
#[derive(Debug)]
pub(crate) struct DurableLog {
    /// `None` after a write failed.
    writer: Option<Writer<Disk>>,
    syncer: Syncer,
    acks_wait_for_sync: bool,
    segments: Segments,
    compactor: CompactorThread,
    status: Arc<LogStatus>,
    /// The last field, so that the folder is unlocked after everything else was dropped.
    _lock: Lock,
}

impl DurableLog {
    /// Recovers the log in `folder` and opens it for appending. `epoch` is the name of the new
    /// epoch if the log's epoch cannot continue.
    ///
    /// # Errors
    /// Fails if the folder cannot be used, or its files cannot be read or written.
    pub(crate) fn open(
        folder: &std::path::Path,
        config: &Config,
        feeds: &[Feed],
        epoch: String,
        checkpointed: &dyn Fn() -> Box<dyn CheckpointedState>,
    ) -> Result<Opened, OpenError> {
        let (disk, lock) = Disk::open(folder)?;
        let boot = boot_id();
        let options = RecoverOptions {
            feeds,
            boot: &boot,
            epoch,
            checkpointed,
            bytes_max: config.log_size.as_usize(),
            ticks_max: config.log_ticks,
            age_max: config.log_age,
            now: clock::wall(),
        };
        let started = clock::monotonic();
        let mut recovered = recover(&disk, options, progress())?;
        let status = Arc::new(LogStatus::new(disk.clone()));
        report(&recovered, &status, started.elapsed());
        let segment_bytes = SEGMENT_BYTES.min(config.disk_size.as_u64() / u64::from(SEGMENTS_MIN));
        let disk_age = config.disk_age;
        let policy = RollPolicy { bytes: segment_bytes, time: disk_age / SEGMENTS_MIN };
        let writer = Writer::begin(disk.clone(), &mut recovered, policy, &boot)?;
        let segments = status.segments().clone();
        *segments.lock().unwrap_or_else(PoisonError::into_inner) =
            std::mem::take(&mut recovered.segments);
        let syncer = Syncer::start(config.fsync, disk.clone(), status.clone())?;
        syncer.mark_written(writer.file());
        let Recovered { state, batches, last_before, checkpoints, .. } = recovered;
        let numbering = state.numbering();
        let epoch = state.epoch().to_owned();
        let checkpointed = state.saved();
        let retention = Retention {
            bytes_max: config.disk_size.as_u64(),
            time: disk_age,
            checkpoint_bytes: segment_bytes,
            memory_ticks: memory_ticks_max(config),
        };
        let segment = writer.segment().number;
        let archive = Archive::new(disk.clone(), segments.clone(), feeds.to_vec());
        let compactor = Compactor::new(CompactorStart {
            storage: disk,
            state,
            segment,
            older_checkpoints: checkpoints,
            segments: segments.clone(),
            retention,
        });
        let compactor = CompactorThread::start(compactor, status.clone(), segment)?;
        let log = Self {
            writer: Some(writer),
            syncer,
            acks_wait_for_sync: config.fsync == Fsync::Ack,
            segments,
            compactor,
            status: status.clone(),
            _lock: lock,
        };
        Ok(Opened { log, epoch, numbering, batches, last_before, checkpointed, status, archive })
    }

    /// Appends the record of a turn. After an error nothing more is written, and the router
    /// continues without the log.
    pub(crate) fn append(&mut self, turn: &Turn<'_>) {
        let is_needed = !turn.is_empty();
        let Some(mut writer) = self.writer.take_if(|_| is_needed) else { return };
        if self.status.has_failed() {
            return; // another thread failed and has reported it
        }
        match self.write(&mut writer, turn) {
            Ok(()) => self.writer = Some(writer),
            Err(error) => self.status.fail("written", &error),
        }
    }

    fn write(&self, writer: &mut Writer<Disk>, turn: &Turn<'_>) -> io::Result<()> {
        writer.append(turn)?;
        self.syncer.mark_written(writer.file());
        self.status.records.add(1);
        if let Some(ended) = writer.roll(turn.received)? {
            self.syncer.mark_written(writer.file());
            let mut segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
            segments.pop();
            segments.extend([ended, writer.segment()]);
            self.compactor.on_roll(writer.segment().number);
        }
        self.status.newest_bytes.set(writer.segment().bytes);
        Ok(())
    }

    /// Returns whether acks must wait until the disk has the records (`--fsync ack`).
    pub(crate) const fn acks_wait_for_sync(&self) -> bool {
        self.acks_wait_for_sync
    }

    /// Runs `action` once everything written so far is on the disk.
    pub(crate) fn after_sync(&self, action: AfterSync) {
        self.syncer.after_sync(action);
    }

    /// Forces everything to the disk and marks the log as cleanly closed, so that it can be
    /// continued.
    pub(crate) fn close(self) {
        let Self { writer, syncer, compactor, status, .. } = self;
        syncer.end();
        compactor.end();
        if let Some(writer) = writer.filter(|_| !status.has_failed()) {
            let finished = writer.file().sync_all().and_then(|()| writer.finish());
            if let Err(error) = finished {
                status.fail("closed", &error);
            }
        }
        if let Err(error) = status.mark() {
            tracing::error!(%error, "cannot mark the log on disk as incomplete");
        }
    }
}

/// Returns an upper bound for the ticks that memory may hold.
fn memory_ticks_max(config: &Config) -> u64 {
    config.log_ticks.min(config.log_size.as_usize() / TICK_CHARGE_MIN) as u64
}

/// Returns a callback that logs the progress of recovery once a second.
fn progress() -> impl FnMut(u64, u64) {
    const EVERY: Duration = Duration::from_secs(1);
    const MIB: u64 = 1 << 20;
    let mut logged = clock::monotonic();
    move |done, total| {
        if logged.elapsed() >= EVERY {
            logged = clock::monotonic();
            tracing::info!("read {} of {} MiB of the log on disk", done / MIB, total / MIB);
        }
    }
}

fn report(recovered: &Recovered, status: &LogStatus, took: Duration) {
    for problem in &recovered.problems {
        tracing::error!("log on disk: {problem}");
    }
    status.problems.set(recovered.problems.len() as u64);
    let numbering = recovered.state.numbering();
    tracing::info!(
        epoch = recovered.state.epoch(),
        continues = recovered.continues,
        head = numbering.head.0,
        topics = numbering.topics.len(),
        publishers = numbering.publishers.len(),
        ticks_in_memory = numbering.head.0 - recovered.start().0,
        ?took,
        "log on disk"
    );
}

/// The router's handle of the compactor's thread.
#[derive(Debug)]
struct CompactorThread {
    current_segment: SyncSender<u64>,
    thread: thread::JoinHandle<()>,
}

impl CompactorThread {
    /// Interval between checks of the age limit.
    const INTERVAL: Duration = Duration::from_secs(10);
    /// Interval between attempts to mark a failed log as incomplete.
    const RETRY: Duration = Duration::from_secs(1);

    fn start<S>(compactor: Compactor<S>, status: Arc<LogStatus>, number: u64) -> io::Result<Self>
    where
        S: Storage + Send + 'static,
        S::File: Send,
    {
        let (current_segment, receiver) = sync_channel(64);
        let run = move || compact(compactor, &receiver, &status, number);
        let thread = thread::Builder::new().name("log-compactor".to_owned()).spawn(run)?;
        Ok(Self { current_segment, thread })
    }

    /// Reports the number of a new segment, without waiting.
    fn on_roll(&self, number: u64) {
        let _full = self.current_segment.try_send(number); // a later number replaces this one
    }

    fn end(self) {
        drop(self.current_segment);
        if self.thread.join().is_err() {
            tracing::error!("the compactor of the log on disk panicked");
        }
    }
}

fn compact<S: Storage>(
    mut compactor: Compactor<S>,
    current_segment: &Receiver<u64>,
    status: &LogStatus,
    mut current: u64,
) {
    loop {
        let interval =
            if status.is_unmarked() { CompactorThread::RETRY } else { CompactorThread::INTERVAL };
        match current_segment.recv_timeout(interval) {
            Ok(number) => current = number,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
        }
        if status.has_failed() {
            _ = status.mark(); // the failure was reported when it first occurred
            continue;
        }
        let started = clock::monotonic();
        if let Err(error) = compactor.run(current) {
            status.fail("compacted", &error);
        }
        tracing::debug!(segment = current, took = ?started.elapsed(), "compacted the log on disk");
    }
}
