//! Authentication state of a session.

use std::time::{Duration, Instant};

use crate::access::keys::{Grant, KeySession};
use crate::fanout::CloseReason;

/// Number of refused commands after which a session without a key is closed.
const REFUSED_MAX: u32 = 16;
/// Longest time that a session may keep trying while its key is at its session limit.
const AT_LIMIT_TIME_MAX: Duration = Duration::from_secs(60);

/// Progress of the authentication of a session.
#[derive(Debug)]
pub(crate) enum AuthState {
    /// The session has to present a key by the deadline `until`. Its other commands are refused
    /// until then; `refused` counts them.
    AwaitingKey { until: Instant, refused: u32 },
    /// The session has presented a valid key that is at its session limit. The session may try
    /// again until the deadline `until`. Each attempt extends the deadline, to `last_deadline` at
    /// most.
    AtLimit { until: Instant, last_deadline: Instant },
    /// The session is rejected. At `close_at` it is sent the error `detail`, if there is one, and
    /// closed. Its input is ignored until then. The delay slows down clients that reconnect
    /// immediately.
    Rejected { close_at: Instant, reason: CloseReason, detail: Option<String> },
    /// The session may subscribe. `key_session` registers it with its key, or with the sessions
    /// that need none; `has_key` says whether it has presented a key.
    Authenticated { grant: Grant, key_session: KeySession, has_key: bool },
}

impl AuthState {
    /// Returns the time at which the session is closed unless it authenticates before; `None` once
    /// it has authenticated.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        match self {
            Self::AwaitingKey { until, .. } | Self::AtLimit { until, .. } => Some(*until),
            Self::Rejected { close_at, .. } => Some(*close_at),
            Self::Authenticated { .. } => None,
        }
    }

    /// Returns the rights of the session; `None` until it has authenticated.
    pub(crate) const fn grant(&self) -> Option<&Grant> {
        match self {
            Self::Authenticated { grant, .. } => Some(grant),
            _ => None,
        }
    }

    /// Counts a command that was refused because the session has presented no key. Returns whether
    /// the session has to be closed.
    pub(crate) const fn count_refused(&mut self) -> bool {
        let Self::AwaitingKey { refused, .. } = self else { return false };
        *refused += 1;
        *refused >= REFUSED_MAX
    }

    /// Records that the key is at its session limit. Extends the deadline to `extension` from
    /// `now`, and to at most [`AT_LIMIT_TIME_MAX`] from the first attempt.
    pub(crate) fn set_at_limit(&mut self, now: Instant, extension: Duration) {
        let last_deadline = match self {
            Self::AwaitingKey { .. } => now + AT_LIMIT_TIME_MAX,
            Self::AtLimit { last_deadline, .. } => *last_deadline,
            Self::Rejected { .. } | Self::Authenticated { .. } => return,
        };
        *self = Self::AtLimit { until: last_deadline.min(now + extension), last_deadline };
    }
}
