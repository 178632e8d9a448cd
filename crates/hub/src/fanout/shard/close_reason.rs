//! Why sessions end.

use tickwire_protocol::ErrorCode;

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The peer closed the session, or the connection broke.
    PeerClosed,
    /// The peer read too slowly.
    SlowClient,
    /// The peer sent nothing for too long, or it is a publisher and did not read for too long.
    Silent,
    /// The peer violated the WebSocket protocol.
    Protocol,
    /// The peer sent text that is not UTF-8.
    NotUtf8,
    /// The peer sent a message larger than the limit.
    TooBig,
    /// The hub is shutting down.
    Shutdown,
    /// The peer sent a wrong key, or too many other commands before a key.
    AuthFailed,
    /// The peer sent no valid key in time.
    AuthTimeout,
    /// The key may not read the feed of the session.
    NotAllowed,
    /// A newer session of the same key or publisher replaced this one.
    Replaced,
    /// The key was revoked or changed.
    Revoked,
    /// A message of the peer did not end in time.
    MessageTimeout,
    /// The memory for messages was used up, and the peer had the largest share in it.
    MessageMemory,
    /// The hub keeps the progress of as many publishers as it may, and all are connected; or a new
    /// publisher took the place of this one, which had sent nothing. Only sessions of publishers
    /// end for this.
    TooManyPublishers,
}

impl CloseReason {
    /// The reasons of subscriber sessions, in the order of their numbers, for metrics.
    pub const ALL: [Self; 14] = [
        Self::PeerClosed,
        Self::SlowClient,
        Self::Silent,
        Self::Protocol,
        Self::NotUtf8,
        Self::TooBig,
        Self::Shutdown,
        Self::AuthFailed,
        Self::AuthTimeout,
        Self::NotAllowed,
        Self::Replaced,
        Self::Revoked,
        Self::MessageTimeout,
        Self::MessageMemory,
    ];

    /// Returns the close code on the wire (RFC 6455 section 7.4.1); 1000 where none is sent.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::PeerClosed | Self::Silent => 1000,
            Self::Shutdown => 1001,
            Self::Protocol => 1002,
            Self::NotUtf8 => 1007,
            Self::SlowClient
            | Self::AuthFailed
            | Self::AuthTimeout
            | Self::NotAllowed
            | Self::Replaced
            | Self::Revoked
            | Self::MessageTimeout => 1008,
            Self::TooBig => 1009,
            Self::MessageMemory | Self::TooManyPublishers => 1013,
        }
    }

    /// Returns the word for the reason in metrics, logs and the close frame.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::PeerClosed => "peer_closed",
            Self::SlowClient => "slow_client",
            Self::Silent => "silent",
            Self::Protocol => "protocol",
            Self::NotUtf8 => "not_utf8",
            Self::TooBig => "too_big",
            Self::Shutdown => "shutdown",
            Self::AuthFailed => "auth_failed",
            Self::AuthTimeout => "auth_timeout",
            Self::NotAllowed => "not_allowed",
            Self::Replaced => "replaced",
            Self::Revoked => "revoked",
            Self::MessageTimeout => "message_timeout",
            Self::MessageMemory => "message_memory",
            Self::TooManyPublishers => "too_many_publishers",
        }
    }

    /// Returns the code of the error element that precedes the close, if there is one.
    #[must_use]
    pub const fn error(self) -> Option<ErrorCode> {
        match self {
            Self::SlowClient => Some(ErrorCode::SlowClient),
            _ => None,
        }
    }
}
