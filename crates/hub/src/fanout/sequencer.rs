//! Numbering of ticks, and the progress of publishers: the state of the router, the single writer.

use std::cmp::Reverse;
use std::collections::HashMap;

use rustc_hash::FxHashMap;
use tickwire_protocol::{Seq, Tick, UnixNanos};

use super::{Batch, FeedId, Numbered, Position, TopicId, TopicKey};

/// Separates the feed from the rest in the id of a publisher. No name of a feed contains it.
pub const ID_SEPARATOR: char = '\n';

/// Assigns a topic, a sequence number and a position to every tick, and keeps the progress of every
/// publisher, so that no message is taken twice.
#[derive(Debug)]
pub struct Sequencer {
    topics: FxHashMap<TopicKey, TopicId>,
    /// Last sequence number of each topic.
    seqs: Vec<u64>,
    head: Position,
    received: UnixNanos,
    pending: Vec<Numbered>,
    new_topics: Vec<TopicKey>,
    publishers: HashMap<String, PublisherState>,
    topics_max: usize,
    /// Maximum number of publishers of each feed.
    publishers_max: usize,
    /// Number of the newest publisher session.
    sessions: u64,
    /// Changes of publishers since the last [`Sequencer::take_changes`]; `None` if they are not
    /// recorded.
    journal: Option<Journal>,
}

#[derive(Debug, Default)]
struct Journal {
    forgotten: Vec<String>,
    /// Ids of the publishers that have advanced, each once. A publisher may have been forgotten
    /// since.
    advanced: Vec<String>,
}

/// The progress of a publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublisherProgress {
    /// The id of the publisher.
    pub id: String,
    /// Number of the last data message that was taken from the publisher.
    pub last: u64,
    /// The last mark that the publisher sent: its place in its source. `None` if it has sent none.
    pub mark: Option<String>,
    /// The owner of the publisher; `None` if it has none.
    pub owner: Option<String>,
}

/// Changes of publishers in a turn. Apply `forgotten` before `at`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PublisherChanges {
    /// Ids of publishers whose progress is no longer kept.
    pub forgotten: Vec<String>,
    /// New progress of the publishers that have advanced.
    pub at: Vec<PublisherProgress>,
}

impl PublisherChanges {
    /// Returns whether there are no changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.forgotten.is_empty() && self.at.is_empty()
    }
}

/// The state of a sequencer from which another one can continue.
#[derive(Debug, Default)]
pub struct Numbering {
    /// Every topic, in the order of its [`TopicId`], with the sequence number of its last tick.
    pub topics: Vec<(TopicKey, Seq)>,
    /// The publishers. Those that advanced last are at the end.
    pub publishers: Vec<PublisherProgress>,
    /// Position of the next tick.
    pub head: Position,
    /// Time at which the last tick was received.
    pub received: UnixNanos,
}

/// State of a publisher, whether it is connected or not.
#[derive(Debug)]
struct PublisherState {
    last: u64,
    mark: Option<String>,
    owner: Option<String>,
    session: PublisherToken,
    connected: bool,
    /// Whether the journal lists it as advanced.
    is_journaled: bool,
}

/// Identifies one session of a publisher. A later session of the same publisher fences it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublisherToken(u64);

/// Answer to a publisher that opens a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Token of the new session.
    pub token: PublisherToken,
    /// Number of the last data message that was taken from the publisher.
    pub last: u64,
    /// The last mark that the publisher sent: its place in its source. `None` if it has sent none.
    pub mark: Option<String>,
    /// The session that the new one replaces, if that had not ended.
    pub fenced: Option<PublisherToken>,
}

/// A newer session of the same publisher has replaced this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fenced;

impl Sequencer {
    /// Creates a sequencer for a new epoch.
    #[must_use]
    pub fn new(topics_max: usize, publishers_max: usize) -> Self {
        Self {
            topics: FxHashMap::default(),
            seqs: Vec::new(),
            head: Position::FIRST,
            received: UnixNanos::default(),
            pending: Vec::new(),
            new_topics: Vec::new(),
            publishers: HashMap::new(),
            topics_max,
            publishers_max,
            sessions: 0,
            journal: None,
        }
    }

    /// Creates a sequencer that continues from a state, and records
    /// [changes of publishers](Self::take_changes).
    #[must_use]
    pub fn restore(numbering: Numbering, topics_max: usize, publishers_max: usize) -> Self {
        let mut sequencer = Self::new(topics_max, publishers_max);
        sequencer.head = numbering.head;
        sequencer.received = numbering.received;
        for ((key, seq), id) in numbering.topics.into_iter().zip(0..) {
            sequencer.topics.insert(key, TopicId(id));
            sequencer.seqs.push(seq.0);
        }
        for PublisherProgress { id, last, mark, owner } in numbering.publishers {
            sequencer.sessions += 1;
            let session = PublisherToken(sequencer.sessions);
            let connected = false;
            let is_journaled = false;
            let publisher = PublisherState { last, mark, owner, session, connected, is_journaled };
            sequencer.publishers.insert(id, publisher);
        }
        sequencer.journal = Some(Journal::default());
        sequencer
    }

    /// Returns the position of the first tick of the next batch.
    #[must_use]
    pub const fn head(&self) -> Position {
        self.head
    }

    /// Returns the time at which the last batch was received.
    #[must_use]
    pub const fn received(&self) -> UnixNanos {
        self.received
    }

    /// Returns the changes of publishers since the last call: none unless the sequencer was
    /// [restored](Self::restore).
    pub fn take_changes(&mut self) -> PublisherChanges {
        let Some(journal) = &mut self.journal else { return PublisherChanges::default() };
        let forgotten = std::mem::take(&mut journal.forgotten);
        let mut at = Vec::with_capacity(journal.advanced.len());
        for id in journal.advanced.drain(..) {
            if let Some(publisher) = self.publishers.get_mut(&id)
                && std::mem::take(&mut publisher.is_journaled)
            {
                at.push(PublisherProgress {
                    id,
                    last: publisher.last,
                    mark: publisher.mark.clone(),
                    owner: publisher.owner.clone(),
                });
            }
        }
        PublisherChanges { forgotten, at }
    }

    /// Numbers ticks of one feed for the batch of this turn. Returns how many were refused because
    /// they would have opened a topic beyond the limit.
    pub fn take(&mut self, feed: FeedId, ticks: Vec<Tick>) -> usize {
        let offered = ticks.len();
        let before = self.pending.len();
        self.pending.reserve(offered);
        for mut tick in ticks {
            let Some(topic) = self.topic(feed, &tick) else { continue };
            let seq = &mut self.seqs[topic.0 as usize];
            *seq += 1;
            tick.seq = Seq(*seq);
            self.pending.push(Numbered { topic, feed, tick });
        }
        offered - (self.pending.len() - before)
    }

    fn topic(&mut self, feed: FeedId, tick: &Tick) -> Option<TopicId> {
        let key = TopicKey::of(feed, tick);
        if let Some(topic) = self.topics.get(&key) {
            return Some(*topic);
        }
        if self.seqs.len() >= self.topics_max {
            return None;
        }
        let topic = TopicId(u32::try_from(self.seqs.len()).ok()?);
        self.seqs.push(0);
        self.topics.insert(key, topic);
        self.new_topics.push(key);
        Some(topic)
    }

    /// Returns the number of ticks taken in this turn.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Returns the ticks taken in this turn, numbered.
    #[must_use]
    pub fn taken(&self) -> &[Numbered] {
        &self.pending
    }

    /// Returns the number of topics that have ticked.
    #[must_use]
    pub fn topics(&self) -> usize {
        self.seqs.len()
    }

    /// Returns the topics whose first tick was taken since the last call.
    pub fn take_new_topics(&mut self) -> Vec<TopicKey> {
        std::mem::take(&mut self.new_topics)
    }

    /// Ends the turn and returns its batch; `None` if no ticks were taken.
    pub fn batch(&mut self, now: UnixNanos) -> Option<Batch> {
        if self.pending.is_empty() {
            return None;
        }
        self.received = self.received.max(now); // a clock set back must not reorder history
        let batch = Batch::new(self.head, self.received, std::mem::take(&mut self.pending));
        self.head = batch.end();
        Some(batch)
    }

    /// Opens a session of a publisher, which may be new or return. When its feed has too many
    /// publishers, a disconnected one is forgotten: the oldest of the owner that has the most.
    /// Returns `None` if all publishers of the feed are connected.
    pub fn open(&mut self, id: &str) -> Option<Opened> {
        if !self.publishers.contains_key(id) && self.of_same_feed(id).count() >= self.publishers_max
        {
            self.forget_oldest(id)?;
        }
        self.sessions += 1;
        let token = PublisherToken(self.sessions);
        let publisher = self.publishers.entry(id.to_owned()).or_insert(PublisherState {
            last: 0,
            mark: None,
            owner: None,
            session: token,
            connected: false,
            is_journaled: false,
        });
        let fenced = publisher.connected.then_some(publisher.session);
        publisher.session = token;
        publisher.connected = true;
        Some(Opened { token, last: publisher.last, mark: publisher.mark.clone(), fenced })
    }

    /// Returns whether an owner may use the id of a publisher: unless the id belongs to another
    /// owner that still exists.
    #[must_use]
    pub fn may_use(
        &self,
        id: &str,
        owner: Option<&str>,
        exists: impl FnOnce(&str) -> bool,
    ) -> bool {
        let of_id = self.publishers.get(id).and_then(|publisher| publisher.owner.as_deref());
        of_id.is_none_or(|of_id| Some(of_id) == owner || !exists(of_id))
    }

    /// Makes a publisher belong to an owner.
    pub fn set_owner(&mut self, id: &str, owner: Option<&str>) {
        let Some(publisher) = self.publishers.get_mut(id) else { return };
        if publisher.owner.as_deref() == owner {
            return;
        }
        publisher.owner = owner.map(str::to_owned);
        // A publisher that has never advanced is recorded when it does.
        if publisher.last > 0
            && let Some(journal) = &mut self.journal
            && !std::mem::replace(&mut publisher.is_journaled, true)
        {
            journal.advanced.push(id.to_owned());
        }
    }

    /// Moves the progress of a publisher from one id to another, unless that id has progress
    /// already.
    pub fn rename(&mut self, from: &str, to: &str) {
        if self.publishers.contains_key(to) {
            return;
        }
        let Some(mut publisher) = self.publishers.remove(from) else { return };
        if let Some(journal) = &mut self.journal {
            publisher.is_journaled = true;
            journal.forgotten.push(from.to_owned());
            journal.advanced.push(to.to_owned());
        }
        self.publishers.insert(to.to_owned(), publisher);
    }

    /// Returns the publishers of the same feed: the limit counts each feed apart.
    fn of_same_feed(&self, id: &str) -> impl Iterator<Item = (&String, &PublisherState)> {
        let feed = feed_of(id);
        self.publishers.iter().filter(move |(known, _)| feed_of(known) == feed)
    }

    /// Forgets the publisher whose last session began first among the disconnected ones of the
    /// owner that has the most of these in the feed: inventing ids costs an owner only its own.
    fn forget_oldest(&mut self, newer: &str) -> Option<()> {
        let mut idle: HashMap<Option<&str>, (usize, Reverse<u64>, &str)> = HashMap::new();
        for (id, publisher) in self.of_same_feed(newer).filter(|(_, known)| !known.connected) {
            let began = Reverse(publisher.session.0);
            let of_owner = idle.entry(publisher.owner.as_deref()).or_insert((0, began, id));
            of_owner.0 += 1;
            if began > of_owner.1 {
                (of_owner.1, of_owner.2) = (began, id);
            }
        }
        let (_, _, id) = *idle.values().max()?;
        let id = id.to_owned();
        self.publishers.remove(&id);
        if let Some(journal) = &mut self.journal {
            journal.forgotten.push(id);
        }
        Some(())
    }

    /// Records that data message `number` of a publisher is about to be taken.
    ///
    /// # Errors
    /// Fails if a newer session has replaced this one. Then the message must not be taken.
    pub fn advance(
        &mut self,
        id: &str,
        token: PublisherToken,
        number: u64,
        mark: Option<String>,
    ) -> Result<(), Fenced> {
        let publisher = self.publishers.get_mut(id).ok_or(Fenced)?;
        if publisher.session != token {
            return Err(Fenced);
        }
        publisher.last = number;
        if mark.is_some() {
            publisher.mark = mark;
        }
        if let Some(journal) = &mut self.journal
            && !std::mem::replace(&mut publisher.is_journaled, true)
        {
            journal.advanced.push(id.to_owned());
        }
        Ok(())
    }

    /// Records that a session of a publisher has ended.
    pub fn close(&mut self, id: &str, token: PublisherToken) {
        if let Some(publisher) = self.publishers.get_mut(id)
            && publisher.session == token
        {
            publisher.connected = false;
        }
    }
}

/// Returns the feed in the id of a publisher; empty if the id names none.
fn feed_of(id: &str) -> &str {
    id.split_once(ID_SEPARATOR).map_or("", |(feed, _)| feed)
}

#[cfg(test)]
pub(crate) mod tests;
