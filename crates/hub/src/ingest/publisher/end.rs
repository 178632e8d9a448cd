//! How publishers' sessions end.

use tickwire_protocol::{Control, ErrorCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tungstenite::Error;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;

use super::{LEAVE_TIME_MAX, Session};
use crate::ingest::handle::RouterEnded;
use crate::ingest::message::Ingest;
use crate::retry;

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
            Self::Shutdown => retry::close_text(retry::publisher_retry_delay()),
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

impl From<RouterEnded> for End {
    fn from(_: RouterEnded) -> Self {
        Self::Shutdown
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Says goodbye: what was taken is acknowledged first.
    pub(super) async fn leave(mut self, end: End) {
        if end == End::Shutdown {
            self.settle().await;
        }
        if end == End::Replaced {
            let detail = Some("a newer session of the same publisher has taken over".to_owned());
            let error = Control::Error { code: ErrorCode::PublisherReplaced, detail, id: None };
            let _gone = self.tell(&error).await; // it may have left
        }
        if let Some(code) = end.code() {
            let frame = CloseFrame { code: CloseCode::from(code), reason: end.text().into() };
            let _gone = tokio::time::timeout(LEAVE_TIME_MAX, self.end(frame)).await;
        }
        if let Some(session) = self.acknowledged {
            let message = Ingest::Close { id: session.id, token: session.token };
            let _stopped = self.context.ingest.send(message).await; // then nobody needs to know
        }
    }

    /// Sends the close, then drops what the peer still sends until it ends: closing on unread data
    /// would destroy our last words on their way.
    async fn end(&mut self, frame: CloseFrame) -> Result<(), Error> {
        self.ws.close(Some(frame)).await?;
        let socket = self.ws.get_mut();
        socket.shutdown().await?;
        let mut dropped = [0; 4096];
        while socket.read(&mut dropped).await? > 0 {}
        Ok(())
    }

    /// Waits until the router has numbered everything that was read, and acknowledges it.
    async fn settle(&mut self) {
        let Some(number) = self.acknowledged.as_ref().map(|session| session.number) else { return };
        let reached =
            self.progress.wait_for(|progress| progress.up_to >= number || progress.fenced);
        let reached = tokio::time::timeout(LEAVE_TIME_MAX, reached).await;
        if reached.is_ok_and(|reached| reached.is_ok()) {
            self.progress.mark_changed();
            let _gone = self.tell_progress().await; // it may have left
        }
    }
}
