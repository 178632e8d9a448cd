//! The thread that repeats the live market some time later.
//!
//! It follows the live log so far behind, from memory or from disk, and appends the same batches to a log of
//! its market's own. Sessions of that market are served from there as those of the live one are: the same
//! numbers, positions and last values, only later.

mod behind;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::clock;
use crate::durable::Disk;
use crate::server::Shared;
use crate::serving::timeline::Timeline;
pub(crate) use behind::{Begun, Behind, Taken};

/// How often is looked at least, so that it is noticed soon when ticks are lost and when the hub ends.
const LOOK_MAX: Duration = Duration::from_secs(1);
/// How often at most: ticks that come so much later than they might leave in larger batches of writes.
const LOOK_MIN: Duration = Duration::from_millis(5);
/// The same while the market has no session: its shard need not be woken for ticks that nobody is sent.
const LOOK_MIN_UNREAD: Duration = Duration::from_millis(500);
/// Time between two warnings.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// Starts the thread for a market. It ends once the shards are to end and it has been unparked.
///
/// # Errors
/// If there can be no thread.
pub(crate) fn spawn(
    behind: Behind<Disk>,
    market: usize,
    shared: Arc<Shared>,
) -> io::Result<thread::JoinHandle<()>> {
    let delayer = Delayer { behind, market, shared, unsaid: 0, said: None };
    thread::Builder::new().name(format!("delayer-{market}")).spawn(move || delayer.run())
}

struct Delayer {
    behind: Behind<Disk>,
    market: usize,
    shared: Arc<Shared>,
    /// Ticks lost since the last warning.
    unsaid: u64,
    /// When that was.
    said: Option<Instant>,
}

impl Delayer {
    fn run(mut self) {
        while !self.shared.is_stopping() {
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
        let live = &self.shared.live().log;
        let Taken { due, lost, next } = self.behind.take(live, clock::wall(), room);
        let any = !due.is_empty() || lost > 0;
        due.into_iter().for_each(|batch| self.market().log.append_later(batch));
        if lost > 0 {
            self.market().lost.add(lost);
            self.unsaid += lost;
            self.warn();
        }
        match next {
            Some(next) => next.since(clock::wall()),
            None if any => Duration::ZERO,
            None => self.market().delay, // what is received from now on is due later than that
        }
    }

    /// How many ticks may be appended now. What is so late may be later: neither the market's shards nor
    /// their sessions are to fall behind because much came due at once.
    fn room(&self) -> Option<usize> {
        let (market, config) = (self.market(), &self.shared.config);
        let most = (config.backlog_ticks_max.min(config.log_ticks) / 2) as u64;
        let slowest = market.shards.iter().map(|shard| shard.head.get()).min()?;
        let ahead = market.log.head().0.saturating_sub(slowest);
        let room = if ahead == 0 { Some(most) } else { most.checked_sub(ahead).filter(|r| *r > 0) };
        usize::try_from(room?).ok()
    }

    /// Says that ticks were lost, unless that was said a moment ago, or nobody is there who misses them.
    fn warn(&mut self) {
        let now = clock::monotonic();
        let market = self.market();
        if self.sessions() == 0 || self.said.is_some_and(|said| now - said < WARN_INTERVAL) {
            return;
        }
        let (delay, memory) = (market.delay, self.shared.live().log.oldest_received());
        self.said = Some(now);
        tracing::warn!(
            delay_s = delay.as_secs_f64(),
            ticks = std::mem::take(&mut self.unsaid),
            memory_holds_s = memory.map_or(0, |oldest| clock::wall().since(oldest).as_secs()),
            "delayed views have lost ticks, of which the hub's history held none by the time they were \
             due: {}",
            if self.shared.archive.is_some() {
                "raise disk_size"
            } else {
                "raise log_size and log_ticks, or set data_dir"
            }
        );
    }

    fn sessions(&self) -> u64 {
        self.market().shards.iter().map(|shard| shard.metrics.assigned.get()).sum()
    }

    fn market(&self) -> &Timeline {
        &self.shared.markets[self.market]
    }
}
