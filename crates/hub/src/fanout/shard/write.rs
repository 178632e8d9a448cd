//! Builds the frames of one session from its pending data.

use tickwire_protocol::{Encoding, UnixNanos};

use super::super::frame::{FrameSource, POSITION_BYTES_MAX};
use super::super::{Encoded, FrameBuf, Position, SessionId};
use super::Shard;
use super::apply::Scheduler;
use super::catch_up::Refill;
use super::close_reason::CloseReason;
use super::control_queue::CONTROL_WRITE_BYTES;
use super::lag::{Lagged, Missed};
use super::log_window::LogWindow;
use super::session::{DeliveryState, WriteState};

/// Largest number of ticks in one message: the smallest tick takes some 20 bytes.
const MESSAGE_TICKS_MAX: usize = 4096;

/// The next write of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextWrite {
    /// One or more complete frames, which are in the buffer that the caller passed.
    Frames {
        /// Number of ticks in the frames.
        ticks: usize,
    },
    /// Nothing: the session is idle until something is pending.
    Idle,
    /// Nothing yet: the session catches up, and a look-up in a large part of the log found nothing.
    /// Other sessions should be served before it continues.
    Yield,
    /// Nothing: its oldest pending tick has left the log, so it lags and has to end.
    Lagged,
    /// The close frame, for this reason: everything else is sent.
    Ended(CloseReason),
}

impl Shard {
    /// Returns whether any session can be written.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Returns whether a session can be written.
    #[must_use]
    pub fn is_ready(&self, id: SessionId) -> bool {
        let hot = self.sessions.hot.get(id.slot());
        hot.is_some_and(|hot| hot.write_state == WriteState::Ready)
    }

    /// Records that a session's socket accepts no more data.
    pub(crate) fn blocked(&mut self, id: SessionId) {
        self.sessions.hot_mut(id).write_state = WriteState::Blocked;
        self.sessions[id].blocked_since = self.now;
        self.release_disk_batches(id);
    }

    /// Records that a session's socket may accept data again.
    pub fn writable(&mut self, id: SessionId) {
        if self.sessions.hot(id).write_state == WriteState::Blocked {
            self.enqueue(id);
        }
    }

    /// Queues a session to be written in the next turn, whatever [`Shard::next_write`] returned
    /// last: its transport may hold bytes, such as the close frame.
    pub(crate) fn requeue(&mut self, id: SessionId) {
        self.enqueue(id);
    }

    /// Records that nothing more is to be written to a session whose connection is closing.
    pub(crate) fn idle(&mut self, id: SessionId) {
        self.sessions.hot_mut(id).write_state = WriteState::Idle;
    }

    /// Builds the next frames of a session in `out`, and counts them as sent: the caller must write
    /// all of them before the next call.
    pub fn next_write(&mut self, id: SessionId, out: &mut FrameBuf) -> NextWrite {
        loop {
            let ticks_before_control = match self.take_control(id, out) {
                Ok(()) => return NextWrite::Frames { ticks: 0 },
                Err(ticks) => ticks,
            };
            match self.fill(id, ticks_before_control, out) {
                Filled::Ticks(0) => {
                    if self.sessions[id].held_at.is_some() {
                        self.idle(id);
                        return NextWrite::Idle;
                    }
                    if self.sessions.hot(id).delivery != DeliveryState::CatchingUp {
                        return self.go_idle(id, None);
                    }
                    match self.refill(id) {
                        Refill::Pending => {}
                        Refill::Yield => return NextWrite::Yield,
                        Refill::Lagged => {
                            self.sessions.hot_mut(id).delivery = DeliveryState::Detached;
                            return NextWrite::Lagged;
                        }
                        Refill::Wait(until) => return self.go_idle(id, until),
                    }
                }
                Filled::Ticks(ticks) => {
                    self.stats.ticks_delivered += ticks as u64;
                    return NextWrite::Frames { ticks };
                }
                Filled::LeftLog if self.recover_lost_ticks(id) => {}
                Filled::LeftLog => return NextWrite::Lagged,
            }
        }
    }

    /// Handles a session whose oldest pending tick has left the log. Returns false if it lags and
    /// has to end.
    #[cold]
    fn recover_lost_ticks(&mut self, id: SessionId) -> bool {
        if self.skip_lost(id) || self.downgrade_to_latest(&Lagged { id, missed: Missed::Pending }) {
            return true;
        }
        if !self.wants_every(id) && self.sessions[id].ending.is_none() {
            self.drop_backlog(id); // ticks of names that it has unsubscribed from
            return true;
        }
        self.sessions.hot_mut(id).delivery = DeliveryState::Detached;
        false
    }

    /// Makes a session idle until its next send time, until `playback` for the next tick of a
    /// replay, or until something is pending.
    fn go_idle(&mut self, id: SessionId, playback: Option<UnixNanos>) -> NextWrite {
        let hot = self.sessions.hot_mut(id);
        hot.write_state = WriteState::Idle;
        if let Some(send_at) = hot.latest.as_ref().and_then(|latest| latest.next_send_time()) {
            let mut scheduler =
                Scheduler { now: self.now, timers: &mut self.timers, ready: &mut self.ready };
            scheduler.schedule(id, hot, send_at);
        }
        if let Some(at) = playback {
            self.schedule_playback(id, at);
        }
        self.sessions[id].ending.map_or(NextWrite::Idle, NextWrite::Ended)
    }

    /// Builds one data message: the newest ticks of dirty topics that are due, then the oldest
    /// ticks of the backlog. If there are both, each gets a part of the message.
    fn fill(&mut self, id: SessionId, ticks_max: usize, out: &mut FrameBuf) -> Filled {
        let session = &self.sessions[id];
        let encoding = session.encoding;
        let has_position = session.wants_positions;
        let separates_corrections = session.separates_corrections;
        let body_max =
            self.limits.message_bytes - 3 - usize::from(has_position) * POSITION_BYTES_MAX;
        let hot = self.sessions.hot(id);
        let newest_first = ticks_max == usize::MAX // otherwise a control frame comes first
            && session.held_at.is_none()
            && hot.latest.as_ref().is_some_and(|latest| latest.is_due(self.now));
        if hot.backlog.is_empty() && !newest_first {
            return Filled::Ticks(0);
        }
        let oldest = self.oldest_pending(id);
        let source = FrameSource { encoding, oldest, has_position, separates_corrections };
        if !newest_first && out.holds(source, self.candidates(id, ticks_max)) {
            let ticks = out.ticks();
            self.consume(id, ticks);
            return Filled::Ticks(ticks);
        }
        out.clear();
        let mut newest = 0;
        if newest_first {
            let is_alone = self.sessions.hot(id).backlog.is_empty();
            let share = if is_alone { body_max } else { body_max / 2 };
            newest = self.fill_newest(id, encoding, share, out);
        }
        let candidates = self.candidates(id, ticks_max);
        let Some(count) = fill_pending(out, &self.window, candidates, source, body_max) else {
            if newest == 0 {
                return Filled::LeftLog;
            }
            out.finish(encoding, newest, None);
            return Filled::Ticks(newest);
        };
        if newest == 0 {
            out.remember(source, candidates);
        }
        let last = count.checked_sub(1).filter(|_| has_position).map(|last| candidates[last]);
        let position = last.map(|index| self.window.position(index));
        self.consume(id, count);
        if newest + count > 0 {
            out.finish(encoding, newest + count, position);
        }
        Filled::Ticks(newest + count)
    }

    /// Drops the backlog of a session, so that the control frames among it come next.
    pub(super) fn drop_backlog(&mut self, id: SessionId) {
        let pending = self.sessions.hot(id).backlog.len();
        self.consume(id, pending);
    }

    /// Returns the part of a session's backlog that one message may hold.
    fn candidates(&self, id: SessionId, ticks_max: usize) -> &[u32] {
        let pending = self.sessions.hot(id).backlog.pending();
        &pending[..pending.len().min(ticks_max).min(MESSAGE_TICKS_MAX)]
    }

    fn oldest_pending(&self, id: SessionId) -> Position {
        let oldest = self.sessions.hot(id).backlog.oldest();
        oldest.map(|index| self.window.position(index)).unwrap_or_default()
    }

    /// Removes the oldest ticks of a session's backlog, as sent or lost.
    pub(super) fn consume(&mut self, id: SessionId, ticks: usize) {
        let (session, hot) = self.sessions.both_mut(id);
        hot.backlog.consume(ticks);
        session.sent += ticks as u64;
        self.stats.backlog_ticks -= ticks as u64;
    }

    /// Appends the newest ticks of dirty topics that are due: in the encoding of their batch, or
    /// encoded from the last value if the batch has left the log. Returns their number.
    fn fill_newest(
        &mut self,
        id: SessionId,
        encoding: Encoding,
        body_max: usize,
        out: &mut FrameBuf,
    ) -> usize {
        let Self { topics, window, sessions, .. } = self;
        let (session, hot) = sessions.both_mut(id);
        let Some(latest) = &mut hot.latest else { return 0 };
        let mut unsent = 0;
        let taken = latest.take_due(self.now, |topic| {
            let Some(last) = &topics.get(topic).last else {
                unsent += 1; // cannot happen: only ticks make topics dirty
                return true;
            };
            let before = out.body_bytes();
            match window.locate_position(last.position) {
                Some((batch, index)) => out.append(batch.encoded(encoding).run(index, index)),
                None => out.append_tick(encoding, &last.tick),
            }
            if before > 0 && out.body_bytes() > body_max {
                out.truncate(before);
                return false;
            }
            if let Ok(at) = session.find_named(topic) {
                let index = session.named[at].index as usize;
                topics.get_mut(topic).subscribers[index].set_dirty(false);
            }
            true
        });
        taken - unsent
    }

    /// Moves the control frames that come next into `out`. If there are none, returns the number of
    /// ticks that come before the next control frame.
    fn take_control(&mut self, id: SessionId, out: &mut FrameBuf) -> Result<(), usize> {
        let session = &mut self.sessions[id];
        if session.control.is_empty() {
            return Err(usize::MAX);
        }
        let mut any = false;
        while let Some(front) = session.control.front() {
            if front.after > session.sent {
                let ticks = usize::try_from(front.after - session.sent).unwrap_or(usize::MAX);
                return if any { Ok(()) } else { Err(ticks) };
            }
            if any && out.body_bytes() + front.frames.len() > CONTROL_WRITE_BYTES {
                return Ok(());
            }
            if !any {
                out.clear();
            }
            out.append(&front.frames);
            any = true;
            session.control_bytes -= front.frames.len();
            self.stats.control_bytes -= front.frames.len();
            session.control.pop_front();
        }
        session.control.shrink_to_fit(); // rarely used, and there are many sessions
        Ok(())
    }
}

/// The outcome of filling a message.
enum Filled {
    /// The message holds this many ticks.
    Ticks(usize),
    /// The oldest pending tick has left the log.
    LeftLog,
}

/// Appends the oldest pending ticks to a data message and returns their number; `None` if the
/// oldest has left the log. A tick larger than a message is sent alone.
fn fill_pending(
    out: &mut FrameBuf,
    window: &LogWindow,
    pending: &[u32],
    source: FrameSource,
    body_max: usize,
) -> Option<usize> {
    let mut taken = 0;
    let mut has_corrections = (out.body_bytes() > 0).then_some(false);
    while let Some(first) = pending.get(taken) {
        let Some((batch, from)) = window.locate(*first) else {
            return (taken > 0).then_some(taken);
        };
        let encoded = batch.encoded(source.encoding);
        let mut fits_max = usize::MAX;
        if source.separates_corrections {
            let (is_correction, run) = encoded.run_of_sort(from);
            if *has_corrections.get_or_insert(is_correction) != is_correction {
                break;
            }
            fits_max = run;
        }
        let space = body_max.saturating_sub(out.body_bytes());
        let fits = match run_length(&pending[taken..], encoded, from, space) {
            0 if out.body_bytes() == 0 => 1,
            0 => break,
            fits => fits.min(fits_max),
        };
        out.append(encoded.run(from, from + fits - 1));
        taken += fits;
    }
    Some(taken)
}

/// Returns how many of the pending ticks follow each other directly and fit: they lie side by side
/// in the batch, from `from` on, and are copied at once.
fn run_length(pending: &[u32], encoded: &Encoded, from: usize, space: usize) -> usize {
    let mut expected = pending[0];
    let mut count = 0;
    for (index, bytes) in pending.iter().zip(encoded.lengths_from(from)) {
        if *index != expected || bytes > space {
            break;
        }
        expected = expected.wrapping_add(1);
        count += 1;
    }
    count
}
