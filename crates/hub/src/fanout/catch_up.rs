//! How far a session has come that is sent what was.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use tickwire_protocol::{Channel, PerChannel, SpeedFactor, UnixNanos};

use super::topics::LocalId;
use super::wheel::Due;
use super::{Batch, Position};

/// A cursor over the log, of a session that catches up: it has no live backlog meanwhile. What is
/// found goes onto the backlog piece by piece.
#[derive(Debug)]
pub(crate) struct CatchUp {
    /// Everything that is wanted before this position has been put on the backlog.
    pub(crate) next: Position,
    /// Where names begin that have no place of their own in `starts` or `wild`.
    base: Position,
    /// Where topics begin. A number may be given to another topic, which then has not ticked before.
    starts: FxHashMap<LocalId, Position>,
    /// Where the other topics begin that come by `"*"`.
    wild: PerChannel<Option<Position>>,
    /// No start is later than this.
    latest: Position,
    /// All that is pending was found by it, and it has not gone back since.
    pub(crate) found_all: bool,
    /// For a replay at a pace.
    pub(crate) pace: Option<Pace>,
    /// The alarm that is set for the next tick of the replay.
    pub(crate) alarm: Option<Due>,
    /// For what memory does not hold any more.
    pub(crate) older: Older,
    /// What was received before is not sent from disk: a replay begins with a whole piece of that.
    pub(crate) since: UnixNanos,
}

/// Ticks from disk, for one session.
#[derive(Debug, Default)]
pub(crate) enum Older {
    /// It has not been asked for any.
    #[default]
    Unknown,
    /// It was asked for the next, under this number.
    Asked(u64),
    /// The next ones, in batches that follow each other.
    Here(VecDeque<Arc<Batch>>),
    /// The next ones are not there.
    Gone,
}

impl Older {
    /// Lets go of batches; says whether there were any.
    pub(crate) fn release_disk_batches(&mut self) -> bool {
        let held = matches!(self, Self::Here(_));
        if held {
            *self = Self::Unknown;
        }
        held
    }
}

impl CatchUp {
    /// A cursor that has come to `next`. All names begin there, until told otherwise.
    pub(crate) fn new(next: Position) -> Self {
        Self {
            next,
            base: next,
            starts: FxHashMap::default(),
            wild: PerChannel::default(),
            latest: next,
            found_all: false,
            pace: None,
            alarm: None,
            older: Older::default(),
            since: UnixNanos::default(),
        }
    }

    /// It is about to go back for the sake of other names: those it has keep what they have come to.
    pub(crate) fn settle(&mut self) {
        self.base = self.base.max(self.next);
        self.starts.values_mut().for_each(|start| *start = (*start).max(self.next));
        for channel in Channel::ALL {
            self.wild[channel] = self.wild[channel].map(|start| start.max(self.next));
        }
        self.latest = self.latest.max(self.base);
        self.found_all = false;
    }

    /// All names that have no place of their own begin here, and the cursor goes there.
    pub(crate) fn begin_all(&mut self, at: Position) {
        (self.base, self.next) = (at, at);
    }

    /// A topic begins here.
    pub(crate) fn begin(&mut self, topic: LocalId, at: Position) {
        self.starts.insert(topic, at);
        self.latest = self.latest.max(at);
    }

    /// A topic begins here, or has no place of its own.
    pub(crate) fn begin_if(&mut self, begins: bool, topic: LocalId, at: Position) {
        if begins {
            self.begin(topic, at);
        } else {
            self.forget(topic);
        }
    }

    /// A topic has no place of its own any more.
    pub(crate) fn forget(&mut self, topic: LocalId) {
        self.starts.remove(&topic);
    }

    /// The place of its own that a topic has.
    pub(crate) fn own(&self, topic: LocalId) -> Option<Position> {
        self.starts.get(&topic).copied()
    }

    /// The topics of a channel that come by `"*"` begin here, but for those with a place of their own.
    pub(crate) fn begin_wild(&mut self, channel: Channel, at: Position) {
        self.wild[channel] = Some(at);
        self.latest = self.latest.max(at);
    }

    /// Topics that come by `"*"` have no place of their own any more, but for some.
    pub(crate) fn forget_unless(&mut self, keep: impl Fn(LocalId) -> bool) {
        self.starts.retain(|topic, _| keep(*topic));
    }

    /// Where a topic begins: nothing of it is sent from before.
    pub(crate) fn start(&self, topic: LocalId, named: bool, channel: Channel) -> Position {
        let own = if self.starts.is_empty() { None } else { self.starts.get(&topic).copied() };
        let wild = if named { None } else { self.wild[channel] };
        own.or(wild).unwrap_or(self.base)
    }

    /// Forgets where topics begin once the cursor has passed all of that. What it found before must have
    /// been sent: it might have to go back for it.
    pub(crate) fn forget_starts(&mut self) {
        if self.next >= self.latest {
            self.starts = FxHashMap::default();
            self.wild = PerChannel::default();
            self.base = Position(0);
        }
    }
}

/// How fast a replay goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// When it began to play.
    pub(crate) began: UnixNanos,
    /// The receive time it began with.
    pub(crate) from: UnixNanos,
    pub(crate) speed: SpeedFactor,
}

impl Pace {
    /// The receive time it has come to.
    pub(crate) fn reached(&self, now: UnixNanos) -> UnixNanos {
        let passed = u128::from(now.0.saturating_sub(self.began.0));
        let played = passed * u128::from(self.speed.thousandths()) / 1000;
        UnixNanos(self.from.0.saturating_add(u64::try_from(played).unwrap_or(u64::MAX)))
    }

    /// When it comes to a receive time.
    pub(crate) fn due(&self, received: UnixNanos) -> UnixNanos {
        let ahead = u128::from(received.0.saturating_sub(self.from.0));
        let wait = (ahead * 1000).div_ceil(u128::from(self.speed.thousandths()));
        UnixNanos(self.began.0.saturating_add(u64::try_from(wait).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_protocol::ReplaySpeed;

    #[test]
    fn names_keep_what_they_have_come_to_when_the_cursor_goes_back() {
        let mut cursor = CatchUp::new(Position(100));
        cursor.begin_all(Position(10));
        cursor.next = Position(60);
        cursor.settle();
        cursor.begin(LocalId(7), Position(20));
        cursor.begin_wild(Channel::Quotes, Position(30));
        cursor.next = Position(20);
        let start =
            |cursor: &CatchUp, topic, named| cursor.start(LocalId(topic), named, Channel::Quotes).0;
        assert_eq!(start(&cursor, 1, true), 60);
        assert_eq!(start(&cursor, 7, true), 20);
        assert_eq!(start(&cursor, 1, false), 30);
        cursor.next = Position(59);
        cursor.forget_starts();
        assert_eq!(start(&cursor, 1, true), 60);
        cursor.next = Position(100);
        cursor.forget_starts();
        assert_eq!(start(&cursor, 1, true), 0);
    }

    #[test]
    fn a_pace_reaches_each_time_when_it_is_due() {
        let ReplaySpeed::Factor(speed) = ReplaySpeed::factor(2.5).unwrap() else { unreachable!() };
        let pace = Pace { began: UnixNanos(1_000), from: UnixNanos(77), speed };
        assert_eq!(pace.reached(UnixNanos(900)), UnixNanos(77));
        assert_eq!(pace.reached(UnixNanos(1_100)), UnixNanos(77 + 250));
        for received in [0, 77, 78, 1_000, u64::MAX] {
            let due = pace.due(UnixNanos(received));
            assert!(pace.reached(due).0 >= received);
            let early = UnixNanos(due.0 - 1);
            assert!(due == pace.began || pace.reached(early).0 < received);
        }
    }
}
