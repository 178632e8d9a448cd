//! Who a session is: what it may do, or until when it has to say.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use tickwire_protocol::{Credentials, Encoding};

use crate::access::keys::{Grant, KeySession};
use crate::fanout::{CloseReason, FeedId};
use crate::serving::session_protocol::SessionProtocol;

/// Commands of a session that has shown no key that are refused before it is closed.
const REFUSED_MAX: u32 = 16;
/// How long a session may try to be let in while its key has as many sessions as it may.
const FULL_TIME_MAX: Duration = Duration::from_secs(60);

/// Who is behind a connection, and what for, as its handshake tells.
#[derive(Debug)]
pub(crate) struct HandshakeInfo {
    pub(crate) peer: IpAddr,
    pub(crate) user_agent: Option<Box<str>>,
    /// Name of the view it wants to follow.
    pub(crate) view: Box<str>,
    /// The feed behind that.
    pub(crate) feed: FeedId,
    pub(crate) protocol: SessionProtocol,
    pub(crate) encoding: Encoding,
    /// The key it has shown already.
    pub(crate) shown: Option<Credentials>,
}

/// Where a session stands with its key.
#[derive(Debug)]
pub(crate) enum Login {
    /// It has to show a key until then; so many other commands have been refused.
    Expected { until: Instant, refused: u32 },
    /// It has shown a right one, which has as many sessions as it may, and may try again until then;
    /// `given_up` is when it may not any more.
    Full { until: Instant, given_up: Instant },
    /// It is out, and is told so then. Until then it is not heard: there are clients that come again at once,
    /// and they are not to come often.
    Out { told: Instant, reason: CloseReason, detail: Option<String> },
    /// It may read, and has a place among the sessions of its key or of those who need none; `shown` says
    /// whether it has shown one.
    In { grant: Grant, place: KeySession, shown: bool },
}

impl Login {
    /// When something happens unless the session does something before.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Expected { until, .. } | Self::Full { until, .. } => Some(*until),
            Self::Out { told, .. } => Some(*told),
            Self::In { .. } => None,
        }
    }

    /// What the session may do, once it is in.
    pub(crate) const fn grant(&self) -> Option<&Grant> {
        match self {
            Self::In { grant, .. } => Some(grant),
            _ => None,
        }
    }

    /// Another command than that was refused. `true` if it is to be heard no longer: whoever waits for a key does not
    /// ask so often.
    pub(crate) const fn refused_command(&mut self) -> bool {
        let Self::Expected { refused, .. } = self else { return false };
        *refused += 1;
        *refused >= REFUSED_MAX
    }

    /// The key has no place left: those who are not in yet get more time, up to a minute in all.
    pub(crate) fn refused_for_now(&mut self, now: Instant, more: Duration) {
        let given_up = match self {
            Self::Expected { .. } => now + FULL_TIME_MAX,
            Self::Full { given_up, .. } => *given_up,
            Self::Out { .. } | Self::In { .. } => return,
        };
        *self = Self::Full { until: given_up.min(now + more), given_up };
    }
}
