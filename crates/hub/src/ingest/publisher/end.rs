//! How publisher sessions end.

use tickwire_protocol::{Control, ErrorCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tungstenite::Error;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;

use super::{CLOSE_TIME_MAX, Session};
use crate::ingest::handle::RouterEnded;
use crate::ingest::message::Ingest;
use crate::retry;

/// Why a publisher's session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The publisher closed the session or the connection.
    Left,
    /// The publisher sent nothing for `idle_timeout`, or did not read.
    Silent,
    /// A newer session with the same publisher id took over.
    Replaced,
    /// The session's key was removed or changed.
    Revoked,
    /// The publisher violated the WebSocket protocol.
    Protocol,
    /// The publisher sent text that is not UTF-8.
    NotUtf8,
    /// The publisher sent a message above the size limit.
    TooBig,
    /// The hub remembers the most publisher ids allowed.
    TooManyPublishers,
    /// The hub shuts down.
    Shutdown,
}

impl End {
    /// Returns the name of the reason in logs and close frames.
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

    /// Returns the text of the close frame.
    pub(super) fn text(self) -> String {
        match self {
            Self::Shutdown => retry::close_text(retry::publisher_retry_delay()),
            other => other.label().to_owned(),
        }
    }

    /// Returns the code of the close frame; `None` if no close frame is sent.
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
    /// Ends the session: acknowledges what the router has taken, then sends error and close frame.
    pub(super) async fn end(mut self, end: End) {
        if end == End::Shutdown {
            self.acknowledge_all().await;
        }
        if end == End::Replaced {
            let detail = Some("a newer session of the same publisher has taken over".to_owned());
            let error = Control::Error { code: ErrorCode::PublisherReplaced, detail, id: None };
            let _gone = self.send_control(&error).await; // the publisher may have left
        }
        if let Some(code) = end.code() {
            let frame = CloseFrame { code: CloseCode::from(code), reason: end.text().into() };
            let _gone = tokio::time::timeout(CLOSE_TIME_MAX, self.close(frame)).await;
        }
        if let Some(session) = self.acknowledged {
            let message = Ingest::Close { id: session.id, token: session.token };
            let _ended = self.context.ingest.send(message).await; // the router may have ended
        }
    }

    /// Sends the close frame, then discards input until the peer closes. Closing a socket with
    /// unread data would reset the connection, and the peer could lose the close frame.
    async fn close(&mut self, frame: CloseFrame) -> Result<(), Error> {
        self.ws.close(Some(frame)).await?;
        let socket = self.ws.get_mut();
        socket.shutdown().await?;
        let mut discarded = [0; 4096];
        while socket.read(&mut discarded).await? > 0 {}
        Ok(())
    }

    /// Waits until the router has numbered all received messages, and acknowledges them.
    async fn acknowledge_all(&mut self) {
        let Some(number) = self.acknowledged.as_ref().map(|session| session.number) else { return };
        let reached =
            self.progress.wait_for(|progress| progress.up_to >= number || progress.fenced);
        let reached = tokio::time::timeout(CLOSE_TIME_MAX, reached).await;
        if reached.is_ok_and(|reached| reached.is_ok()) {
            self.progress.mark_changed();
            let _gone = self.send_progress().await; // the publisher may have left
        }
    }
}
