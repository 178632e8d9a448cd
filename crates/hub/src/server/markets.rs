//! The markets of a hub as they begin: the live one, and one for each delay of a view.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tickwire_protocol::Tick;

use super::{Shared, StartError};
use crate::clock;
use crate::config::Config;
use crate::durable::{Archive, Disk};
use crate::fanout::{FeedId, Log, Position};
use crate::serving::delayer::{self, Begun, Behind};
use crate::serving::shard_loop::{self, Inbox, Prepared};
use crate::serving::timeline::{ShardId, Timeline};

/// The last tick of each topic that has none in a log any more.
type LastBefore = Arc<[(FeedId, Tick, Position)]>;

/// What the threads of a market begin with.
pub(super) struct Threads {
    shards: Vec<(Prepared, Inbox)>,
    last_before: LastBefore,
    /// How a delayed market follows the live one.
    behind: Option<Behind<Disk>>,
}

/// The threads of all markets.
#[derive(Debug, Default)]
pub(super) struct Running {
    pub(super) shards: Vec<JoinHandle<()>>,
    pub(super) delayers: Vec<JoinHandle<()>>,
}

/// A log without ticks, of the bounds that every market's has.
pub(super) fn empty_log(config: &Config) -> Log {
    Log::new(config.log_size.as_usize(), config.log_ticks).aged(config.log_age)
}

/// Makes the live market with its log, and the delayed ones as far as they have come by now. Reads the disk.
///
/// # Errors
/// If the kernel gives no event queues, or a view is wrong.
pub(super) fn make(
    config: &Config,
    log: Log,
    last_before: LastBefore,
    archive: Option<&Archive<Disk>>,
) -> Result<(Vec<Timeline>, Vec<Threads>), StartError> {
    let (live, shards) = market(log, Duration::ZERO, config.shard_count())?;
    let now = clock::wall();
    let mut delayed = Vec::new();
    for delay in config.delays()? {
        let archive = archive.map(Archive::reader);
        let (behind, Begun { log, last_before, lost }) =
            Behind::begin(&live.log, archive, delay, now, empty_log(config), &last_before);
        let (market, shards) = market(log, delay, 1)?;
        market.lost.add(lost);
        let (last_before, behind) = (last_before.into(), Some(behind));
        delayed.push((market, Threads { shards, last_before, behind }));
    }
    let live = (live, Threads { shards, last_before, behind: None });
    Ok(std::iter::once(live).chain(delayed).unzip())
}

fn market(
    log: Log,
    delay: Duration,
    shards: usize,
) -> io::Result<(Timeline, Vec<(Prepared, Inbox)>)> {
    let prepared: Vec<_> = (0..shards).map(|_| shard_loop::prepare()).collect::<io::Result<_>>()?;
    let (market, inboxes) = Timeline::new(log, delay, &prepared);
    Ok((market, prepared.into_iter().zip(inboxes).collect()))
}

impl Running {
    /// Starts the threads of a market.
    ///
    /// # Errors
    /// If there can be no more threads.
    pub(super) fn start(
        &mut self,
        market: usize,
        threads: Threads,
        shared: &Arc<Shared>,
    ) -> io::Result<()> {
        let Threads { shards, last_before, behind } = threads;
        for (shard, (prepared, inbox)) in shards.into_iter().enumerate() {
            let number = ShardId { market, shard };
            let shard = shard_loop::spawn(prepared, number, shared.clone(), inbox, &last_before)?;
            self.shards.push(shard);
        }
        let delayer = behind.map(|behind| delayer::spawn(behind, market, shared.clone()));
        self.delayers.extend(delayer.transpose()?);
        Ok(())
    }
}
