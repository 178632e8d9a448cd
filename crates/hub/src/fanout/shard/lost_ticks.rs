//! Sessions that catch up and are overtaken by the log.

use tickwire_protocol::Control;

use super::super::history::cursor::CatchUpCursor;
use super::super::{LocalTopicId, Position, SessionId, TopicKey};
use super::Shard;
use super::catch_up::TICKS_AT_ONCE;
use super::session::Acks;

impl Shard {
    /// Handles a session that catches up and whose oldest pending tick has left the log: it is sent
    /// gaps, and continues with the first tick that is still there.
    ///
    /// Returns whether that is possible. It is not if live ticks have left the log too; nor if an
    /// answer is queued among the lost ticks, since gaps of earlier subscriptions belong before the
    /// answer and gaps of new ones after it.
    pub(super) fn skip_lost(&mut self, id: SessionId) -> bool {
        if self.rewind_to_disk(id) {
            return true;
        }
        let session = &self.sessions[id];
        let backfilled = session.backfilled.clone();
        let sent = session.sent;
        let has_gaps = session.acks != Acks::WholeSet;
        if !backfilled.contains(&sent) || session.ending.is_some() || !has_gaps {
            return false;
        }
        let start = self.window.start();
        let pending = self.sessions.hot(id).backlog.pending().iter();
        let lost: Vec<Position> = pending
            .map(|index| self.window.position(*index))
            .take_while(|position| *position < start)
            .collect();
        let lost_until = sent + lost.len() as u64;
        let mut among = session.control.iter().take_while(|queued| queued.after < lost_until);
        if lost_until > backfilled.end || among.any(|queued| queued.is_answer) {
            return false;
        }
        // One look-up found all that is pending of a topic, so the last lost tick is among it.
        let mut gaps = Vec::new();
        for (topic, _) in self.topics_with_every(id) {
            let last_lost = self.last_before(topic, start);
            let is_pending = |at: &Position| lost.binary_search(at).is_ok();
            gaps.extend(last_lost.filter(|(at, _)| is_pending(at)).map(|(_, gap)| gap));
        }
        self.consume(id, lost.len());
        self.controls_first(id, &gaps);
        // A topic whose newest lost tick is not pending has no gap yet: the log has overtaken the
        // cursor too. While a command is in progress, its names must not have gaps before its ack.
        if self.sessions[id].held_at.is_none()
            && let Some(mut cursor) = self.sessions[id].cursor.take()
        {
            self.report_overtaken(id, &mut cursor);
            self.sessions[id].cursor = Some(cursor);
        }
        true
    }

    /// Moves a cursor that the log has overtaken to the start of the log, and queues a gap for each
    /// topic that lost ticks. Returns whether it queued a gap.
    ///
    /// With many topics the cursor skips a further part of the log: otherwise the visits to all
    /// topics, each time the cursor is overtaken, could cost more than reading the ticks.
    pub(super) fn report_overtaken(&mut self, id: SessionId, cursor: &mut CatchUpCursor) -> bool {
        let start = self.window.start();
        if cursor.next >= start {
            return false;
        }
        let topics = self.topics_with_every(id);
        let quarter = usize::try_from((self.head().0 - start.0) / 4).unwrap_or(usize::MAX);
        let to = start.plus(topics.len().saturating_sub(TICKS_AT_ONCE).min(quarter));
        let from = std::mem::replace(&mut cursor.next, to);
        let mut gaps = Vec::new();
        for (topic, is_named) in topics {
            let begin = cursor.start(topic, is_named, self.topics.get(topic).key.channel);
            let last_lost = self.last_before(topic, to);
            gaps.extend(last_lost.filter(|(at, _)| *at >= begin.max(from)).map(|(_, gap)| gap));
        }
        self.controls(id, &gaps);
        !gaps.is_empty()
    }

    /// Returns the position of a topic's last tick before position `to`, and the gap element that
    /// ends with that tick; `None` if the topic has not ticked.
    fn last_before(&mut self, topic: LocalTopicId, to: Position) -> Option<(Position, Control)> {
        let start = self.window.start();
        let head = self.head();
        let entry = self.topics.get_mut(topic);
        let TopicKey { channel, symbol, .. } = entry.key;
        let last = entry.last.as_mut()?;
        last.positions.trim(start, head);
        let count = last.positions.count_before(to, head);
        let position = last.positions.last_before(to, head);
        let seq = (last.oldest_seq() + count as u64).checked_sub(1);
        let gap = Control::Gap { channel, symbol, from: None, to: seq, lagged: false };
        Some((position, gap))
    }
}
