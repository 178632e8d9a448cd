//! From the log to what sessions are owed.

use std::sync::Arc;

use slab::Slab;
use tickwire_protocol::{Tick, UnixNanos};

use super::super::latest::{Latest, Marked};
use super::super::session::{Feed, Flow, Hot, Session};
use super::super::subscriber::Subscriber;
use super::super::topics::LocalId;
use super::super::wheel::{Due, Timer, Wheel};
use super::super::{Batch, FeedId, Position, SessionId};
use super::lag::{Lagged, Missed};
use super::{Line, Shard};

impl Shard {
    /// Fans a batch out: last values, then four bytes for every tick a session wants, or a mark on its
    /// topic for who wants the newest only.
    pub(crate) fn apply(&mut self, batch: Arc<Batch>) {
        let mut queue = Queue {
            hot: &mut self.hot,
            line: &mut self.line,
            lagged: &mut self.lagged,
            wheel: &mut self.wheel,
            backlog_max: self.limits.backlog_ticks,
            now: self.now,
            conflated: 0,
        };
        let mut queued = 0;
        let (log_start, seen_from) = (self.view.start(), self.seen_from);
        let mut position = batch.first();
        for numbered in batch.ticks() {
            let index = position.index();
            let (local, topic) = self.topics.tick(numbered, position, log_start, seen_from);
            for subscriber in &mut topic.subscribers {
                if let Some(slot) = subscriber.every_slot() {
                    queued += u64::from(queue.push(slot, index));
                } else if subscriber.is_marked() {
                    queue.conflated += 1;
                } else if let Some(lane) = subscriber.lane().index() {
                    queue
                        .owe(subscriber.session(), |latest, now| latest.mark_new(lane, local, now));
                    subscriber.set_marked(true);
                }
            }
            let (feed, channel, _) = topic.key;
            for subscriber in &self.wild[usize::from(feed.0)][channel] {
                if !(subscriber.has_names() && is_named(&self.sessions, *subscriber, local)) {
                    match subscriber.lane().index() {
                        None => {
                            queued += u64::from(queue.push(subscriber.session().slot(), index));
                        }
                        Some(lane) => queue
                            .owe(subscriber.session(), |latest, now| latest.mark(lane, local, now)),
                    }
                }
            }
            position = position.plus(1);
        }
        self.stats.ticks_applied += batch.ticks().len() as u64;
        self.stats.backlog_ticks += queued;
        self.stats.ticks_conflated += queue.conflated;
        self.view.push(batch);
    }

    /// Takes note of the last tick of a topic that the log holds no longer. Comes before the first batch.
    pub fn restore(&mut self, feed: FeedId, last: Tick, at: Position) {
        self.topics.restore(feed, last, at);
    }

    /// Makes the sessions ready whose slot has come.
    pub(super) fn open_slots(&mut self) {
        let Self { wheel, hot, sessions, line, now, .. } = self;
        wheel.advance(*now, |Timer { id, due }| {
            let hot = &mut hot[id.slot()];
            let catch_up =
                sessions.get_mut(id.slot()).and_then(|session| session.catch_up.as_mut());
            let plays =
                catch_up.and_then(|cursor| cursor.alarm.take_if(|alarm| *alarm == due)).is_some();
            let alarms = hot.latest.as_mut().map(|latest| &mut latest.alarms);
            let opens = alarms.is_some_and(|alarms| {
                let place = alarms.iter().position(|alarm| *alarm == due);
                place.map(|place| alarms.swap_remove(place)).is_some()
            });
            // Otherwise it was set for another session in this place.
            if (plays || opens) && hot.flow == Flow::Waiting {
                hot.flow = Flow::Ready;
                line.push(id, hot.feed);
            }
        });
    }

    /// Whether any session wants ticks as soon as they come. If none does, a turn every 10 ms will do,
    /// as long as it finds the log where it was left.
    #[must_use]
    pub const fn is_eager(&self) -> bool {
        self.eager_names > 0
    }

    /// When the next slot of a session opens, if any waits for one: there should be a turn then.
    #[must_use]
    pub fn next_slot(&self) -> Option<UnixNanos> {
        self.wheel.next()
    }
}

/// A name beats `"*"`: its own subscription has dealt with the tick.
fn is_named(sessions: &Slab<Session>, wild: Subscriber, topic: LocalId) -> bool {
    sessions[wild.session().slot()].find(topic).is_ok()
}

/// The parts of a shard that a tick touches for each session that wants it.
struct Queue<'a> {
    hot: &'a mut [Hot],
    line: &'a mut Line,
    lagged: &'a mut Vec<Lagged>,
    wheel: &'a mut Wheel,
    backlog_max: usize,
    now: UnixNanos,
    /// Ticks that took the place of one that was not sent yet.
    conflated: u64,
}

impl Queue<'_> {
    /// Puts a tick on a session's backlog and says whether it did: the hottest path there is, once
    /// for every tick and session.
    #[inline]
    fn push(&mut self, slot: usize, index: u32) -> bool {
        let hot = &mut self.hot[slot];
        if hot.feed != Feed::Live {
            return false;
        }
        hot.backlog.push(index);
        if matches!(hot.flow, Flow::Idle | Flow::Waiting) || hot.backlog.len() > self.backlog_max {
            self.take_note(slot);
        }
        true
    }

    /// A session has something pending that had nothing, or more than it may have.
    #[cold]
    fn take_note(&mut self, slot: usize) {
        let hot = &mut self.hot[slot];
        let id = SessionId(u32::try_from(slot).expect("Shard::open keeps slots below this"));
        if matches!(hot.flow, Flow::Idle | Flow::Waiting) {
            hot.flow = Flow::Ready;
            self.line.push(id, hot.feed);
        }
        if hot.backlog.len() > self.backlog_max {
            hot.feed = Feed::Deaf;
            self.lagged.push(Lagged { id, missed: Missed::Pending });
        }
    }

    /// Marks a topic for a session, which is ready when the mark may leave.
    #[inline]
    fn owe(&mut self, id: SessionId, mark: impl FnOnce(&mut Latest, UnixNanos) -> Marked) {
        let hot = &mut self.hot[id.slot()];
        let Some(latest) = &mut hot.latest else { return };
        let opens = match mark(latest, self.now) {
            Marked::Again => {
                self.conflated += 1;
                return;
            }
            Marked::Now => UnixNanos::default(),
            Marked::At(opens) => opens,
        };
        if matches!(hot.flow, Flow::Idle | Flow::Waiting) {
            schedule(id, hot, opens, self.now, self.wheel, self.line);
        }
    }
}

/// Makes an idle session ready when its marks may leave: now, or when a slot opens.
#[inline]
pub(super) fn schedule(
    id: SessionId,
    hot: &mut Hot,
    opens: UnixNanos,
    now: UnixNanos,
    wheel: &mut Wheel,
    line: &mut Line,
) {
    let Some(latest) = &mut hot.latest else { return };
    if opens <= now {
        hot.flow = Flow::Ready;
        line.push(id, hot.feed);
        return;
    }
    hot.flow = Flow::Waiting;
    let due = Due::at(opens);
    if latest.alarms.iter().all(|alarm| due < *alarm) {
        latest.alarms.push(due);
        wheel.schedule(Timer { id, due });
    }
}
