//! Authentication state of a session.

use std::time::{Duration, Instant};

use crate::access::keys::{Grant, KeySession};
use crate::fanout::CloseReason;

/// Refused commands after which a session that has presented no key is closed.
const REFUSED_MAX: u32 = 16;
/// Longest time that a session may keep trying while its key is at its session limit.
const AT_LIMIT_TIME_MAX: Duration = Duration::from_secs(60);

/// How far a session has authenticated.
#[derive(Debug)]
pub(crate) enum AuthState {
    /// The session has to present a key by the deadline `until`. `refused` counts its other
    /// commands, which are refused meanwhile.
    AwaitingKey { until: Instant, refused: u32 },
    /// The session has presented a valid key that is at its session limit. It may try again by the
    /// deadline `until`, and each attempt extends that to `last_deadline` at most.
    AtLimit { until: Instant, last_deadline: Instant },
    /// The session is rejected. It is sent the error and closed at `close_at`; its input is ignored
    /// until then. The wait slows down clients that reconnect at once.
    Rejected { close_at: Instant, reason: CloseReason, detail: Option<String> },
    /// The session may subscribe. `key_session` registers it with its key, or with the sessions
    /// that need none; `has_key` says whether it has presented a key.
    Authenticated { grant: Grant, key_session: KeySession, has_key: bool },
}

impl AuthState {
    /// Returns when the session is closed unless it authenticates before; `None` once it has.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        match self {
            Self::AwaitingKey { until, .. } | Self::AtLimit { until, .. } => Some(*until),
            Self::Rejected { close_at, .. } => Some(*close_at),
            Self::Authenticated { .. } => None,
        }
    }

    /// Returns the rights of the session, once it has authenticated.
    pub(crate) const fn grant(&self) -> Option<&Grant> {
        match self {
            Self::Authenticated { grant, .. } => Some(grant),
            _ => None,
        }
    }

    /// Counts a command refused because the session has presented no key. Returns whether the
    /// session has to be closed for it.
    pub(crate) const fn count_refused(&mut self) -> bool {
        let Self::AwaitingKey { refused, .. } = self else { return false };
        *refused += 1;
        *refused >= REFUSED_MAX
    }

    /// Notes that the key is at its session limit. The session gets `more` time to try again, and
    /// at most [`AT_LIMIT_TIME_MAX`] in total.
    pub(crate) fn set_at_limit(&mut self, now: Instant, more: Duration) {
        let last_deadline = match self {
            Self::AwaitingKey { .. } => now + AT_LIMIT_TIME_MAX,
            Self::AtLimit { last_deadline, .. } => *last_deadline,
            Self::Rejected { .. } | Self::Authenticated { .. } => return,
        };
        *self = Self::AtLimit { until: last_deadline.min(now + more), last_deadline };
    }
}
