//! The topics of one shard: their subscribers and their last values.

use std::collections::HashMap;
use std::ops::Range;

use slab::Slab;
use tickwire_protocol::{Channel, Tick};

use super::super::history::topic_positions::TopicPositions;
use super::super::{ClientId, LastTick, LocalTopicId, Numbered, Position, TopicId, TopicKey};
use super::interest::{InterestChange, TopicInterest};
use super::shared_limit::{LimitReached, SharedLimit};
use super::subscriber::Subscriber;

/// A topic of a shard: one that has ticked, or that sessions subscribe to by name.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) key: TopicKey,
    /// The sessions that subscribe to the topic by name, in no order.
    pub(crate) subscribers: Vec<Subscriber>,
    /// Number of subscribers at the last call of [`Topics::report_subscribers`].
    reported: u32,
    /// While the topic waits for its first tick: the client whose share it counts against.
    owner: Option<ClientId>,
    /// Last value of the topic; `None` before its first tick.
    pub(crate) last: Option<Box<LastValue>>,
}

impl Topic {
    /// Returns the position of the topic's newest tick, if it has ticked.
    pub(crate) fn last_position(&self) -> Option<Position> {
        self.last.as_ref().map(|last| last.position)
    }

    fn report_subscribers(&mut self) -> Option<InterestChange> {
        let now = u32::try_from(self.subscribers.len()).expect("limits keep this small");
        let before = std::mem::replace(&mut self.reported, now);
        let TopicKey { feed, channel, symbol } = self.key;
        let interest = TopicInterest { feed, channel, symbol: Some(symbol) };
        let delta = i64::from(now) - i64::from(before);
        (delta != 0).then_some(InterestChange { interest, delta })
    }
}

/// The last value of a topic: a copy of the tick, since a reference would keep its batch alive.
#[derive(Debug)]
pub(crate) struct LastValue {
    pub(crate) tick: Tick,
    pub(crate) position: Position,
    /// Positions of this tick and earlier ones in the log.
    pub(crate) positions: TopicPositions,
}

impl LastValue {
    /// Creates the value for the first tick of a topic that this shard sees. The shard has seen all
    /// ticks from `seen_from` on.
    fn first_seen(tick: Tick, position: Position, seen_from: Position) -> Self {
        let mut positions = match tick.seq.0 {
            0 | 1 => TopicPositions::default(),
            _ => TopicPositions::unknown_before(seen_from),
        };
        positions.push(position, Position(0));
        Self { tick, position, positions }
    }

    /// Returns the sequence number of the oldest tick in the log; the one after the newest if the
    /// log has none.
    pub(crate) fn oldest_seq(&self) -> u64 {
        (self.tick.seq.0 + 1).saturating_sub(self.positions.len() as u64)
    }
}

/// All topics of a shard.
#[derive(Debug)]
pub(crate) struct Topics {
    topics: Slab<Topic>,
    /// The local number of each topic, by its key. Used only by commands and at first ticks.
    /// Subscribers choose the keys, so they are hashed with a random secret: no subscriber can find
    /// names that collide.
    by_key: HashMap<TopicKey, LocalTopicId>,
    /// The local number of each [`TopicId`]; [`UNKNOWN`] before its first tick here.
    by_topic_id: Vec<LocalTopicId>,
    /// Number of topics that have subscribers but have never ticked.
    waiting: SharedLimit,
    /// The slot at which the next trim begins.
    next_trim: usize,
}

/// Topics that one call of [`Topics::trim_some`] trims.
const TRIMMED_AT_ONCE: usize = 4096;

const UNKNOWN: LocalTopicId = LocalTopicId(u32::MAX);

impl Topics {
    /// Creates an empty table that may hold `waiting_max` topics that have never ticked.
    pub(crate) fn new(waiting_max: usize) -> Self {
        Self {
            topics: Slab::new(),
            by_key: HashMap::new(),
            by_topic_id: Vec::new(),
            waiting: SharedLimit::new(waiting_max),
            next_trim: 0,
        }
    }

    /// Records a tick as the last value of its topic. The shard has recorded all ticks from
    /// `seen_from` on; the log begins at `log_start`.
    #[inline]
    pub(crate) fn record(
        &mut self,
        numbered: &Numbered,
        position: Position,
        log_start: Position,
        seen_from: Position,
    ) -> (LocalTopicId, &mut Topic) {
        let local = self.local(numbered.topic).unwrap_or_else(|| self.intern(numbered));
        let topic = &mut self.topics[local.0 as usize];
        match &mut topic.last {
            Some(last) => {
                if numbered.tick.seq.0 != last.tick.seq.0 + 1 {
                    // The shard has missed ticks of the topic.
                    last.positions = TopicPositions::unknown_before(seen_from);
                }
                last.tick.clone_from(&numbered.tick); // in place: the box stays
                last.position = position;
                last.positions.push(position, log_start);
            }
            None => {
                let last = LastValue::first_seen(numbered.tick.clone(), position, seen_from);
                topic.last = Some(Box::new(last));
                self.waiting.remove(topic.owner.take(), 1);
            }
        }
        (local, topic)
    }

    /// Returns the local number of a topic that has ticked here.
    #[inline]
    pub(crate) fn local(&self, TopicId(id): TopicId) -> Option<LocalTopicId> {
        self.by_topic_id.get(id as usize).copied().filter(|local| *local != UNKNOWN)
    }

    /// Assigns a local number to the topic of a first tick.
    fn intern(&mut self, numbered: &Numbered) -> LocalTopicId {
        let index = numbered.topic.0 as usize;
        if self.by_topic_id.len() <= index {
            self.by_topic_id.resize(index + 1, UNKNOWN);
        }
        let local = self.find_or_insert(TopicKey::of(numbered.feed, &numbered.tick));
        self.by_topic_id[index] = local;
        local
    }

    fn find_or_insert(&mut self, key: TopicKey) -> LocalTopicId {
        match self.by_key.get(&key) {
            Some(local) => *local,
            None => self.insert(key, None),
        }
    }

    fn insert(&mut self, key: TopicKey, owner: Option<ClientId>) -> LocalTopicId {
        let topic = Topic { key, subscribers: Vec::new(), reported: 0, owner, last: None };
        let slot = self.topics.insert(topic);
        let local = LocalTopicId(u32::try_from(slot).expect("limits keep topics below 2^32"));
        self.by_key.insert(key, local);
        self.waiting.add(owner, 1);
        local
    }

    /// Records the last value of a topic from before the log begins.
    pub(crate) fn restore(&mut self, last: LastTick) {
        let LastTick { feed, tick, position } = last;
        let local = self.find_or_insert(TopicKey::of(feed, &tick));
        let topic = &mut self.topics[local.0 as usize];
        self.waiting.remove(topic.owner.take(), usize::from(topic.last.is_none()));
        let positions = TopicPositions::unknown_before(position.plus(1));
        topic.last = Some(Box::new(LastValue { tick, position, positions }));
    }

    /// Removes positions that have left the log, for some topics at a time.
    pub(crate) fn trim_some(&mut self, log_start: Position, head: Position) {
        let end = self.next_trim + TRIMMED_AT_ONCE;
        for slot in self.next_trim..end {
            if let Some(last) = self.topics.get_mut(slot).and_then(|topic| topic.last.as_mut()) {
                last.positions.trim(log_start, head);
            }
        }
        self.next_trim = if end < self.topics.capacity() { end } else { 0 };
    }

    pub(crate) fn find(&self, key: &TopicKey) -> Option<LocalTopicId> {
        self.by_key.get(key).copied()
    }

    /// Returns the topic of a key. Adds a topic that this shard does not know yet; it *waits* for
    /// its first tick, and counts against the share of the client.
    ///
    /// # Errors
    /// Fails if the topic is unknown and no more topics may wait.
    pub(super) fn find_or_wait(
        &mut self,
        key: TopicKey,
        client: Option<ClientId>,
    ) -> Result<LocalTopicId, LimitReached> {
        match self.by_key.get(&key) {
            Some(local) => Ok(*local),
            None => self.waiting.check(client, 1).map(|()| self.insert(key, client)),
        }
    }

    /// Removes a topic if it has no subscribers and has never ticked. Returns the change in its
    /// number of subscribers that was not reported yet, if there is one.
    pub(crate) fn release(&mut self, local: LocalTopicId) -> Option<InterestChange> {
        let slot = local.0 as usize;
        let topic = self.topics.get_mut(slot)?;
        if !topic.subscribers.is_empty() || topic.last.is_some() {
            return None;
        }
        let change = topic.report_subscribers();
        self.by_key.remove(&topic.key);
        let removed = self.topics.remove(slot);
        self.waiting.remove(removed.owner, 1);
        change
    }

    /// Returns the change in a topic's number of subscribers since the last call, if there is one.
    pub(crate) fn report_subscribers(&mut self, local: LocalTopicId) -> Option<InterestChange> {
        self.topics.get_mut(local.0 as usize)?.report_subscribers()
    }

    /// Returns the channel of a topic, if there is a topic with that number.
    pub(crate) fn channel(&self, local: LocalTopicId) -> Option<Channel> {
        self.topics.get(local.0 as usize).map(|topic| topic.key.channel)
    }

    pub(crate) fn get(&self, local: LocalTopicId) -> &Topic {
        &self.topics[local.0 as usize]
    }

    pub(crate) fn get_mut(&mut self, local: LocalTopicId) -> &mut Topic {
        &mut self.topics[local.0 as usize]
    }

    /// Returns the number of topics, those that have never ticked included.
    pub(crate) fn len(&self) -> usize {
        self.topics.len()
    }

    /// Returns the number of topics that have subscribers but have never ticked.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting.used()
    }

    /// Returns the number of slots: every [`LocalTopicId`] is less.
    pub(crate) fn slots(&self) -> usize {
        self.topics.capacity()
    }

    /// Returns the topics with these local numbers.
    pub(crate) fn in_slots(
        &self,
        slots: Range<usize>,
    ) -> impl Iterator<Item = (LocalTopicId, &Topic)> {
        let local = |slot| LocalTopicId(u32::try_from(slot).expect("as in insert"));
        slots.filter_map(move |slot| Some((local(slot), self.topics.get(slot)?)))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (LocalTopicId, &Topic)> {
        let local = |slot| LocalTopicId(u32::try_from(slot).expect("as in insert"));
        self.topics.iter().map(move |(slot, topic)| (local(slot), topic))
    }
}

/// Releases memory of a list that is less than a quarter full, so that a list that was long once
/// does not stay large.
pub(crate) fn release_unused<T>(list: &mut Vec<T>) {
    if list.len() < list.capacity() / 4 {
        list.shrink_to(2 * list.len());
    }
}
