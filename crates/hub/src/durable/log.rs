//! The log on disk as the router drives it: the writer, and the threads behind it.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use tickwire_protocol::{Feed, Tick};

use super::archive::Archive;
use super::disk::{Disk, FolderError, Lock, boot_id};
use super::keeper::{Keeper, Kept, Segments};
use super::record::Turn;
use super::recovery::{RecoverError, Recovered, TICK_CHARGE_MIN, Wanted, recover};
use super::state::CheckpointedState;
use super::status::Status;
use super::storage::Storage;
use super::sync::{Syncer, Then};
use super::writer::{Rolling, Writer};
use crate::clock;
use crate::config::{Config, Fsync, ms};
use crate::fanout::{Batch, FeedId, Numbering, Position};

/// Size of a segment, in bytes, unless the disk is to hold little.
const SEGMENT_BYTES: u64 = 32 << 20;
/// The log on disk consists of so many segments at the least, so that little is removed at a time.
const SEGMENTS_MIN: u32 = 8;

/// What a hub goes on from.
pub(crate) struct Opened {
    pub(crate) log: DurableLog,
    pub(crate) epoch: String,
    pub(crate) numbering: Numbering,
    /// The newest ticks, without a gap up to the head.
    pub(crate) batches: VecDeque<Arc<Batch>>,
    /// The last tick of each topic before these.
    pub(crate) last_before: Vec<(FeedId, Tick, Position)>,
    /// What was saved of what is checkpointed from the ticks.
    pub(crate) checkpointed: Vec<u8>,
    pub(crate) status: Arc<Status>,
    /// Reads what was written.
    pub(crate) archive: Archive<Disk>,
}

/// Why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// What is in it cannot be read.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// It cannot be written to.
    #[error("cannot write to it")]
    Write(#[from] io::Error),
}

/// The log on disk.
#[derive(Debug)]
pub(crate) struct DurableLog {
    /// None once it has failed.
    writer: Option<Writer<Disk>>,
    syncer: Syncer,
    waits: bool,
    segments: Segments,
    keeping: Keeping,
    status: Arc<Status>,
    /// The last field: the folder is let go of when all else has ended.
    _lock: Lock,
}

impl DurableLog {
    /// Reads the log of the config's folder and begins to write behind it. `epoch` is the next one, if
    /// that of the log cannot go on.
    ///
    /// # Errors
    /// If the folder cannot be used.
    pub(crate) fn open(
        folder: &std::path::Path,
        config: &Config,
        feeds: &[Feed],
        epoch: String,
        checkpointed: &dyn Fn() -> Box<dyn CheckpointedState>,
    ) -> Result<Opened, OpenError> {
        let (disk, lock) = Disk::open(folder)?;
        let boot = boot_id();
        let wanted = Wanted {
            feeds,
            boot: &boot,
            epoch,
            checkpointed,
            bytes_max: config.log_bytes_max,
            ticks_max: config.log_ticks_max,
            age_max: ms(config.log_age_ms_max),
            now: clock::wall(),
        };
        let began = clock::monotonic();
        let mut recovered = recover(&disk, wanted, progress())?;
        let status = Arc::new(Status::new(disk.clone()));
        report(&recovered, &status, began.elapsed());
        let segment_bytes = SEGMENT_BYTES.min(config.disk_bytes_max / u64::from(SEGMENTS_MIN));
        let disk_age = ms(config.disk_age_ms_max);
        let rolling = Rolling { bytes: segment_bytes, time: disk_age / SEGMENTS_MIN };
        let writer = Writer::begin(disk.clone(), &mut recovered, rolling, &boot)?;
        let segments = status.segments().clone();
        *segments.lock().unwrap_or_else(PoisonError::into_inner) =
            std::mem::take(&mut recovered.segments);
        let syncer = Syncer::start(config.fsync, disk.clone(), status.clone())?;
        syncer.written(writer.file());
        let Recovered { state, batches, last_before, checkpoints, .. } = recovered;
        let (numbering, epoch, checkpointed) =
            (state.numbering(), state.epoch().to_owned(), state.saved());
        let kept = Kept {
            bytes_max: config.disk_bytes_max,
            time: disk_age,
            checkpoint_bytes: segment_bytes,
            memory_ticks: ticks_wanted(config),
        };
        let number = writer.segment().number;
        let archive = Archive::new(disk.clone(), segments.clone(), feeds.to_vec());
        let keeper = Keeper::new(disk, state, number, checkpoints, segments.clone(), kept);
        let keeping = Keeping::start(keeper, status.clone(), number)?;
        let waits = config.fsync == Fsync::Ack;
        let log = Self {
            writer: Some(writer),
            syncer,
            waits,
            segments,
            keeping,
            status: status.clone(),
            _lock: lock,
        };
        Ok(Opened { log, epoch, numbering, batches, last_before, checkpointed, status, archive })
    }

    /// Writes what a turn changed. After an error nothing is written any more, and the turn goes on.
    pub(crate) fn turn(&mut self, turn: &Turn<'_>) {
        let is_needed = !turn.is_empty();
        let Some(mut writer) = self.writer.take_if(|_| is_needed) else { return };
        if self.status.has_failed() {
            return; // elsewhere: it has been told
        }
        match self.write(&mut writer, turn) {
            Ok(()) => self.writer = Some(writer),
            Err(error) => self.status.fail("written", &error),
        }
    }

    fn write(&self, writer: &mut Writer<Disk>, turn: &Turn<'_>) -> io::Result<()> {
        writer.append(turn)?;
        self.syncer.written(writer.file());
        self.status.records.add(1);
        if let Some(ended) = writer.roll(turn.received)? {
            self.syncer.written(writer.file());
            let mut segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
            segments.pop();
            segments.extend([ended, writer.segment()]);
            self.keeping.rolled(writer.segment().number);
        }
        self.status.newest_bytes.set(writer.segment().bytes);
        Ok(())
    }

    /// Whether publishers have to wait until the disk has what they sent.
    pub(crate) const fn waits(&self) -> bool {
        self.waits
    }

    /// Does something once the disk has all that was written so far.
    pub(crate) fn then(&self, then: Then) {
        self.syncer.then(then);
    }

    /// Ends in order: all is on the disk, and the log can be continued.
    pub(crate) fn close(self) {
        let Self { writer, syncer, keeping, status, .. } = self;
        syncer.end();
        keeping.end();
        if let Some(writer) = writer.filter(|_| !status.has_failed()) {
            let finished = writer.file().sync_all().and_then(|()| writer.finish());
            if let Err(error) = finished {
                status.fail("ended in order", &error);
            }
        }
        if let Err(error) = status.mark() {
            tracing::error!(%error, "the log on disk still cannot be marked as incomplete");
        }
    }
}

/// Most ticks that memory may hold.
fn ticks_wanted(config: &Config) -> u64 {
    config.log_ticks_max.min(config.log_bytes_max / TICK_CHARGE_MIN) as u64
}

/// Says how far reading has come, if that takes long.
fn progress() -> impl FnMut(u64, u64) {
    const EVERY: Duration = Duration::from_secs(1);
    const MIB: u64 = 1 << 20;
    let mut told = clock::monotonic();
    move |done, total| {
        if told.elapsed() >= EVERY {
            told = clock::monotonic();
            tracing::info!("read {} of {} MiB of the log on disk", done / MIB, total / MIB);
        }
    }
}

fn report(recovered: &Recovered, status: &Status, took: Duration) {
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

/// The keeper's thread, as the router sees it.
#[derive(Debug)]
struct Keeping {
    rolled: SyncSender<u64>,
    thread: thread::JoinHandle<()>,
}

impl Keeping {
    /// How often limits of age are looked at.
    const INTERVAL: Duration = Duration::from_secs(10);
    /// How often it is tried to mark a log that has failed.
    const RETRY: Duration = Duration::from_secs(1);

    fn start<S>(keeper: Keeper<S>, status: Arc<Status>, number: u64) -> io::Result<Self>
    where
        S: Storage + Send + 'static,
        S::File: Send,
    {
        // The router never waits here: the keeper looks at the newest number there is.
        let (rolled, receiver) = sync_channel(64);
        let run = move || keep(keeper, &receiver, &status, number);
        let thread = thread::Builder::new().name("log-keeper".to_owned()).spawn(run)?;
        Ok(Self { rolled, thread })
    }

    fn rolled(&self, number: u64) {
        let _behind = self.rolled.try_send(number); // then it learns of it with a later one
    }

    fn end(self) {
        drop(self.rolled);
        if self.thread.join().is_err() {
            tracing::error!("the keeper of the log on disk had panicked");
        }
    }
}

fn keep<S: Storage>(
    mut keeper: Keeper<S>,
    rolled: &Receiver<u64>,
    status: &Status,
    mut current: u64,
) {
    loop {
        let time = if status.is_unmarked() { Keeping::RETRY } else { Keeping::INTERVAL };
        match rolled.recv_timeout(time) {
            Ok(number) => current = number,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
        }
        if status.has_failed() {
            _ = status.mark(); // that it cannot be done has been told
            continue;
        }
        let began = clock::monotonic();
        if let Err(error) = keeper.follow(current) {
            status.fail("kept", &error);
        }
        tracing::debug!(segment = current, took = ?began.elapsed(), "kept house");
    }
}
