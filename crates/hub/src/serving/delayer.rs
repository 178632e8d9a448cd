//! The thread that repeats the live market some time later.
//!
//! It follows the live log so far behind, from memory or from disk, and appends the same batches to a log of
//! its market's own. Sessions of that market are served from there as those of the live one are: the same
//! numbers, positions and last values, only later.

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
pub(crate) use delayed_reader::{DelayedReader, DelayedStart, Taken};

/// How often is looked at least, so that it is noticed soon when ticks are lost and when the hub ends.
const LOOK_MAX: Duration = Duration::from_secs(1);
/// How often at most: ticks that come so much later than they might leave in larger batches of writes.
const LOOK_MIN: Duration = Duration::from_millis(5);
/// The same while the market has no session: its shard need not be woken for ticks that nobody is sent.
const LOOK_MIN_UNREAD: Duration = Duration::from_millis(500);
/// Time between two warnings.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// What a delayer shares with the rest of the hub.
pub(crate) struct DelayerContext {
    /// The log that it follows.
    pub(crate) live: Arc<SharedLog>,
    /// The timeline that it fills.
    pub(crate) timeline: Arc<Timeline>,
    /// Most ticks that the timeline's shards may have to catch up with.
    pub(crate) ticks_ahead_max: u64,
    /// Whether history is on disk too, for the advice in warnings.
    pub(crate) reads_disk: bool,
    pub(crate) lifecycle: Arc<Lifecycle>,
}

/// Starts the delayer's thread, called `name`. It ends once the hub is stopping and the thread has
/// been unparked.
///
/// # Errors
/// If the thread cannot be started.
pub(crate) fn spawn(
    name: String,
    reader: DelayedReader<Disk>,
    context: DelayerContext,
) -> io::Result<thread::JoinHandle<()>> {
    let delayer = Delayer { reader, context, unsaid: 0, said: None };
    thread::Builder::new().name(name).spawn(move || delayer.run())
}

struct Delayer {
    reader: DelayedReader<Disk>,
    context: DelayerContext,
    /// Ticks lost since the last warning.
    unsaid: u64,
    /// When that was.
    said: Option<Instant>,
}

impl Delayer {
    fn run(mut self) {
        while !self.context.lifecycle.is_stopping() {
            let wait = self.turn();
            if !wait.is_zero() {
                let least = if self.sessions() == 0 { LOOK_MIN_UNREAD } else { LOOK_MIN };
                thread::park_timeout(wait.clamp(least, LOOK_MAX));
            }
        }
    }

    /// Appends what is due, as much as may be in one go, and says how long nothing is.
    fn turn(&mut self) -> Duration {
        let Some(room) = self.room() else { return LOOK_MIN };
        let Taken { due, lost, next } = self.reader.take(&self.context.live, clock::wall(), room);
        let any = !due.is_empty() || lost > 0;
        due.into_iter().for_each(|batch| self.timeline().log.append_later(batch));
        if lost > 0 {
            self.timeline().lost.add(lost);
            self.unsaid += lost;
            self.warn();
        }
        match next {
            Some(next) => next.since(clock::wall()),
            None if any => Duration::ZERO,
            None => self.timeline().delay, // what is received from now on is due later than that
        }
    }

    /// How many ticks may be appended now. What is so late may be later: neither the market's shards nor
    /// their sessions are to fall behind because much came due at once.
    fn room(&self) -> Option<usize> {
        let timeline = self.timeline();
        let most = self.context.ticks_ahead_max;
        let slowest = timeline.shards.iter().map(|shard| shard.head.get()).min()?;
        let ahead = timeline.log.head().0.saturating_sub(slowest);
        let room = if ahead == 0 { Some(most) } else { most.checked_sub(ahead).filter(|r| *r > 0) };
        usize::try_from(room?).ok()
    }

    /// Says that ticks were lost, unless that was said a moment ago, or nobody is there who misses them.
    fn warn(&mut self) {
        let now = clock::monotonic();
        let timeline = self.timeline();
        if self.sessions() == 0 || self.said.is_some_and(|said| now - said < WARN_INTERVAL) {
            return;
        }
        let (delay, memory) = (timeline.delay, self.context.live.oldest_received());
        self.said = Some(now);
        tracing::warn!(
            delay_s = delay.as_secs_f64(),
            ticks = std::mem::take(&mut self.unsaid),
            memory_holds_s = memory.map_or(0, |oldest| clock::wall().since(oldest).as_secs()),
            "delayed views have lost ticks, of which the hub's history held none by the time they were \
             due: {}",
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
