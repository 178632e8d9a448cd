//! What one HTTP connection does: whether a request is under way, and since when.

use std::future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;

/// How long a connection may wait for its client.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeLimits {
    /// For the handshake, for the head of a request, and without progress while an answer is sent.
    pub(super) request: Duration,
    /// Between an answer and the next request.
    pub(super) idle: Duration,
}

/// Time without progress after which a client counts as one that does not read its answer.
const STALL_MIN: Duration = Duration::from_secs(1);

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// For the rest of a handshake or of a request's head.
    Head,
    /// For the answer to a request.
    Answer,
    /// For the next request; no byte of it has arrived.
    NextRequest,
}

/// The state of a connection. Its stream and its service update it, and whoever makes room for
/// other connections may close it.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
    limits: TimeLimits,
    /// Wakes the task of the connection after [`Activity::close`].
    task: AtomicWaker,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// When the phase began.
    since: Instant,
    /// Since when the client has accepted no byte of what the hub is sending.
    stalled: Option<Instant>,
    /// Whether the connection ends as soon as no complete request is under way.
    closing: bool,
    /// Whether the next answer is the last.
    last_answer: bool,
}

impl Activity {
    /// Creates the state of a connection that was accepted at `now`.
    pub(super) fn new(limits: TimeLimits, now: Instant) -> Self {
        let state = State {
            phase: Phase::Head,
            since: now,
            stalled: None,
            closing: false,
            last_answer: false,
        };
        Self { state: Mutex::new(state), limits, task: AtomicWaker::new() }
    }

    /// Notes that bytes have arrived. A connection that was to be closed while it was idle serves
    /// this request, and announces its end in the answer.
    pub(super) fn received(&self, now: Instant) {
        let mut state = self.lock();
        if state.phase == Phase::NextRequest {
            state.enter(Phase::Head, now);
            state.last_answer |= std::mem::take(&mut state.closing);
        }
    }

    /// Notes that the head of a request is complete.
    pub(super) fn requested(&self, now: Instant) {
        let mut state = self.lock();
        state.enter(Phase::Answer, now);
        state.last_answer |= std::mem::take(&mut state.closing);
    }

    /// Notes that the answer is complete, except for bytes that the client has not accepted yet.
    pub(super) fn answered(&self, now: Instant) {
        self.lock().enter(Phase::NextRequest, now);
    }

    /// Notes whether the client accepts what the hub sends.
    pub(super) fn sent(&self, accepts: bool, now: Instant) {
        let mut state = self.lock();
        state.stalled = if accepts { None } else { state.stalled.or(Some(now)) };
    }

    /// Closes the connection unless it is busy. An idle one on which a request has arrived is
    /// closed after the answer. Returns whether it was not closed before.
    pub(super) fn close(&self) -> bool {
        let was_closing = std::mem::replace(&mut self.lock().closing, true);
        self.task.wake();
        !was_closing
    }

    /// Completes when the connection is closed.
    pub(super) async fn closed(&self) {
        future::poll_fn(|cx| {
            self.task.register(cx.waker());
            if self.lock().closing { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Makes the next answer the last.
    pub(super) fn answer_last(&self) {
        self.lock().last_answer = true;
    }

    /// Returns since when the connection waits for its client, and before it whether it does so
    /// within a request. Returns `None` while the hub works on a request.
    pub(super) fn waiting_since(&self, now: Instant) -> Option<(bool, Instant)> {
        let state = self.lock();
        match state.phase {
            Phase::Head | Phase::NextRequest => Some((false, state.since)),
            Phase::Answer => {
                let is_long = |since: &Instant| now.saturating_duration_since(*since) >= STALL_MIN;
                Some((true, state.stalled.filter(is_long)?))
            }
        }
    }

    /// Returns whether the connection is about to end.
    pub(super) fn is_ending(&self) -> bool {
        let state = self.lock();
        state.closing && (state.phase != Phase::Answer || state.stalled.is_some())
    }

    /// Returns whether the next answer has to announce the end of the connection.
    pub(super) fn is_last_answer(&self) -> bool {
        self.lock().last_answer
    }

    /// Returns whether a connection on which nothing more has arrived has to end.
    pub(super) fn ends_without_input(&self) -> bool {
        let state = self.lock();
        state.closing && state.phase != Phase::Answer
    }

    /// Returns whether a connection that does not accept more bytes has to end.
    pub(super) fn ends_without_output(&self) -> bool {
        self.lock().closing
    }

    /// Returns when the connection has to end unless something happens before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let state = self.lock();
        let of_phase = match state.phase {
            Phase::Head => Some(state.since + self.limits.request),
            Phase::Answer => None,
            Phase::NextRequest => Some(state.since + self.limits.idle),
        };
        state.stalled.map(|since| since + self.limits.request).or(of_phase)
    }

    /// Returns the time that is announced to clients: how long the connection stays open without a
    /// request.
    pub(super) const fn idle_max(&self) -> Duration {
        self.limits.idle
    }

    /// Sets the task to wake when the connection has to end.
    pub(super) fn register(&self, task: &Waker) {
        self.task.register(task);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: TimeLimits =
        TimeLimits { request: Duration::from_secs(10), idle: Duration::from_secs(60) };

    #[test]
    fn only_a_client_that_owes_something_has_a_deadline() {
        let start = crate::clock::monotonic();
        let after = |seconds| start + Duration::from_secs(seconds);
        let activity = Activity::new(LIMITS, start);
        assert_eq!(activity.deadline(), Some(after(10)));
        activity.received(after(3));
        assert_eq!(activity.deadline(), Some(after(10)), "more of the first head");
        activity.requested(after(4));
        assert_eq!(activity.deadline(), None);
        activity.sent(false, after(5));
        activity.sent(false, after(6));
        assert_eq!(activity.deadline(), Some(after(15)));
        activity.sent(true, after(7));
        activity.answered(after(7));
        assert_eq!(activity.deadline(), Some(after(67)));
        activity.received(after(20));
        assert_eq!(activity.deadline(), Some(after(30)));
    }

    #[test]
    fn request_that_arrives_while_its_connection_is_closed_gets_the_last_answer() {
        let now = crate::clock::monotonic();
        let activity = Activity::new(LIMITS, now);
        activity.requested(now);
        activity.answered(now);
        activity.close();
        assert!(activity.ends_without_input());
        activity.received(now);
        assert!(!activity.ends_without_input());
        activity.requested(now);
        assert!(activity.is_last_answer());
    }

    #[test]
    fn busy_connection_ends_only_if_its_client_does_not_read() {
        let now = crate::clock::monotonic();
        let activity = Activity::new(LIMITS, now);
        activity.requested(now);
        activity.close();
        assert!(!activity.ends_without_input());
        assert!(activity.ends_without_output());
    }
}
