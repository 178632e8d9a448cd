//! From backlogs to frames.

use tickwire_protocol::{Encoding, UnixNanos};

use super::super::frame::{MadeOf, POSITION_BYTES_MAX};
use super::super::session::{Feed, Flow};
use super::super::view::View;
use super::super::{CloseReason, Encoded, FrameBuf, Position, SessionId};
use super::Shard;
use super::apply::schedule;
use super::catch_up::Refilled;
use super::lag::{Lagged, Missed};

/// Control frames put into one write, in bytes, when there are many. A write that the socket takes
/// only in part is copied, so this bounds what a session holds beside its queue.
pub(super) const CONTROL_WRITE_BYTES: usize = 64 * 1024;

/// Ticks one message can hold at the most: the smallest take some 20 bytes.
const MESSAGE_TICKS_MAX: usize = 4096;

/// What a session has to be sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextWrite {
    /// The buffer holds whole frames with so many ticks.
    Frames {
        /// Ticks in them.
        ticks: usize,
    },
    /// Nothing is pending; the session is idle until something is.
    Idle,
    /// It catches up, and there was nothing for it in a good piece of the log: it wants
    /// [`Shard::requeue`], so that others have their turn.
    Later,
    /// Its oldest tick has left the log: it has lagged, and wants [`Shard::finish`].
    Lagged,
    /// It was finished and everything is sent: send the close frame.
    Ended(CloseReason),
}

impl Shard {
    /// Takes the live sessions that have something pending and a socket that may take it, each once.
    pub(crate) fn take_ready(&mut self) -> Vec<SessionId> {
        std::mem::take(&mut self.line.live)
    }

    /// Whether any session waits to be written.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        !self.line.live.is_empty() || !self.line.catching_up.is_empty()
    }

    /// Whether a session still waits to be written; entries of [`Shard::take_ready`] may have closed
    /// since.
    #[must_use]
    pub fn is_ready(&self, id: SessionId) -> bool {
        self.hot.get(id.slot()).is_some_and(|hot| hot.flow == Flow::Ready)
    }

    /// The session's socket takes no more.
    pub(crate) fn blocked(&mut self, id: SessionId) {
        self.hot[id.slot()].flow = Flow::Blocked;
        self.sessions[id.slot()].blocked_since = self.now;
        self.put_back_older(id);
    }

    /// The session's socket may take data again.
    pub fn writable(&mut self, id: SessionId) {
        if self.hot[id.slot()].flow == Flow::Blocked {
            self.enqueue(id);
        }
    }

    /// The session has had its share of this turn and is to be written in the next one, whatever
    /// [`Shard::next_write`] said last: its transport may have bytes of its own, such as the close.
    pub(crate) fn requeue(&mut self, id: SessionId) {
        self.enqueue(id);
    }

    /// The session is on its way out and nothing of the core's is to be sent to it.
    pub(crate) fn idle(&mut self, id: SessionId) {
        self.hot[id.slot()].flow = Flow::Idle;
    }

    /// Puts what a session is to be sent next into `out`, and counts it as sent: the caller must
    /// write all of it before it asks again.
    pub fn next_write(&mut self, id: SessionId, out: &mut FrameBuf) -> NextWrite {
        loop {
            let ticks_before_control = match self.next_control(id, out) {
                Ok(()) => return NextWrite::Frames { ticks: 0 },
                Err(ticks) => ticks,
            };
            let ticks = match self.fill(id, ticks_before_control, out) {
                Filled::Ticks(0) if self.hot[id.slot()].feed != Feed::CatchingUp => {
                    return self.rest(id, None);
                }
                Filled::Ticks(0) => match self.refill(id) {
                    Refilled::More => continue,
                    Refilled::Later => return NextWrite::Later,
                    Refilled::Rest(plays) => return self.rest(id, plays),
                },
                Filled::Ticks(ticks) => ticks,
                Filled::LeftLog if self.skip_lost(id) => continue,
                Filled::LeftLog => {
                    let lagged = Lagged { id, missed: Missed::Pending };
                    if self.degrade(&lagged) {
                        continue;
                    }
                    if !self.wants_every(id) && self.sessions[id.slot()].ending.is_none() {
                        self.drop_backlog(id); // of names it has given up since
                        continue;
                    }
                    self.hot[id.slot()].feed = Feed::Deaf;
                    return NextWrite::Lagged;
                }
            };
            self.stats.ticks_delivered += ticks as u64;
            return NextWrite::Frames { ticks };
        }
    }

    /// Nothing is to be sent now: the session waits for its slot, for the next tick of a replay, for news,
    /// or for its end.
    fn rest(&mut self, id: SessionId, plays: Option<UnixNanos>) -> NextWrite {
        let hot = &mut self.hot[id.slot()];
        hot.flow = Flow::Idle;
        if let Some(opens) = hot.latest.as_ref().and_then(|latest| latest.next()) {
            schedule(id, hot, opens, self.now, &mut self.wheel, &mut self.line);
        }
        if let Some(opens) = plays {
            self.play_at(id, opens);
        }
        self.sessions[id.slot()].ending.map_or(NextWrite::Idle, NextWrite::Ended)
    }

    /// Builds one data message: the newest of what is due, then the oldest of what is pending. When
    /// both are there, neither takes it all.
    fn fill(&mut self, id: SessionId, ticks_max: usize, out: &mut FrameBuf) -> Filled {
        let session = &self.sessions[id.slot()];
        let (encoding, positioned) = (session.encoding, session.pos);
        let body_max = self.limits.message_bytes - 3 - usize::from(positioned) * POSITION_BYTES_MAX;
        let hot = &self.hot[id.slot()];
        let newest_first = ticks_max == usize::MAX // a control frame would come before
            && hot.latest.as_ref().is_some_and(|latest| latest.is_due(self.now));
        if hot.backlog.is_empty() && !newest_first {
            return Filled::Ticks(0);
        }
        let made_of = MadeOf { encoding, oldest: self.oldest(id), positioned };
        if !newest_first && out.holds(made_of, self.window(id, ticks_max)) {
            let ticks = out.ticks();
            self.consume(id, ticks);
            return Filled::Ticks(ticks);
        }
        out.clear();
        let mut newest = 0;
        if newest_first {
            let share =
                if self.hot[id.slot()].backlog.is_empty() { body_max } else { body_max / 2 };
            newest = self.fill_newest(id, encoding, share, out);
        }
        let window = self.window(id, ticks_max);
        let Some(pending) = fill_pending(out, &self.view, window, encoding, body_max) else {
            if newest == 0 {
                return Filled::LeftLog;
            }
            out.finish(encoding, newest, None);
            return Filled::Ticks(newest);
        };
        if newest == 0 {
            out.remember(made_of, window);
        }
        let last = pending.checked_sub(1).filter(|_| positioned).map(|last| window[last]);
        let position = last.map(|index| self.view.position(index));
        self.consume(id, pending);
        if newest + pending > 0 {
            out.finish(encoding, newest + pending, position);
        }
        Filled::Ticks(newest + pending)
    }

    /// Drops what is pending; control frames among it have their turn now.
    pub(super) fn drop_backlog(&mut self, id: SessionId) {
        let pending = self.hot[id.slot()].backlog.len();
        self.consume(id, pending);
    }

    /// As much of a session's backlog as one message may hold.
    fn window(&self, id: SessionId, ticks_max: usize) -> &[u32] {
        let pending = self.hot[id.slot()].backlog.pending();
        &pending[..pending.len().min(ticks_max).min(MESSAGE_TICKS_MAX)]
    }

    /// Position of the oldest tick of a backlog.
    fn oldest(&self, id: SessionId) -> Position {
        let oldest = self.hot[id.slot()].backlog.oldest();
        oldest.map(|index| self.view.position(index)).unwrap_or_default()
    }

    pub(super) fn consume(&mut self, id: SessionId, ticks: usize) {
        self.hot[id.slot()].backlog.consume(ticks);
        self.sessions[id.slot()].sent += ticks as u64;
        self.stats.backlog_ticks -= ticks as u64;
    }

    /// Puts the newest ticks of topics that are due into the message: as the batch spelled them, or
    /// from the last value if their batch has left the log.
    fn fill_newest(
        &mut self,
        id: SessionId,
        encoding: Encoding,
        body_max: usize,
        out: &mut FrameBuf,
    ) -> usize {
        let Self { topics, view, sessions, .. } = self;
        let session = &sessions[id.slot()];
        let Some(latest) = &mut self.hot[id.slot()].latest else { return 0 };
        let mut unsent = 0;
        let taken = latest.take_due(self.now, |topic| {
            let Some(last) = &topics.get(topic).last else {
                unsent += 1; // cannot be: only ticks make marks
                return true;
            };
            let before = out.body_bytes();
            match view.locate_position(last.at) {
                Some((batch, at)) => out.append(batch.encoded(encoding).run(at, at)),
                None => out.append_tick(encoding, &last.tick),
            }
            if before > 0 && out.body_bytes() > body_max {
                out.shorten(before);
                return false;
            }
            if let Ok(place) = session.find(topic) {
                let at = session.names[place].at as usize;
                topics.get_mut(topic).subscribers[at].set_marked(false);
            }
            true
        });
        taken - unsent
    }

    /// Control frames, if it is their turn; otherwise how many ticks come before them.
    fn next_control(&mut self, id: SessionId, out: &mut FrameBuf) -> Result<(), usize> {
        let session = &mut self.sessions[id.slot()];
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
        if any { Ok(()) } else { Err(usize::MAX) }
    }
}

/// What came of filling a message.
enum Filled {
    /// So many ticks are in it.
    Ticks(usize),
    /// The oldest pending tick has left the log.
    LeftLog,
}

/// Adds the oldest pending ticks to a data message and says how many; `None` if the oldest has left
/// the log. A tick that fills a message alone still goes out, in one of its own.
fn fill_pending(
    out: &mut FrameBuf,
    view: &View,
    pending: &[u32],
    encoding: Encoding,
    body_max: usize,
) -> Option<usize> {
    let mut taken = 0;
    while let Some(first) = pending.get(taken) {
        let Some((batch, from)) = view.locate(*first) else {
            return (taken > 0).then_some(taken);
        };
        let encoded = batch.encoded(encoding);
        let room = body_max.saturating_sub(out.body_bytes());
        let fits = match run(&pending[taken..], encoded, from, room) {
            0 if out.body_bytes() == 0 => 1,
            0 => break,
            fits => fits,
        };
        out.append(encoded.run(from, from + fits - 1));
        taken += fits;
    }
    Some(taken)
}

/// How many of the pending indexes follow each other directly and fit: from `from` on they lie side
/// by side in the batch and are copied at once.
fn run(pending: &[u32], encoded: &Encoded, from: usize, room: usize) -> usize {
    let mut expected = pending[0];
    let mut count = 0;
    for (index, bytes) in pending.iter().zip(encoded.lengths_from(from)) {
        if *index != expected || bytes > room {
            break;
        }
        expected = expected.wrapping_add(1);
        count += 1;
    }
    count
}
