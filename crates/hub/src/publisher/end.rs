//! How publishers' sessions end.

use crate::drain;

/// Why a publisher's session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Left,
    Silent,
    Replaced,
    Revoked,
    Protocol,
    NotUtf8,
    TooBig,
    TooManyPublishers,
    Shutdown,
}

impl End {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Silent => "silent",
            Self::Replaced => "replaced",
            Self::Revoked => "revoked",
            Self::Protocol => "protocol",
            Self::NotUtf8 => "not_utf8",
            Self::TooBig => "too_big",
            Self::TooManyPublishers => "too_many_publishers",
            Self::Shutdown => "shutdown",
        }
    }

    /// What the close frame says.
    pub(super) fn text(self) -> String {
        match self {
            Self::Shutdown => drain::close_text(drain::retry_of_publishers()),
            other => other.label().to_owned(),
        }
    }

    /// The close code, where one is sent.
    pub(super) const fn code(self) -> Option<u16> {
        match self {
            Self::Left | Self::Silent => None,
            Self::Replaced | Self::Revoked => Some(1008),
            Self::Protocol => Some(1002),
            Self::NotUtf8 => Some(1007),
            Self::TooBig => Some(1009),
            Self::TooManyPublishers => Some(1013),
            Self::Shutdown => Some(1001),
        }
    }
}
