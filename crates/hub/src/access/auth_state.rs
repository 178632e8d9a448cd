//! Who a session is: what it may do, or until when it has to say.

use std::time::{Duration, Instant};

use crate::access::keys::{Grant, KeySession};
use crate::fanout::CloseReason;

/// Commands of a session that has shown no key that are refused before it is closed.
const REFUSED_MAX: u32 = 16;
/// How long a session may try to be let in while its key has as many sessions as it may.
const FULL_TIME_MAX: Duration = Duration::from_secs(60);

/// Where a session stands with its key.
#[derive(Debug)]
pub(crate) enum AuthState {
    /// It has to show a key until then; so many other commands have been refused.
    AwaitingKey { until: Instant, refused: u32 },
    /// It has shown a right one, which has as many sessions as it may, and may try again until then;
    /// `given_up` is when it may not any more.
    AtLimit { until: Instant, given_up: Instant },
    /// It is out, and is told so then. Until then it is not heard: there are clients that come again at once,
    /// and they are not to come often.
    Rejected { told: Instant, reason: CloseReason, detail: Option<String> },
    /// It may read, and has a place among the sessions of its key or of those who need none; `shown` says
    /// whether it has shown one.
    Authenticated { grant: Grant, place: KeySession, shown: bool },
}

impl AuthState {
    /// When something happens unless the session does something before.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        match self {
            Self::AwaitingKey { until, .. } | Self::AtLimit { until, .. } => Some(*until),
            Self::Rejected { told, .. } => Some(*told),
            Self::Authenticated { .. } => None,
        }
    }

    /// What the session may do, once it is in.
    pub(crate) const fn grant(&self) -> Option<&Grant> {
        match self {
            Self::Authenticated { grant, .. } => Some(grant),
            _ => None,
        }
    }

    /// Another command than that was refused. `true` if it is to be heard no longer: whoever waits for a key does not
    /// ask so often.
    pub(crate) const fn refused_command(&mut self) -> bool {
        let Self::AwaitingKey { refused, .. } = self else { return false };
        *refused += 1;
        *refused >= REFUSED_MAX
    }

    /// The key has no place left: those who are not in yet get more time, up to a minute in all.
    pub(crate) fn refused_for_now(&mut self, now: Instant, more: Duration) {
        let given_up = match self {
            Self::AwaitingKey { .. } => now + FULL_TIME_MAX,
            Self::AtLimit { given_up, .. } => *given_up,
            Self::Rejected { .. } | Self::Authenticated { .. } => return,
        };
        *self = Self::AtLimit { until: given_up.min(now + more), given_up };
    }
}
