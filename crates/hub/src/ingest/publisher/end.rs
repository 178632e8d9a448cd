//! How publisher sessions end.

use tickwire_protocol::{Control, ErrorCode};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{CLOSE_TIME_MAX, Session};
use crate::fanout::CloseReason;
use crate::ingest::handle::RouterEnded;
use crate::ingest::message::Ingest;
use crate::retry;
use crate::websocket::{CloseFrame, write_close};

/// Returns the close frame for a publisher. None is sent to one that left or does not read.
fn close_frame(reason: CloseReason) -> Option<CloseFrame> {
    let text = match reason {
        CloseReason::PeerClosed | CloseReason::Silent => return None,
        CloseReason::Shutdown => retry::close_text(retry::publisher_retry_delay()),
        reason => reason.label().to_owned(),
    };
    Some(CloseFrame { code: reason.code(), reason: text })
}

impl From<RouterEnded> for CloseReason {
    fn from(_: RouterEnded) -> Self {
        Self::Shutdown
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Ends the session: acknowledges what the router has taken, then sends error and close frame.
    pub(super) async fn end(mut self, reason: CloseReason) {
        if reason == CloseReason::Shutdown {
            self.acknowledge_all().await;
        }
        if reason == CloseReason::Replaced {
            let detail = Some("a newer session of the same publisher has taken over".to_owned());
            let error = Control::Error { code: ErrorCode::PublisherReplaced, detail, id: None };
            let _gone = self.send_control(&error).await; // the publisher may have left
        }
        if let Some(close) = close_frame(reason) {
            let mut frame = Vec::new();
            write_close(Some(&close), &mut frame);
            let _gone = tokio::time::timeout(CLOSE_TIME_MAX, self.ws.close(&frame)).await;
        }
        if let Some(session) = self.acknowledged {
            let message = Ingest::Close { id: session.id, token: session.token };
            let _ended = self.context.ingest.send(message).await; // the router may have ended
        }
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
