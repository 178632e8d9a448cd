//! Errors of a client's methods.

use std::time::Duration;

use tickwire_protocol::{ErrorCode, HubUrlError, Printable, ValueError};

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is not valid.
    #[error("{given:?} is not the address of a hub")]
    Url {
        /// The address that was given.
        given: String,
        /// What is wrong with it.
        source: HubUrlError,
    },
    /// The name of the feed is not valid.
    #[error(transparent)]
    Feed(ValueError),
    /// The token cannot be sent.
    #[error(transparent)]
    Token(#[from] crate::TokenError),
    /// The connection failed or broke during the handshake.
    #[error("cannot reach the hub at {hub}")]
    Unreachable {
        /// Host and port of the hub.
        hub: String,
        /// The error of the operating system or of TLS.
        source: std::io::Error,
    },
    /// The attempt took too long.
    #[error("the hub at {hub} did not answer within {timeout:?}")]
    TimedOut {
        /// Host and port of the hub.
        hub: String,
        /// The timeout of the client.
        timeout: Duration,
    },
    /// The server answered the handshake with an HTTP error.
    #[error("the server at {hub} answered HTTP {status}{}", hint(*.status, .message))]
    Refused {
        /// Host and port of the hub.
        hub: String,
        /// The HTTP status.
        status: u16,
        /// The first line of the body; may be empty.
        message: String,
    },
    /// The hub refused the key.
    #[error("the hub at {hub} refused the key: {} {}{}", code.code(), code.msg(), detail_text(.detail))]
    KeyRefused {
        /// Host and port of the hub.
        hub: String,
        /// The kind of refusal.
        code: ErrorCode,
        /// The hub's explanation, for people.
        detail: Option<String>,
    },
    /// The server speaks no WebSocket, or none of Tickwire's subprotocols.
    #[error("the server at {hub} is no Tickwire hub: {}", Printable(.problem))]
    NotAHub {
        /// Host and port of the hub.
        hub: String,
        /// What is wrong with its answer.
        problem: String,
    },
}

impl ConnectError {
    /// Returns whether another attempt with the same settings cannot succeed.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Url { .. } | Self::Feed(_) | Self::Token(_) => true,
            Self::Refused { status, .. } => matches!(status, 401 | 403),
            // Another session of the key may end.
            Self::KeyRefused { code, .. } => !matches!(code, ErrorCode::ConnectionLimit),
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::NotAHub { .. } => false,
        }
    }
}

fn detail_text(detail: &Option<String>) -> String {
    detail.as_ref().map(|detail| format!(" ({})", Printable(detail))).unwrap_or_default()
}

/// Returns the hub's message about a refusal, or the likely reason if it has none.
fn hint(status: u16, message: &str) -> String {
    if !message.is_empty() {
        return format!(": {}", Printable(message));
    }
    let hint = match status {
        401 | 403 => ": it requires another key, ID:SECRET",
        404 => ": is it a Tickwire hub, and does the feed exist?",
        429 => ": too many connections from this address",
        503 => ": it is full or shutting down",
        _ => "",
    };
    hint.to_owned()
}

/// The client has ended: the connection was lost, and reconnecting is off or cannot help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client has ended")]
pub struct ClientEnded;

/// Why [`Client::subscribe_from`](crate::Client::subscribe_from) failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The client has ended.
    #[error(transparent)]
    Ended(#[from] ClientEnded),
    /// The names do not fit one command, which a replay at a finite speed requires, since the hub
    /// plays one replay per session at a time.
    #[error(
        "a replay at a speed is one command, and {names} names make it {bytes} bytes long; at most \
         {bytes_max} bytes are allowed: use fewer names, \"*\", or speed max"
    )]
    TooLong {
        /// Number of names that were requested.
        names: usize,
        /// Length of the command, in bytes.
        bytes: usize,
        /// The longest command that a hub accepts, in bytes.
        bytes_max: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_hub_is_printable() {
        let hub = "hub:1".to_owned();
        let hostile = "full\nINFO\u{9b}2J\u{202e}".to_owned();
        let code = ErrorCode::AuthFailed;
        for error in [
            ConnectError::Refused { hub: hub.clone(), status: 500, message: hostile.clone() },
            ConnectError::KeyRefused { hub: hub.clone(), code, detail: Some(hostile.clone()) },
            ConnectError::NotAHub { hub, problem: hostile },
        ] {
            let text = error.to_string();
            assert!(text.contains(r"full\nINFO\u{9b}2J\u{202e}"), "{text:?}");
        }
    }
}
