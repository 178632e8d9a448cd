//! The delayer: a thread that fills a delayed timeline.
//!
//! It reads the live log some time behind its head, from memory or from disk, and appends the same
//! batches to the log of the delayed timeline. The sessions of that timeline are served like live
//! ones. They receive the same sequence numbers, positions and last values, only later.

mod delayed_reader;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::clock;
use crate::durable::Disk;
use crate::serving::timeline::Timeline;
use crate::state::lifecycle::Lifecycle;
use crate::state::shared_log::SharedLog;
pub(crate) use delayed_reader::{DelayedReader, DelayedStart, DueBatches};

/// Longest sleep between two turns. Lost ticks and the end of the hub are noticed within this time.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// Shortest sleep between two turns. The shard gets more ticks at once, so that fewer writes carry
/// them.
const SLEEP_MIN: Duration = Duration::from_millis(5);
/// Shortest sleep while the timeline has no sessions, so that its shard is woken rarely.
const SLEEP_MIN_IDLE: Duration = Duration::from_millis(500);
/// Minimum time between two warnings about lost ticks.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// Handles to the parts of the hub that a delayer uses.
pub(crate) struct DelayerContext {
    /// The log that the delayer reads.
    pub(crate) live: Arc<SharedLog>,
    /// The timeline that the delayer fills.
    pub(crate) timeline: Arc<Timeline>,
    /// Maximum number of ticks in the timeline's log that its shards have not applied yet.
    pub(crate) ticks_ahead_max: u64,
    /// Whether the hub has a log on disk, for the advice in warnings.
    pub(crate) reads_disk: bool,
    pub(crate) lifecycle: Arc<Lifecycle>,
}

/// Starts the delayer's thread with a name. The thread ends once the hub is stopping and the thread
/// has been unparked.
///
/// # Errors
/// Fails if the thread cannot be started.
pub(crate) fn spawn(
    name: String,
    reader: DelayedReader<Disk>,
    context: DelayerContext,
) -> io::Result<thread::JoinHandle<()>> {
    let delayer = Delayer { reader, context, unreported: 0, last_warning: None };
    thread::Builder::new().name(name).spawn(move || delayer.run())
}

struct Delayer {
    reader: DelayedReader<Disk>,
    context: DelayerContext,
    /// Ticks lost since the last warning.
    unreported: u64,
    last_warning: Option<Instant>,
}

impl Delayer {
    fn run(mut self) {
        while !self.context.lifecycle.is_stopping() {
            let wait = self.turn();
            if !wait.is_zero() {
                let least = if self.sessions() == 0 { SLEEP_MIN_IDLE } else { SLEEP_MIN };
                thread::park_timeout(wait.clamp(least, SLEEP_MAX));
            }
        }
    }

    /// Appends due batches, a bounded number at a time. Returns the time until the next batch may
    /// be due.
    fn turn(&mut self) -> Duration {
        let Some(room) = self.room() else { return SLEEP_MIN };
        let DueBatches { due, lost, next } =
            self.reader.take(&self.context.live, clock::wall(), room);
        let any = !due.is_empty() || lost > 0;
        due.into_iter().for_each(|batch| self.timeline().log.append_after_hole(batch));
        if lost > 0 {
            self.timeline().lost.add(lost);
            self.unreported += lost;
            self.warn();
        }
        match next {
            Some(next) => next.since(clock::wall()),
            None if any => Duration::ZERO,
            None => self.timeline().delay, // ticks received from now on are due after the delay
        }
    }

    /// Returns how many ticks may be appended now, or `None` if the shards have to catch up first.
    /// When many ticks become due at once, they are appended step by step, so that no shard or
    /// session lags because of it.
    fn room(&self) -> Option<usize> {
        let timeline = self.timeline();
        let most = self.context.ticks_ahead_max;
        let slowest = timeline.shards.iter().map(|shard| shard.head.get()).min()?;
        let ahead = timeline.log.head().0.saturating_sub(slowest);
        let room = if ahead == 0 { Some(most) } else { most.checked_sub(ahead).filter(|r| *r > 0) };
        usize::try_from(room?).ok()
    }

    /// Warns that ticks were lost, unless a recent warning did, or the timeline has no sessions.
    fn warn(&mut self) {
        let now = clock::monotonic();
        let timeline = self.timeline();
        if self.sessions() == 0 || self.last_warning.is_some_and(|last| now - last < WARN_INTERVAL)
        {
            return;
        }
        let delay = timeline.delay;
        let memory = self.context.live.oldest_received();
        self.last_warning = Some(now);
        tracing::warn!(
            delay_s = delay.as_secs_f64(),
            ticks = std::mem::take(&mut self.unreported),
            memory_holds_s = memory.map_or(0, |oldest| clock::wall().since(oldest).as_secs()),
            "delayed views have lost ticks: history no longer held them when they were due; {}",
            if self.context.reads_disk {
                "raise disk_size"
            } else {
                "raise log_size and log_ticks, or set data_dir"
            }
        );
    }

    fn sessions(&self) -> u64 {
        self.timeline().shards.iter().map(|shard| shard.metrics.assigned.get()).sum()
    }

    fn timeline(&self) -> &Timeline {
        &self.context.timeline
    }
}
