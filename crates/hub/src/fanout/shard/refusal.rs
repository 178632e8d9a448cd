//! Commands that are refused.

use tickwire_protocol::ErrorCode;

use super::super::SessionId;
use super::Shard;
use super::session::DeliveryState;
use super::shared_limit::LimitReached;

/// Why a command is refused. A refused command changes nothing.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    pub(super) detail: String,
}

impl Refusal {
    /// Creates the refusal of a command that would exceed a limit.
    pub(super) fn limit(detail: impl Into<String>) -> Self {
        Self { code: ErrorCode::SymbolLimit, detail: detail.into() }
    }

    /// Creates the refusal of a command that would exceed a limit of all sessions together.
    pub(super) fn shared_limit(what: &str, reached: LimitReached) -> Self {
        let LimitReached { share, max } = reached;
        Self::limit(match share {
            None => format!("{what}: at most {max} are allowed"),
            Some(share) => format!(
                "{what}: at most {max} are allowed, and {share} for one client: half of what \
                 others leave"
            ),
        })
    }

    /// Creates the refusal of a command that does not fit the state of the session.
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self { code: ErrorCode::InvalidSyntax, detail: detail.into() }
    }
}

impl Shard {
    /// Queues the error for a command that is refused. A session that is ending gets no more
    /// errors.
    pub fn refuse(&mut self, id: SessionId, command: Option<u64>, code: ErrorCode, detail: String) {
        if self.sessions.hot(id).delivery != DeliveryState::Detached {
            self.send_error(id, command, code, Some(detail));
        }
    }
}
