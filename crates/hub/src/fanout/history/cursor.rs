//! The cursor of a session that catches up.

use rustc_hash::FxHashMap;
use tickwire_protocol::{Channel, PerChannel, UnixNanos};

use super::super::latest::timer_wheel::TimerStep;
use super::super::{LocalTopicId, Position};
use super::disk_index::ReadKind;
use super::disk_reads::DiskBatches;
use super::playback::Playback;

/// A cursor over the log, for a session that catches up. The session has no live backlog meanwhile;
/// the ticks that the cursor finds are put on its backlog in pieces.
#[derive(Debug)]
pub(crate) struct CatchUpCursor {
    /// Every wanted tick before this position has been put on the backlog.
    pub(crate) next: Position,
    /// Start of the subscriptions that have no start in `topic_starts` or `wildcard_starts`. A
    /// start is the position of the first tick that may be sent.
    default_start: Position,
    /// Starts of single topics. An entry does no harm when its number is reused for another topic,
    /// since that topic has not ticked before this start.
    topic_starts: FxHashMap<LocalTopicId, Position>,
    /// Starts of the topics that the session gets by the `"*"` of a channel, unless a topic has a
    /// start of its own.
    wildcard_starts: PerChannel<Option<Position>>,
    /// Upper bound of all starts.
    latest_start: Position,
    /// Whether this cursor found all pending ticks and has not moved back since. Then it can find
    /// them again on disk if they leave the log.
    pub(crate) found_all_pending: bool,
    /// Progress of a paced replay; `None` without one.
    pub(crate) playback: Option<Playback>,
    /// The timer that is set for the next tick of a replay, if one is set.
    pub(crate) timer: Option<TimerStep>,
    /// State of the disk read for ticks that memory no longer holds.
    pub(crate) disk: DiskBatches,
    /// Receive time before which ticks from disk are skipped, because a replay reads whole
    /// segments.
    pub(crate) since: UnixNanos,
    /// Whether the cursor only holds a live session at a position while a command is carried out
    /// for it: no subscription begins elsewhere.
    pub(crate) only_holds: bool,
}

impl CatchUpCursor {
    /// Creates a cursor at `next`. All subscriptions begin there unless they get another start.
    pub(crate) fn new(next: Position) -> Self {
        Self {
            next,
            default_start: next,
            topic_starts: FxHashMap::default(),
            wildcard_starts: PerChannel::default(),
            latest_start: next,
            found_all_pending: false,
            playback: None,
            timer: None,
            disk: DiskBatches::default(),
            since: UnixNanos::default(),
            only_holds: false,
        }
    }

    /// Creates the cursor of a live session that is held at `next`.
    pub(crate) fn holding(next: Position) -> Self {
        Self { only_holds: true, ..Self::new(next) }
    }

    /// Returns what the disk reads of the session are for.
    pub(crate) const fn read_kind(&self) -> ReadKind {
        if self.playback.is_some() { ReadKind::Paced } else { ReadKind::Prompt }
    }

    /// Prepares the cursor to move back for new subscriptions: the progress of each existing
    /// subscription becomes its start, so that it repeats no tick.
    pub(crate) fn pin_starts(&mut self) {
        let next = self.next;
        self.default_start = self.default_start.max(next);
        self.topic_starts.values_mut().for_each(|start| *start = (*start).max(next));
        for channel in Channel::ALL {
            self.wildcard_starts[channel] = self.wildcard_starts[channel].map(|at| at.max(next));
        }
        self.latest_start = self.latest_start.max(self.default_start);
        self.found_all_pending = false;
    }

    /// Moves the cursor to `at`, where all subscriptions without a start of their own now begin.
    pub(crate) fn start_all(&mut self, at: Position) {
        self.default_start = at;
        self.next = at;
    }

    /// Sets the start of a topic.
    pub(crate) fn start_topic(&mut self, topic: LocalTopicId, at: Position) {
        self.topic_starts.insert(topic, at);
        self.latest_start = self.latest_start.max(at);
    }

    /// Sets the start of a topic if `is_kept`, and otherwise removes it.
    pub(crate) fn start_topic_if(&mut self, is_kept: bool, topic: LocalTopicId, at: Position) {
        if is_kept {
            self.start_topic(topic, at);
        } else {
            self.remove_topic(topic);
        }
    }

    /// Removes the start of a topic.
    pub(crate) fn remove_topic(&mut self, topic: LocalTopicId) {
        self.topic_starts.remove(&topic);
    }

    /// Returns whether a topic has a start of its own.
    pub(crate) fn has_topic(&self, topic: LocalTopicId) -> bool {
        self.topic_starts.contains_key(&topic)
    }

    /// Sets the start of the topics that the session gets by the `"*"` of a channel. Topics with a
    /// start of their own keep it.
    pub(crate) fn start_wildcard(&mut self, channel: Channel, at: Position) {
        self.wildcard_starts[channel] = Some(at);
        self.latest_start = self.latest_start.max(at);
    }

    /// Removes the starts of all topics except those that `keep` selects.
    pub(crate) fn retain_topics(&mut self, keep: impl Fn(LocalTopicId) -> bool) {
        self.topic_starts.retain(|topic, _| keep(*topic));
    }

    /// Returns the start of a topic: its earlier ticks are not sent. `is_named` tells whether the
    /// session subscribes to the topic by name rather than by `"*"`.
    pub(crate) fn start(&self, topic: LocalTopicId, is_named: bool, channel: Channel) -> Position {
        let own = match self.topic_starts.is_empty() {
            true => None, // the usual case needs no hash
            false => self.topic_starts.get(&topic).copied(),
        };
        let wildcard = if is_named { None } else { self.wildcard_starts[channel] };
        own.or(wildcard).unwrap_or(self.default_start)
    }

    /// Removes all starts once the cursor has passed them. All ticks that it has found must have
    /// been sent, since the cursor may have to move back to pending ones.
    pub(crate) fn drop_passed_starts(&mut self) {
        if self.next >= self.latest_start {
            self.topic_starts = FxHashMap::default();
            self.wildcard_starts = PerChannel::default();
            self.default_start = Position(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_keep_their_progress_when_the_cursor_goes_back() {
        let mut cursor = CatchUpCursor::new(Position(100));
        cursor.start_all(Position(10));
        cursor.next = Position(60);
        cursor.pin_starts();
        cursor.start_topic(LocalTopicId(7), Position(20));
        cursor.start_wildcard(Channel::Quotes, Position(30));
        cursor.next = Position(20);
        let start = |cursor: &CatchUpCursor, topic, is_named| {
            cursor.start(LocalTopicId(topic), is_named, Channel::Quotes).0
        };
        assert_eq!(start(&cursor, 1, true), 60);
        assert_eq!(start(&cursor, 7, true), 20);
        assert_eq!(start(&cursor, 1, false), 30);
        cursor.next = Position(59);
        cursor.drop_passed_starts();
        assert_eq!(start(&cursor, 1, true), 60);
        cursor.next = Position(100);
        cursor.drop_passed_starts();
        assert_eq!(start(&cursor, 1, true), 0);
    }
}
