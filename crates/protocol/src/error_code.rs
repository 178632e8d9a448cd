//! What can go wrong, as it is told on the wire.

/// Kinds of faults a peer is told about. Code and text belong together on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// 400: a message that cannot be understood; it is lost, the session goes on.
    InvalidSyntax,
    /// 401: a key or token is needed.
    NotAuthenticated,
    /// 402: the key or token is wrong; the session ends.
    AuthFailed,
    /// 403: credentials again, after some that were right; the session goes on.
    AlreadyAuthenticated,
    /// 404: no credentials in time; the session ends.
    AuthTimeout,
    /// 405: the subscription would grow past a limit; nothing was changed.
    SymbolLimit,
    /// 406: too many sessions.
    ConnectionLimit,
    /// 407: the session reads too slowly and ends.
    SlowClient,
    /// 409: a newer session of the same publisher took over; this one ends.
    PublisherReplaced,
    /// 409: the key does not allow this feed; the session ends.
    InsufficientSubscription,
    /// 410: a channel that this feed does not have; nothing was changed.
    InvalidAction,
    /// 411: the token does not reach so far. Other servers say so; the hub does not.
    InsufficientScope,
    /// 500: a fault of the hub.
    Internal,
}

impl ErrorCode {
    /// All of them.
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

    /// The number on the wire.
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

    /// The text on the wire.
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

    /// The fault of a number and its text, since 409 is two; without a text that is known, the first
    /// of the number.
    #[must_use]
    pub fn from_wire(code: u16, msg: &str) -> Option<Self> {
        let mut of_number = Self::ALL.into_iter().filter(|known| known.code() == code);
        let first = of_number.clone().next();
        of_number.find(|known| known.msg() == msg).or(first)
    }
}
