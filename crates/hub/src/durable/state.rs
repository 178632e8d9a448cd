//! The state of the hub at a position of the log: numbering, last ticks and publishers.
//!
//! A checkpoint is a state written to a file. Applying the records after a checkpoint yields the
//! state at their end. Recovery does this once; the compactor does it continuously, so that
//! checkpoints cost the router nothing.

use std::collections::BTreeMap;
use std::fmt;

use tickwire_protocol::{Encoding, Feed, Tick, UnixNanos, decode_ticks};

use super::bytes::{Damage, Reader, put_bytes, put_u32, put_u64};
use super::frame::{self, Frame};
use super::record::{self, Record};
use super::segment::{self, UnknownFeed};
use crate::fanout::{
    Batch, FeedId, LastTick, Numbering, Position, PublisherProgress, TopicId, TopicKey,
};

/// First bytes of a checkpoint. The last byte is the version of the format.
const MAGIC: [u8; 8] = *b"TWCHKP\0\x01";
/// Topics in one frame of a checkpoint.
const TOPICS_PER_FRAME: usize = 4_096;
/// A record does not continue the previous one.
pub(super) const NOT_CONTIGUOUS: Damage = Damage("a record does not continue the previous one");

/// State that is derived from the ticks and must survive the process, such as open bars.
pub trait CheckpointedState: fmt::Debug + Send {
    /// Restores what [`CheckpointedState::save`] wrote, and ignores what it cannot read. `feeds`
    /// maps each feed id at the time of saving to the current one.
    fn restore(&mut self, saved: &[u8], feeds: &[FeedId]);
    /// Applies a batch of the log. Its last `made` ticks are bars that the hub made.
    fn observe(&mut self, batch: &Batch, made: usize);
    /// Stops the making of bars of a feed from now on.
    fn disable_bars(&mut self, feed: FeedId);
    /// Appends the encoded state.
    fn save(&self, out: &mut Vec<u8>);
}

/// No additional state.
impl CheckpointedState for () {
    fn restore(&mut self, _saved: &[u8], _feeds: &[FeedId]) {}
    fn observe(&mut self, _batch: &Batch, _made: usize) {}
    fn disable_bars(&mut self, _feed: FeedId) {}
    fn save(&self, _out: &mut Vec<u8>) {}
}

/// The state of the hub at a position of the log.
#[derive(Debug)]
pub struct State {
    pub(super) epoch: String,
    pub(super) head: Position,
    pub(super) received: UnixNanos,
    /// The hub's feeds, by their ids.
    pub(super) feeds: Vec<Feed>,
    /// Topics by [`TopicId`].
    topics: Vec<Topic>,
    publishers: BTreeMap<String, Publisher>,
    /// Number of changes of publishers so far.
    changes: u64,
    pub(super) checkpointed: Box<dyn CheckpointedState>,
}

#[derive(Debug)]
struct Topic {
    feed: FeedId,
    /// Position of the topic's last tick.
    at: Position,
    last: Tick,
}

#[derive(Debug)]
struct Publisher {
    last: u64,
    mark: Option<String>,
    owner: Option<String>,
    /// Number of the change that updated this publisher last; orders publishers by activity.
    change: u64,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unusable {
    Damaged(Damage),
    /// Another version of Tickwire wrote the checkpoint.
    OtherVersion,
    UnknownFeed(Feed),
}

impl From<Damage> for Unusable {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

impl From<UnknownFeed> for Unusable {
    fn from(UnknownFeed(feed): UnknownFeed) -> Self {
        Self::UnknownFeed(feed)
    }
}

impl State {
    /// Creates the state at the start of an epoch.
    #[must_use]
    pub fn new(epoch: String, feeds: Vec<Feed>, checkpointed: Box<dyn CheckpointedState>) -> Self {
        Self {
            epoch,
            head: Position::FIRST,
            received: UnixNanos::default(),
            feeds,
            topics: Vec::new(),
            publishers: BTreeMap::new(),
            changes: 0,
            checkpointed,
        }
    }

    /// Starts a new epoch: numbers and receive times restart, publishers keep their progress.
    pub(super) fn begin_epoch(&mut self, epoch: String) {
        self.epoch = epoch;
        self.head = Position::FIRST;
        self.received = UnixNanos::default();
        self.topics = Vec::new();
    }

    /// Returns the epoch in which the numbers of this state are valid.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Returns the state of numbering, for the sequencer.
    #[must_use]
    pub fn numbering(&self) -> Numbering {
        let topic = |topic: &Topic| (TopicKey::of(topic.feed, &topic.last), topic.last.seq);
        Numbering {
            topics: self.topics.iter().map(topic).collect(),
            publishers: self.publishers_in_order(),
            head: self.head,
            received: self.received,
        }
    }

    /// Iterates over the last tick of each topic.
    pub(super) fn last_ticks(&self) -> impl Iterator<Item = (TopicId, LastTick)> {
        let last = |topic: &Topic| LastTick {
            feed: topic.feed,
            tick: topic.last.clone(),
            position: topic.at,
        };
        (0..).map(TopicId).zip(self.topics.iter().map(last))
    }

    /// Returns the encoded [`CheckpointedState`].
    #[must_use]
    pub fn saved(&self) -> Vec<u8> {
        let mut saved = Vec::new();
        self.checkpointed.save(&mut saved);
        saved
    }

    fn publishers_in_order(&self) -> Vec<PublisherProgress> {
        let mut publishers: Vec<_> = self.publishers.iter().collect();
        publishers.sort_by_key(|(_, publisher)| publisher.change);
        let at = |(id, publisher): (&String, &Publisher)| PublisherProgress {
            id: id.clone(),
            last: publisher.last,
            mark: publisher.mark.clone(),
            owner: publisher.owner.clone(),
        };
        publishers.into_iter().map(at).collect()
    }

    /// Applies the next record.
    ///
    /// # Errors
    /// Fails if the record does not continue this state. Only topics of ticks before the offending
    /// one have changed then.
    pub fn apply(&mut self, record: &Record) -> Result<(), Damage> {
        if record.first != self.head || record.received < self.received {
            return Err(NOT_CONTIGUOUS);
        }
        for feed in &record.without_bars {
            self.checkpointed.disable_bars(*feed);
        }
        if let Some(batch) = &record.batch {
            let mut at = batch.first();
            for numbered in batch.ticks() {
                self.tick(numbered.topic.0 as usize, numbered.feed, &numbered.tick, at)?;
                at = at.plus(1);
            }
            self.head = batch.end();
            self.received = batch.received();
            self.checkpointed.observe(batch, record.made);
        }
        for id in &record.changes.forgotten {
            self.publishers.remove(id);
        }
        for publisher in &record.changes.at {
            self.publisher(publisher.clone());
        }
        Ok(())
    }

    fn tick(
        &mut self,
        topic: usize,
        feed: FeedId,
        tick: &Tick,
        at: Position,
    ) -> Result<(), Damage> {
        let known = self.topics.len();
        match self.topics.get_mut(topic) {
            Some(topic)
                if topic.feed == feed
                    && topic.last.symbol == tick.symbol
                    && topic.last.channel() == tick.channel()
                    && tick.seq.0.checked_sub(1) == Some(topic.last.seq.0) =>
            {
                topic.last.clone_from(tick);
                topic.at = at;
                Ok(())
            }
            None if topic == known && tick.seq.0 == 1 => {
                self.topics.push(Topic { feed, at, last: tick.clone() });
                Ok(())
            }
            _ => Err(Damage("a tick does not continue its topic")),
        }
    }

    fn publisher(&mut self, PublisherProgress { id, last, mark, owner }: PublisherProgress) {
        self.changes += 1;
        self.publishers.insert(id, Publisher { last, mark, owner, change: self.changes });
    }

    /// Encodes the state as a checkpoint file.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        frame::write(&mut out, |out| {
            put_bytes(out, self.epoch.as_bytes());
            put_u64(out, self.head.0);
            put_u64(out, self.received.0);
            record::write_feeds(&self.feeds, out);
            put_u32(out, self.topics.len());
            put_u32(out, self.publishers.len());
            for publisher in self.publishers_in_order() {
                record::write_publisher(&publisher, out);
            }
            put_bytes(out, &self.saved());
        });
        for topics in self.topics.chunks(TOPICS_PER_FRAME) {
            frame::write(&mut out, |out| write_topics(topics, out));
        }
        out
    }

    /// Decodes a checkpoint file. `feeds` are the hub's feeds by their ids.
    pub(super) fn read(
        file: &[u8],
        feeds: &[Feed],
        mut checkpointed: Box<dyn CheckpointedState>,
    ) -> Result<Self, Unusable> {
        let [kind @ .., _version] = &MAGIC;
        if !file.starts_with(kind) {
            return Err(Damage("not a checkpoint").into());
        }
        if !file.starts_with(&MAGIC) {
            return Err(Unusable::OtherVersion);
        }
        let Frame::Whole { content, mut end } = frame::read(file, MAGIC.len()) else {
            return Err(Damage("broken header").into());
        };
        let mut reader = Reader(content);
        let epoch = reader.str()?.to_owned();
        let head = Position(reader.u64()?);
        let received = record::read_time(reader.u64()?)?;
        let numbers = segment::map(&record::read_feeds(&mut reader)?, feeds)?;
        let topics = reader.u32()?;
        let publishers = reader.count(13)?;
        let mut publishers_at = Vec::new();
        for _ in 0..publishers {
            publishers_at.push(record::read_publisher(&mut reader)?);
        }
        let saved = reader.bytes()?;
        reader.end()?;
        checkpointed.restore(saved, &numbers);
        let mut state = Self { head, received, ..Self::new(epoch, feeds.to_vec(), checkpointed) };
        publishers_at.into_iter().for_each(|publisher| state.publisher(publisher));
        while state.topics.len() < topics {
            let Frame::Whole { content, end: next } = frame::read(file, end) else {
                return Err(Damage("broken topics").into());
            };
            end = next;
            read_topics(content, &numbers, &mut state.topics)?;
        }
        if state.topics.len() != topics || frame::read(file, end) != Frame::End {
            return Err(Damage("wrong number of topics").into());
        }
        Ok(state)
    }
}

fn write_topics(topics: &[Topic], out: &mut Vec<u8>) {
    put_u32(out, topics.len());
    for topic in topics {
        out.push(topic.feed.0);
        put_u64(out, topic.at.0);
    }
    out.push(record::ARRAY32);
    out.extend_from_slice(&u32::try_from(topics.len()).unwrap_or(u32::MAX).to_be_bytes());
    for topic in topics {
        Encoding::MsgpackArray.write_tick(&topic.last, out);
    }
}

fn read_topics(content: &[u8], feeds: &[FeedId], topics: &mut Vec<Topic>) -> Result<(), Damage> {
    let mut reader = Reader(content);
    let mut places = Vec::new();
    for _ in 0..reader.count(9)? {
        let feed = feeds.get(usize::from(reader.u8()?)).ok_or(record::UNKNOWN_FEED)?;
        places.push((*feed, Position(reader.u64()?)));
    }
    let ticks = decode_ticks(reader.0, Encoding::MsgpackArray).map_err(|_| record::INVALID_TICK)?;
    if ticks.is_empty() || ticks.len() != places.len() {
        return Err(Damage("wrong number of topics"));
    }
    let known = places.into_iter().zip(ticks).map(|((feed, at), last)| Topic { feed, at, last });
    topics.extend(known);
    Ok(())
}
