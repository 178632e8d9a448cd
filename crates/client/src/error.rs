//! What can go wrong between client and hub.

use std::time::Duration;

use tickwire_protocol::{ErrorCode, HubUrlError, ValueError};

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address cannot be used; trying again cannot help.
    #[error("{given:?} is no address of a hub")]
    Url {
        /// What was given.
        given: String,
        /// What is wrong with it.
        source: HubUrlError,
    },
    /// The feed's name cannot be used; trying again cannot help.
    #[error(transparent)]
    Feed(ValueError),
    /// The token cannot be used; trying again cannot help.
    #[error(transparent)]
    Token(#[from] crate::TokenError),
    /// Nobody answers there.
    #[error("cannot reach the hub at {hub}")]
    Unreachable {
        /// Host and port.
        hub: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The handshake took too long.
    #[error("the hub at {hub} did not answer within {within:?}")]
    TimedOut {
        /// Host and port.
        hub: String,
        /// How long the client waited.
        within: Duration,
    },
    /// There is an HTTP server, but it does not open a WebSocket.
    #[error("the server at {hub} answered HTTP {status}{}", hint(*.status, .said))]
    Refused {
        /// Host and port.
        hub: String,
        /// Its HTTP status.
        status: u16,
        /// The first line of what it said about that; may be empty.
        said: String,
    },
    /// The hub does not let the holder of this token in.
    #[error("the hub at {hub} refused the key: {} {}{}", code.code(), code.msg(), detail_of(.detail))]
    KeyRefused {
        /// Host and port.
        hub: String,
        /// What kind of refusal.
        code: ErrorCode,
        /// What exactly was wrong, for people.
        detail: Option<String>,
    },
    /// What answers there speaks no WebSocket, or not Tickwire's subprotocols.
    #[error("the server at {hub} is no Tickwire hub: {problem}")]
    NotAHub {
        /// Host and port.
        hub: String,
        /// What was wrong with its answer.
        problem: String,
    },
}

impl ConnectError {
    /// Whether trying again with the same settings cannot help.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Url { .. } | Self::Feed(_) | Self::Token(_) => true,
            Self::Refused { status, .. } => matches!(status, 401 | 403),
            // A place may become free.
            Self::KeyRefused { code, .. } => !matches!(code, ErrorCode::ConnectionLimit),
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::NotAHub { .. } => false,
        }
    }
}

fn detail_of(detail: &Option<String>) -> String {
    detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default()
}

/// What the hub says of it, or what it is likely to be.
fn hint(status: u16, said: &str) -> String {
    if !said.is_empty() {
        return format!(": {said}");
    }
    let hint = match status {
        401 | 403 => ": it wants another key, ID:SECRET",
        404 => ": is it a Tickwire hub, and does the feed exist?",
        429 => ": too many connections from here",
        503 => ": it is full, or shutting down",
        _ => "",
    };
    hint.to_owned()
}

/// The client has ended, so it takes no more commands: the hub was lost and reconnecting is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client has ended")]
pub struct Ended;

/// Why a replay was not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The client has ended.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// Too many names for a replay at a pace, which is one command: the hub plays one at a time.
    #[error(
        "a replay at a speed is one command, and {names} names make it {bytes} bytes long; the hub takes {bytes_max} at \
         most: name fewer, or \"*\", or replay at speed max"
    )]
    TooLong {
        /// How many names were given.
        names: usize,
        /// How long the command would be, in bytes.
        bytes: usize,
        /// How long a command may be, in bytes.
        bytes_max: usize,
    },
}
