//! Commands that are being sent to the hub.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};

/// Commands that have not been sent completely. Their number is bounded: the driver handles the
/// next request only when all are sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    commands: VecDeque<String>,
    /// Whether the socket has accepted a command and not flushed it.
    unflushed: bool,
}

/// The result of one call of [`Outgoing::exchange`].
#[derive(Debug)]
pub(super) enum Exchanged {
    /// The socket has accepted a command or flushed all of them, or failed.
    Written(Result<(), tungstenite::Error>),
    /// The socket has read a message; `None` at the end of the stream.
    Read(Option<Result<Message, tungstenite::Error>>),
}

impl Outgoing {
    pub(super) fn new(commands: Vec<String>) -> Self {
        Self { commands: commands.into(), unflushed: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty() && !self.unflushed
    }

    /// Writes commands and, if `may_read`, reads. A hub stops reading commands until their answers
    /// are read, so neither direction may wait for the other.
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future loses neither commands nor messages.
    pub(super) async fn exchange<S>(
        &mut self,
        socket: &mut WebSocketStream<S>,
        may_read: bool,
    ) -> Exchanged
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        std::future::poll_fn(|context| {
            if !self.is_empty()
                && let Poll::Ready(result) = self.write(socket, context)
            {
                return Poll::Ready(Exchanged::Written(result));
            }
            if !may_read {
                return Poll::Pending;
            }
            socket.poll_next_unpin(context).map(Exchanged::Read)
        })
        .await
    }

    /// Polls until the socket has accepted the next command, or flushed the last one.
    fn write<S>(
        &mut self,
        socket: &mut WebSocketStream<S>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), tungstenite::Error>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        ready!(socket.poll_ready_unpin(context))?;
        if let Some(command) = self.commands.pop_front() {
            self.unflushed = true;
            return Poll::Ready(socket.start_send_unpin(Message::text(command)));
        }
        ready!(socket.poll_flush_unpin(context))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }
}
