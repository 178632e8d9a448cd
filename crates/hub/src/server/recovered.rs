//! What a hub starts with: nothing, or the state recovered from the log on disk.

use std::sync::Arc;

use rand::RngExt;
use tickwire_protocol::{Feed, UnixNanos};

use super::StartError;
use super::timelines::empty_log;
use crate::bars::{BarConfig, BarMaker};
use crate::config::Config;
use crate::durable::{Archive, CheckpointedState, Disk, DurableLog, LogStatus, Opened};
use crate::fanout::{Batch, FeedId, LastTick, Log, Numbering, Sequencer, TopicKey};

/// The recovered state, divided among the parts of the hub that need it.
pub(super) struct Recovered {
    /// For the router: numbering.
    pub(super) sequencer: Sequencer,
    /// For the router: open bars. `None` if the hub makes no bars.
    pub(super) bars: Option<BarMaker>,
    /// For the router: the log on disk, if there is one.
    pub(super) durable: Option<DurableLog>,
    /// For all parts: the epoch, the log in memory and the topics.
    pub(super) history: RecoveredHistory,
    /// For the shards: the last tick of each topic before those in the log.
    pub(super) last_before: Arc<[LastTick]>,
    /// For the history reader: the segments on disk, if there is a log on disk.
    pub(super) archive: Option<Archive<Disk>>,
}

/// The recovered history, or an empty one.
pub(super) struct RecoveredHistory {
    pub(super) epoch: String,
    pub(super) log: Log,
    /// Topics that have ticked, each with the time at which its first tick was received; `None` if
    /// that tick is older than the log.
    pub(super) topics: Vec<(TopicKey, Option<UnixNanos>)>,
    /// State of the log on disk, if there is one.
    pub(super) status: Option<Arc<LogStatus>>,
}

impl Recovered {
    /// Recovers the log on disk if the configuration names a data folder. Otherwise the hub starts
    /// without history, in a new epoch.
    ///
    /// # Errors
    /// Fails if the data folder cannot be used.
    pub(super) async fn new(config: &Config, feeds: &[Feed]) -> Result<Self, StartError> {
        let epoch = format!("{:016x}", rand::rng().random::<u64>());
        let log = empty_log(config);
        let topics_max = config.topics_max;
        let publishers_max = config.publishers_max;
        let Some(folder) = &config.data_dir else {
            return Ok(Self {
                sequencer: Sequencer::new(topics_max, publishers_max),
                bars: config.bars().and_then(BarMaker::new),
                durable: None,
                history: RecoveredHistory { epoch, log, topics: Vec::new(), status: None },
                last_before: Arc::default(),
                archive: None,
            });
        };
        let shown = folder.display().to_string();
        let open = {
            let folder = folder.clone();
            let config = config.clone();
            let feeds = feeds.to_vec();
            move || {
                DurableLog::open(&folder, &config, &feeds, epoch, &|| checkpointed(config.bars()))
            }
        };
        let opened = tokio::task::spawn_blocking(open).await.map_err(std::io::Error::other)?;
        let opened = opened.map_err(|source| StartError::Data { folder: shown, source })?;
        let Opened {
            log: durable,
            epoch,
            numbering,
            batches,
            last_before,
            checkpointed,
            status,
            archive,
        } = opened;
        let mut bars = config.bars().and_then(BarMaker::new);
        if let Some(bars) = &mut bars {
            let numbers: Vec<_> = (0..=u8::MAX).take(feeds.len()).map(FeedId).collect();
            bars.restore(&checkpointed, &numbers);
        }
        let topics = topics_with_first_ticks(&numbering, &batches);
        let start = batches.front().map_or(numbering.head, |batch| batch.first());
        let mut log = log.starting_at(start);
        batches.into_iter().for_each(|batch| log.append(batch));
        Ok(Self {
            sequencer: Sequencer::restore(numbering, topics_max, publishers_max),
            bars,
            durable: Some(durable),
            history: RecoveredHistory { epoch, log, topics, status: Some(status) },
            last_before: last_before.into(),
            archive: Some(archive),
        })
    }
}

/// Returns all topics, each with the receive time of its first tick if that is in the batches.
fn topics_with_first_ticks<'a>(
    numbering: &Numbering,
    batches: impl IntoIterator<Item = &'a Arc<Batch>>,
) -> Vec<(TopicKey, Option<UnixNanos>)> {
    let mut topics: Vec<_> = numbering.topics.iter().map(|(key, _)| (*key, None)).collect();
    for batch in batches {
        for numbered in batch.ticks().iter().filter(|numbered| numbered.tick.seq.0 == 1) {
            if let Some((_, first)) = topics.get_mut(numbered.topic.0 as usize) {
                *first = Some(batch.received());
            }
        }
    }
    topics
}

/// Returns the state that checkpoints contain beside numbers and last values: that of the bars, if
/// the hub makes any.
fn checkpointed(bars: Option<BarConfig>) -> Box<dyn CheckpointedState> {
    match bars.and_then(BarMaker::new) {
        Some(bars) => Box::new(bars),
        None => Box::new(()),
    }
}
