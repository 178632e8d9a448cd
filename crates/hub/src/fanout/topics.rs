//! The topics of one shard: who wants them, and their last values.

use std::collections::HashMap;

use slab::Slab;
use tickwire_protocol::{Channel, Symbol, Tick};

use super::subscriber::Subscriber;
use super::topic_positions::TopicPositions;
use super::{FeedId, InterestChange, Numbered, Position, TopicId, TopicInterest};

/// A topic by what it is.
pub(crate) type Key = (FeedId, Channel, Symbol);

/// Number of a topic within its shard. Unlike a [`TopicId`] it also exists for names that have never
/// ticked, because somebody waits for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LocalId(pub(crate) u32);

#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) key: Key,
    /// The sessions that named it, in no order.
    pub(crate) subscribers: Vec<Subscriber>,
    /// Number of subscribers at the last call of [`Topics::report_subscribers`].
    reported: u32,
    /// `None` while it has never ticked.
    pub(crate) last: Option<Box<Last>>,
}

impl Topic {
    /// Position of its newest tick here, if it has ticked.
    pub(crate) fn last_at(&self) -> Option<Position> {
        self.last.as_ref().map(|last| last.at)
    }

    fn report_subscribers(&mut self) -> Option<InterestChange> {
        let now = u32::try_from(self.subscribers.len()).expect("limits keep this small");
        let before = std::mem::replace(&mut self.reported, now);
        let (feed, channel, symbol) = self.key;
        let interest = TopicInterest { feed, channel, symbol: Some(symbol) };
        let delta = i64::from(now) - i64::from(before);
        (delta != 0).then_some(InterestChange { interest, delta })
    }
}

/// The last value of a topic: a copy, never a slice that would pin a batch.
#[derive(Debug)]
pub(crate) struct Last {
    pub(crate) tick: Tick,
    pub(crate) at: Position,
    /// Where it and those before it stand in the log.
    pub(crate) past: TopicPositions,
}

impl Last {
    /// The first tick of a topic that is seen here, by who has seen all ticks from a position on.
    fn met(tick: Tick, at: Position, seen_from: Position) -> Self {
        let is_first = tick.seq.0 <= 1;
        let mut past = if is_first {
            TopicPositions::default()
        } else {
            TopicPositions::unknown_before(seen_from)
        };
        past.push(at, Position(0));
        Self { tick, at, past }
    }

    /// Number of the oldest tick that is still in the log; behind the newest if none is.
    pub(crate) fn oldest_seq(&self) -> u64 {
        (self.tick.seq.0 + 1).saturating_sub(self.past.len() as u64)
    }
}

/// No room for another name that has never ticked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyWaiting;

#[derive(Debug)]
pub(crate) struct Topics {
    topics: Slab<Topic>,
    /// Asked by commands and at first ticks only. Subscribers choose these keys, so they are hashed
    /// with a random secret: nobody can find names that all fall into one place.
    by_key: HashMap<Key, LocalId>,
    /// The local number of each [`TopicId`], `UNKNOWN` before its first tick here.
    of_global: Vec<LocalId>,
    /// Topics that have never ticked: names somebody waits for.
    waiting: usize,
    waiting_max: usize,
    /// The slot from which on to trim next.
    trimmed: usize,
}

/// Topics that are trimmed together.
const TRIMMED_AT_ONCE: usize = 4096;

const UNKNOWN: LocalId = LocalId(u32::MAX);

impl Topics {
    pub(crate) fn new(waiting_max: usize) -> Self {
        Self {
            topics: Slab::new(),
            by_key: HashMap::new(),
            of_global: Vec::new(),
            waiting: 0,
            waiting_max,
            trimmed: 0,
        }
    }

    /// Takes note of a tick: it is its topic's last value now. All ticks from `seen_from` on have been
    /// noted here, if they had not left the log, which begins at `log_start`.
    #[inline]
    pub(crate) fn tick(
        &mut self,
        numbered: &Numbered,
        at: Position,
        log_start: Position,
        seen_from: Position,
    ) -> (LocalId, &mut Topic) {
        let local = self.local(numbered.topic).unwrap_or_else(|| self.meet(numbered));
        let topic = &mut self.topics[local.0 as usize];
        match &mut topic.last {
            Some(last) => {
                if numbered.tick.seq.0 != last.tick.seq.0 + 1 {
                    last.past = TopicPositions::unknown_before(seen_from); // the shard fell out of the log
                }
                last.tick.clone_from(&numbered.tick); // in place: the box stays
                last.at = at;
                last.past.push(at, log_start);
            }
            None => {
                topic.last = Some(Box::new(Last::met(numbered.tick.clone(), at, seen_from)));
                self.waiting -= 1;
            }
        }
        (local, topic)
    }

    /// The number here of a topic that has ticked.
    #[inline]
    pub(crate) fn local(&self, TopicId(global): TopicId) -> Option<LocalId> {
        self.of_global.get(global as usize).copied().filter(|local| *local != UNKNOWN)
    }

    /// The first tick of a topic.
    fn meet(&mut self, numbered: &Numbered) -> LocalId {
        let TopicId(global) = numbered.topic;
        let index = global as usize;
        if self.of_global.len() <= index {
            self.of_global.resize(index + 1, UNKNOWN);
        }
        let key = (numbered.feed, numbered.tick.channel(), numbered.tick.symbol);
        let local = match self.by_key.get(&key) {
            Some(local) => *local,
            None => self.insert(key),
        };
        self.of_global[index] = local;
        local
    }

    fn insert(&mut self, key: Key) -> LocalId {
        let topic = Topic { key, subscribers: Vec::new(), reported: 0, last: None };
        let slot = self.topics.insert(topic);
        let local = LocalId(u32::try_from(slot).expect("limits keep topics below 2^32"));
        self.by_key.insert(key, local);
        self.waiting += 1;
        local
    }

    /// Takes a topic's last value from before the log begins.
    pub(crate) fn restore(&mut self, feed: FeedId, tick: Tick, at: Position) {
        let key = (feed, tick.channel(), tick.symbol);
        let local = self.by_key.get(&key).copied().unwrap_or_else(|| self.insert(key));
        let topic = &mut self.topics[local.0 as usize];
        self.waiting -= usize::from(topic.last.is_none());
        let past = TopicPositions::unknown_before(at.plus(1));
        topic.last = Some(Box::new(Last { tick, at, past }));
    }

    /// Lets go of what has left the log, of some topics at a time.
    pub(crate) fn trim_some(&mut self, log_start: Position, head: Position) {
        let end = self.trimmed + TRIMMED_AT_ONCE;
        for slot in self.trimmed..end {
            if let Some(last) = self.topics.get_mut(slot).and_then(|topic| topic.last.as_mut()) {
                last.past.trim(log_start, head);
            }
        }
        self.trimmed = if end < self.topics.capacity() { end } else { 0 };
    }

    pub(crate) fn find(&self, key: &Key) -> Option<LocalId> {
        self.by_key.get(key).copied()
    }

    /// Finds a topic or makes room for a name that has never ticked.
    pub(crate) fn wait_for(&mut self, key: Key) -> Result<LocalId, TooManyWaiting> {
        match self.by_key.get(&key) {
            Some(local) => Ok(*local),
            None if self.waiting >= self.waiting_max => Err(TooManyWaiting),
            None => Ok(self.insert(key)),
        }
    }

    /// Removes a topic that has no subscribers and has never ticked. Returns the change in its number
    /// of subscribers that it had not reported.
    pub(crate) fn release(&mut self, local: LocalId) -> Option<InterestChange> {
        let slot = local.0 as usize;
        let topic = self.topics.get_mut(slot)?;
        if !topic.subscribers.is_empty() || topic.last.is_some() {
            return None;
        }
        let change = topic.report_subscribers();
        self.by_key.remove(&topic.key);
        self.topics.remove(slot);
        self.waiting -= 1;
        change
    }

    /// Returns the change in a topic's number of subscribers since the last call, if there is one.
    pub(crate) fn report_subscribers(&mut self, local: LocalId) -> Option<InterestChange> {
        self.topics.get_mut(local.0 as usize)?.report_subscribers()
    }

    /// The channel of a topic, if there still is one of that number.
    pub(crate) fn channel(&self, local: LocalId) -> Option<Channel> {
        self.topics.get(local.0 as usize).map(|topic| topic.key.1)
    }

    pub(crate) fn get(&self, local: LocalId) -> &Topic {
        &self.topics[local.0 as usize]
    }

    pub(crate) fn get_mut(&mut self, local: LocalId) -> &mut Topic {
        &mut self.topics[local.0 as usize]
    }

    /// Topics there are, those that have never ticked included.
    pub(crate) fn len(&self) -> usize {
        self.topics.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (LocalId, &Topic)> {
        let local = |slot| LocalId(u32::try_from(slot).expect("as above, in insert"));
        self.topics.iter().map(move |(slot, topic)| (local(slot), topic))
    }
}

/// Gives memory back when less than a quarter of it is used, so that nobody pays forever for a list
/// that was long once.
pub(crate) fn release_unused<T>(list: &mut Vec<T>) {
    if list.len() < list.capacity() / 4 {
        list.shrink_to(2 * list.len());
    }
}
