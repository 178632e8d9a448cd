//! The timelines of a hub at its start: the live one, and one for each delay of a view.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tickwire_protocol::Tick;

use super::StartError;
use super::state::HubState;
use crate::clock;
use crate::config::Config;
use crate::durable::{Archive, Disk};
use crate::fanout::{FeedId, Log, Position};
use crate::serving::delayer::{self, DelayedReader, DelayedStart};
use crate::serving::shard_handle::{Inbox, ShardId};
use crate::serving::shard_loop::{self, Prepared, ShardStart};
use crate::serving::timeline::{Timeline, Timelines};

/// The last tick of each topic that has none in a log any more.
type LastBefore = Arc<[(FeedId, Tick, Position)]>;

/// What the threads of a timeline start with.
pub(super) struct TimelineStart {
    timeline: Arc<Timeline>,
    shards: Vec<(Prepared, Inbox)>,
    last_before: LastBefore,
    /// How a delayed timeline follows the live one.
    reader: Option<DelayedReader<Disk>>,
}

/// The threads of all timelines.
#[derive(Debug, Default)]
pub(super) struct Running {
    pub(super) shards: Vec<JoinHandle<()>>,
    pub(super) delayers: Vec<JoinHandle<()>>,
}

/// A log without ticks, of the bounds that every timeline's has.
pub(super) fn empty_log(config: &Config) -> Log {
    Log::new(config.log_size.as_usize(), config.log_ticks).aged(config.log_age)
}

/// Makes the live timeline with its log, and the delayed ones as far as they have come by now. Reads
/// the disk.
///
/// # Errors
/// If the kernel gives no event queues, or a view is wrong.
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
        let archive = archive.map(Archive::reader);
        let (log, known) = (&live.timeline.log, &live.last_before);
        let (reader, DelayedStart { log, last_before, lost }) =
            DelayedReader::begin(log, archive, delay, now, empty_log(config), known);
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

impl Running {
    /// Starts the threads of the timeline with this index.
    ///
    /// # Errors
    /// If there can be no more threads.
    pub(super) fn start(
        &mut self,
        index: usize,
        start: TimelineStart,
        state: &HubState,
    ) -> io::Result<()> {
        let TimelineStart { timeline, shards, last_before, reader } = start;
        for (shard, (prepared, inbox)) in shards.into_iter().enumerate() {
            let id = ShardId { timeline: index, shard };
            let (timeline, last_before) = (timeline.clone(), last_before.clone());
            let start = ShardStart { id, prepared, inbox, timeline, last_before };
            self.shards.push(shard_loop::spawn(start, state.shard_context())?);
        }
        if let Some(reader) = reader {
            let name = format!("delayer-{index}");
            self.delayers.push(delayer::spawn(name, reader, state.delayer_context(timeline))?);
        }
        Ok(())
    }
}
