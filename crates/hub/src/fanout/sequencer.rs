//! Numbering: the single writer's state.

use std::collections::HashMap;

use rustc_hash::FxHashMap;
use tickwire_protocol::{Channel, Seq, Symbol, Tick, UnixNanos};

use super::{Batch, FeedId, Numbered, Position, TopicId};

/// What stands between the feed and the rest in the id of a publisher: no name of a feed holds it.
pub const ID_SEPARATOR: char = '\n';

/// Gives every tick its topic, its sequence number and its position, and remembers of every
/// publisher how far it has come, so that nothing is taken twice.
#[derive(Debug)]
pub struct Sequencer {
    topics: FxHashMap<(FeedId, Channel, Symbol), TopicId>,
    /// Last sequence number of each topic.
    seqs: Vec<u64>,
    head: Position,
    received: UnixNanos,
    pending: Vec<Numbered>,
    new_topics: Vec<(FeedId, Channel, Symbol)>,
    publishers: HashMap<String, Publisher>,
    topics_max: usize,
    /// Of each feed.
    publishers_max: usize,
    sessions: u64,
    /// What has become of publishers since the last look; kept only where somebody looks.
    journal: Option<Journal>,
}

#[derive(Debug, Default)]
struct Journal {
    forgotten: Vec<String>,
    /// Each id once; those that were forgotten since are not there any more.
    advanced: Vec<String>,
}

/// How far a publisher has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublisherAt {
    /// Its id.
    pub id: String,
    /// Number of the last data message taken from it.
    pub last: u64,
    /// The last mark it left.
    pub mark: Option<String>,
}

/// What has become of publishers in a turn: first some are forgotten, then others are where they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PublisherChanges {
    /// Ids that are not remembered any more.
    pub forgotten: Vec<String>,
    /// Those that have come further.
    pub at: Vec<PublisherAt>,
}

impl PublisherChanges {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.forgotten.is_empty() && self.at.is_empty()
    }
}

/// Where numbering stands: what a sequencer goes on from.
#[derive(Debug, Default)]
pub struct Numbering {
    /// Every topic, in the order of its [`TopicId`], with the sequence number of its last tick.
    pub topics: Vec<(FeedId, Channel, Symbol, Seq)>,
    /// Publishers, those that came further last at the end.
    pub publishers: Vec<PublisherAt>,
    /// Position of the next tick.
    pub head: Position,
    /// When the last tick was received.
    pub received: UnixNanos,
}

/// What is known of a publisher, whether it is connected or not.
#[derive(Debug)]
struct Publisher {
    last: u64,
    mark: Option<String>,
    session: PublisherToken,
    connected: bool,
    /// Whether the journal has it.
    noted: bool,
}

/// One session of a publisher; a later session of the same publisher fences it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublisherToken(u64);

/// Answer to a publisher that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// This session.
    pub token: PublisherToken,
    /// Number of the last data message taken from this publisher.
    pub last: u64,
    /// The last mark it left.
    pub mark: Option<String>,
    /// The session it takes over from, if that had not ended.
    pub fenced: Option<PublisherToken>,
}

/// A newer session of the same publisher has taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fenced;

impl Sequencer {
    /// A sequencer of an epoch that begins.
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

    /// A sequencer that goes on where an earlier one stood, and takes note of
    /// [what becomes of publishers](Self::take_changes).
    #[must_use]
    pub fn go_on(numbering: Numbering, topics_max: usize, publishers_max: usize) -> Self {
        let mut sequencer = Self::new(topics_max, publishers_max);
        sequencer.head = numbering.head;
        sequencer.received = numbering.received;
        for ((feed, channel, symbol, seq), id) in numbering.topics.into_iter().zip(0..) {
            sequencer.topics.insert((feed, channel, symbol), TopicId(id));
            sequencer.seqs.push(seq.0);
        }
        for PublisherAt { id, last, mark } in numbering.publishers {
            sequencer.sessions += 1;
            let session = PublisherToken(sequencer.sessions);
            let publisher = Publisher { last, mark, session, connected: false, noted: false };
            sequencer.publishers.insert(id, publisher);
        }
        sequencer.journal = Some(Journal::default());
        sequencer
    }

    /// Position of the next tick that is made part of a batch.
    #[must_use]
    pub const fn head(&self) -> Position {
        self.head
    }

    /// When the last batch was received.
    #[must_use]
    pub const fn received(&self) -> UnixNanos {
        self.received
    }

    /// What has become of publishers since the last call. Always nothing unless the sequencer
    /// [goes on](Self::go_on).
    pub fn take_changes(&mut self) -> PublisherChanges {
        let Some(journal) = &mut self.journal else { return PublisherChanges::default() };
        let forgotten = std::mem::take(&mut journal.forgotten);
        let mut at = Vec::with_capacity(journal.advanced.len());
        for id in journal.advanced.drain(..) {
            if let Some(publisher) = self.publishers.get_mut(&id)
                && std::mem::take(&mut publisher.noted)
            {
                at.push(PublisherAt { id, last: publisher.last, mark: publisher.mark.clone() });
            }
        }
        PublisherChanges { forgotten, at }
    }

    /// Numbers ticks of one feed for the batch of this turn, and says how many were refused because
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
        let key = (feed, tick.channel(), tick.symbol);
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

    /// Ticks waiting for the end of the turn.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// What was taken in this turn, numbered.
    #[must_use]
    pub fn taken(&self) -> &[Numbered] {
        &self.pending
    }

    /// Topics that have ticked.
    #[must_use]
    pub fn topics(&self) -> usize {
        self.seqs.len()
    }

    /// Topics whose first tick was taken since the last call.
    pub fn take_new_topics(&mut self) -> Vec<(FeedId, Channel, Symbol)> {
        std::mem::take(&mut self.new_topics)
    }

    /// Ends the turn: the batch of what was taken since the last one, if anything was.
    pub fn batch(&mut self, now: UnixNanos) -> Option<Batch> {
        if self.pending.is_empty() {
            return None;
        }
        self.received = self.received.max(now); // a clock set back must not reorder history
        let batch = Batch::new(self.head, self.received, std::mem::take(&mut self.pending));
        self.head = batch.end();
        Some(batch)
    }

    /// A publisher begins (or comes back). The least recently begun of those of its feed that are not
    /// connected is forgotten when there are too many; `None` when all are connected.
    pub fn open(&mut self, id: &str) -> Option<Opened> {
        if !self.publishers.contains_key(id) && self.beside(id).count() >= self.publishers_max {
            self.forget_oldest(id)?;
        }
        self.sessions += 1;
        let token = PublisherToken(self.sessions);
        let publisher = self.publishers.entry(id.to_owned()).or_insert(Publisher {
            last: 0,
            mark: None,
            session: token,
            connected: false,
            noted: false,
        });
        let fenced = publisher.connected.then_some(publisher.session);
        publisher.session = token;
        publisher.connected = true;
        Some(Opened { token, last: publisher.last, mark: publisher.mark.clone(), fenced })
    }

    /// A publisher that is known by one id goes on under another, unless somebody is known by that.
    pub fn rename(&mut self, from: &str, to: &str) {
        if self.publishers.contains_key(to) {
            return;
        }
        let Some(mut publisher) = self.publishers.remove(from) else { return };
        if let Some(journal) = &mut self.journal {
            publisher.noted = true;
            journal.forgotten.push(from.to_owned());
            journal.advanced.push(to.to_owned());
        }
        self.publishers.insert(to.to_owned(), publisher);
    }

    /// The publishers of the same feed: those of others take no place from it.
    fn beside(&self, id: &str) -> impl Iterator<Item = (&String, &Publisher)> {
        let feed = feed_of(id);
        self.publishers.iter().filter(move |(known, _)| feed_of(known) == feed)
    }

    fn forget_oldest(&mut self, newer: &str) -> Option<()> {
        let idle = self.beside(newer).filter(|(_, publisher)| !publisher.connected);
        let (id, _) = idle.min_by_key(|(_, publisher)| publisher.session.0)?;
        let id = id.clone();
        self.publishers.remove(&id);
        if let Some(journal) = &mut self.journal {
            journal.forgotten.push(id);
        }
        Some(())
    }

    /// A publisher's data message number `number` is about to be taken.
    ///
    /// # Errors
    /// If a newer session has taken over; then the message must not be taken.
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
            && !std::mem::replace(&mut publisher.noted, true)
        {
            journal.advanced.push(id.to_owned());
        }
        Ok(())
    }

    /// A publisher's session has ended.
    pub fn close(&mut self, id: &str, token: PublisherToken) {
        if let Some(publisher) = self.publishers.get_mut(id)
            && publisher.session == token
        {
            publisher.connected = false;
        }
    }
}

/// The feed whose publisher an id is, if it says so.
fn feed_of(id: &str) -> &str {
    id.split_once(ID_SEPARATOR).map_or("", |(feed, _)| feed)
}

#[cfg(test)]
pub(crate) mod tests;
