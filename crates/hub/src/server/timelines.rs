//! Creates the timelines at start, the live one and one for each delay of a view, and starts their
//! threads.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::StartError;
use super::state::HubState;
use crate::clock;
use crate::config::Config;
use crate::durable::{Archive, Disk};
use crate::fanout::{LastTick, Log};
use crate::serving::delayer::{self, DelayedReader, DelayedStart};
use crate::serving::shard_handle::{Inbox, ShardId};
use crate::serving::shard_loop::{self, Prepared, ShardStart};
use crate::serving::timeline::{Timeline, Timelines};

/// The last tick of each topic that has none in the log.
type LastBefore = Arc<[LastTick]>;

/// A timeline, and what its threads start with.
pub(super) struct TimelineStart {
    timeline: Arc<Timeline>,
    shards: Vec<(Prepared, Inbox)>,
    last_before: LastBefore,
    /// Reads the live log for a delayed timeline; `None` for the live one.
    reader: Option<DelayedReader<Disk>>,
}

/// The threads of all timelines.
#[derive(Debug, Default)]
pub(super) struct ServingThreads {
    pub(super) shards: Vec<JoinHandle<()>>,
    pub(super) delayers: Vec<JoinHandle<()>>,
}

/// Creates an empty log with the configured limits.
pub(super) fn empty_log(config: &Config) -> Log {
    Log::new(config.log_size.as_usize(), config.log_ticks).with_age_max(config.log_age)
}

/// Creates the live timeline from the recovered log, and the delayed ones with the ticks that are
/// due by now. Blocks on reads from disk.
///
/// # Errors
/// Fails if the system refuses to create event queues, or a view is wrong.
pub(super) fn make(
    config: &Config,
    log: Log,
    last_before: LastBefore,
    archive: Option<&Archive<Disk>>,
) -> Result<(Timelines, Vec<TimelineStart>), StartError> {
    let live = TimelineStart::new(log, Duration::ZERO, config.shard_count(), last_before)?;
    let now = clock::wall();
    let mut delayed = Vec::new();
    for delay in config.delays()? {
        let mut reader = DelayedReader::new(archive.map(Archive::reader), delay);
        let DelayedStart { log, last_before, lost } =
            reader.start(&live.timeline.log, now, empty_log(config), &live.last_before);
        let start = TimelineStart::new(log, delay, 1, last_before.into())?;
        start.timeline.lost.add(lost);
        delayed.push(TimelineStart { reader: Some(reader), ..start });
    }
    let others = delayed.iter().map(|start| start.timeline.clone()).collect();
    let timelines = Timelines::new(live.timeline.clone(), others);
    Ok((timelines, std::iter::once(live).chain(delayed).collect()))
}

impl TimelineStart {
    fn new(log: Log, delay: Duration, shards: usize, last_before: LastBefore) -> io::Result<Self> {
        let prepared = (0..shards).map(|_| shard_loop::prepare());
        let prepared: Vec<_> = prepared.collect::<io::Result<_>>()?;
        let wakers = prepared.iter().map(|shard| shard.waker.clone()).collect();
        let (timeline, inboxes) = Timeline::new(log, delay, wakers);
        let shards = prepared.into_iter().zip(inboxes).collect();
        Ok(Self { timeline: Arc::new(timeline), shards, last_before, reader: None })
    }
}

impl ServingThreads {
    /// Starts the threads of the timeline with this index.
    ///
    /// # Errors
    /// Fails if the system refuses to create threads.
    pub(super) fn start(
        &mut self,
        index: usize,
        start: TimelineStart,
        state: &HubState,
    ) -> io::Result<()> {
        let TimelineStart { timeline, shards, last_before, reader } = start;
        for (shard, (prepared, inbox)) in shards.into_iter().enumerate() {
            let id = ShardId { timeline: index, shard };
            let start = ShardStart {
                id,
                prepared,
                inbox,
                timeline: timeline.clone(),
                last_before: last_before.clone(),
            };
            self.shards.push(shard_loop::spawn(start, state.shard_context())?);
        }
        if let Some(reader) = reader {
            let name = format!("delayer-{index}");
            self.delayers.push(delayer::spawn(name, reader, state.delayer_context(timeline))?);
        }
        Ok(())
    }
}
