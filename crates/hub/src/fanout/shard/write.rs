//! From backlogs to frames.

use tickwire_protocol::Encoding;

use super::super::backlog::Backlog;
use super::super::session::Flow;
use super::super::view::View;
use super::super::{CloseReason, Encoded, FrameBuf, SessionId};
use super::Shard;

/// Control frames put into one write, in bytes, when there are many. A write that the socket takes
/// only in part is copied, so this bounds what a session holds beside its queue.
pub(super) const CONTROL_WRITE_BYTES: usize = 64 * 1024;

/// Places a queue of control frames may keep once it is empty.
const CONTROL_KEPT: usize = 8;

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
    /// Its oldest tick has left the log: it has lagged, and wants [`Shard::finish`].
    Lagged,
    /// It was finished and everything is sent: send the close frame.
    Ended(CloseReason),
}

impl Shard {
    /// Sessions that have something pending and a socket that may take it, each once. The caller
    /// writes to each until it is idle, or blocks, or has had its share.
    pub fn take_ready(&mut self) -> Vec<SessionId> {
        std::mem::take(&mut self.ready)
    }

    /// Whether any session waits to be written.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether a session still waits to be written; entries of [`Shard::take_ready`] may have closed
    /// since.
    #[must_use]
    pub fn is_ready(&self, id: SessionId) -> bool {
        self.hot.get(id.slot()).is_some_and(|hot| hot.flow == Flow::Ready)
    }

    /// The session's socket takes no more.
    pub fn blocked(&mut self, id: SessionId) {
        self.hot[id.slot()].flow = Flow::Blocked;
        self.sessions[id.slot()].blocked_since = self.now;
    }

    /// The session's socket may take data again.
    pub fn writable(&mut self, id: SessionId) {
        let hot = &mut self.hot[id.slot()];
        if hot.flow == Flow::Blocked {
            hot.flow = Flow::Ready;
            self.ready.push(id);
        }
    }

    /// The session has had its share of this turn and is to be written in the next one, whatever
    /// [`Shard::next_write`] said last: its transport may have bytes of its own, such as the close.
    pub fn requeue(&mut self, id: SessionId) {
        self.hot[id.slot()].flow = Flow::Ready;
        self.ready.push(id);
    }

    /// The session is on its way out and nothing of the core's is to be sent to it.
    pub fn idle(&mut self, id: SessionId) {
        self.hot[id.slot()].flow = Flow::Idle;
    }

    /// Puts what a session is to be sent next into `out`, and counts it as sent: the caller must
    /// write all of it before it asks again.
    pub fn next_write(&mut self, id: SessionId, out: &mut FrameBuf) -> NextWrite {
        let ticks_before_control = match self.next_control(id, out) {
            Ok(()) => return NextWrite::Frames { ticks: 0 },
            Err(ticks) => ticks,
        };
        let session = &mut self.sessions[id.slot()];
        let hot = &mut self.hot[id.slot()];
        if hot.backlog.is_empty() {
            hot.flow = Flow::Idle;
            return session.ending.map_or(NextWrite::Idle, NextWrite::Ended);
        }
        let most = Most { ticks: ticks_before_control, bytes: self.limits.message_bytes - 3 };
        let ticks = fill(out, &self.view, &hot.backlog, session.encoding, &most);
        if ticks == 0 {
            hot.deaf = true;
            return NextWrite::Lagged;
        }
        hot.backlog.consume(ticks);
        session.sent += ticks as u64;
        self.stats.backlog_ticks -= ticks as u64;
        self.stats.ticks_delivered += ticks as u64;
        NextWrite::Frames { ticks }
    }

    /// Control frames, if it is their turn; otherwise how many ticks come before them.
    fn next_control(&mut self, id: SessionId, out: &mut FrameBuf) -> Result<(), usize> {
        let session = &mut self.sessions[id.slot()];
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
        session.control.shrink_to(CONTROL_KEPT);
        if any { Ok(()) } else { Err(usize::MAX) }
    }
}

struct Most {
    ticks: usize,
    bytes: usize,
}

/// Builds one data message of the oldest pending ticks and says how many it holds; 0 if the oldest
/// has left the log. A tick that fills a message alone still goes out, in one of its own.
fn fill(
    out: &mut FrameBuf,
    view: &View,
    backlog: &Backlog,
    encoding: Encoding,
    most: &Most,
) -> usize {
    out.clear();
    let pending = backlog.pending();
    let pending = &pending[..pending.len().min(most.ticks)];
    let mut taken = 0;
    while let Some(first) = pending.get(taken) {
        let Some((batch, from)) = view.locate(*first) else { break };
        let encoded = batch.encoded(encoding);
        let room = most.bytes.saturating_sub(out.body_bytes());
        let fits = match run(&pending[taken..], encoded, from, room) {
            0 if taken == 0 => 1,
            0 => break,
            fits => fits,
        };
        out.append(encoded.run(from, from + fits - 1));
        taken += fits;
    }
    if taken > 0 {
        out.finish(encoding, taken);
    }
    taken
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
