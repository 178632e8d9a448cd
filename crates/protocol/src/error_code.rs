//! The errors that are reported to a peer.

/// The kind of an error element. On the wire it is a number (`code`) and a text (`msg`).
///
/// Numbers and texts are those of Alpaca's stream
/// (<https://docs.alpaca.markets/docs/streaming-market-data>), except `publisher replaced`, which
/// only Tickwire sends. See `docs/protocol/subscriber.md`, section "Errors".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// 400: the message is malformed. It is discarded; the session continues.
    InvalidSyntax,
    /// 401: the peer must authenticate first. The session continues.
    NotAuthenticated,
    /// 402: the key or the token is wrong. The session ends.
    AuthFailed,
    /// 403: the session is already authenticated. The new credentials are ignored; the session
    /// continues.
    AlreadyAuthenticated,
    /// 404: the peer did not authenticate in time. The session ends.
    AuthTimeout,
    /// 405: a subscribe would exceed a limit of the session. It changed nothing; the session
    /// continues.
    SymbolLimit,
    /// 406: the key has reached its limit of concurrent sessions.
    ConnectionLimit,
    /// 407: the peer reads too slowly. The session ends.
    SlowClient,
    /// 409 `publisher replaced`: a newer session of the same publisher took over. The session ends.
    PublisherReplaced,
    /// 409 `insufficient subscription`: the key does not allow this feed. The session ends.
    InsufficientSubscription,
    /// 410: a subscribe names a channel that the feed does not have. It changed nothing; the
    /// session continues.
    InvalidAction,
    /// 411: the token lacks a permission. Other servers send it; the hub does not.
    InsufficientScope,
    /// 500: the server failed. The hub of this version does not send it.
    Internal,
}

impl ErrorCode {
    /// All error codes.
    pub const ALL: [Self; 13] = [
        Self::InvalidSyntax,
        Self::NotAuthenticated,
        Self::AuthFailed,
        Self::AlreadyAuthenticated,
        Self::AuthTimeout,
        Self::SymbolLimit,
        Self::ConnectionLimit,
        Self::SlowClient,
        Self::PublisherReplaced,
        Self::InsufficientSubscription,
        Self::InvalidAction,
        Self::InsufficientScope,
        Self::Internal,
    ];

    /// Returns the number on the wire, `code`.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::InvalidSyntax => 400,
            Self::NotAuthenticated => 401,
            Self::AuthFailed => 402,
            Self::AlreadyAuthenticated => 403,
            Self::AuthTimeout => 404,
            Self::SymbolLimit => 405,
            Self::ConnectionLimit => 406,
            Self::SlowClient => 407,
            Self::PublisherReplaced | Self::InsufficientSubscription => 409,
            Self::InvalidAction => 410,
            Self::InsufficientScope => 411,
            Self::Internal => 500,
        }
    }

    /// Returns the text on the wire, `msg`.
    #[must_use]
    pub const fn msg(self) -> &'static str {
        match self {
            Self::InvalidSyntax => "invalid syntax",
            Self::NotAuthenticated => "not authenticated",
            Self::AuthFailed => "auth failed",
            Self::AlreadyAuthenticated => "already authenticated",
            Self::AuthTimeout => "auth timeout",
            Self::SymbolLimit => "symbol limit exceeded",
            Self::ConnectionLimit => "connection limit exceeded",
            Self::SlowClient => "slow client",
            Self::PublisherReplaced => "publisher replaced",
            Self::InsufficientSubscription => "insufficient subscription",
            Self::InvalidAction => "invalid subscribe action for this feed",
            Self::InsufficientScope => "insufficient scope",
            Self::Internal => "internal error",
        }
    }

    /// Returns the error with this number and text. Two errors share the number 409; if the text is
    /// unknown, returns the first error with the number. Returns `None` if the number is unknown.
    #[must_use]
    pub fn from_wire(code: u16, msg: &str) -> Option<Self> {
        let mut candidates = Self::ALL.into_iter().filter(|known| known.code() == code);
        let first = candidates.clone().next();
        candidates.find(|known| known.msg() == msg).or(first)
    }
}
