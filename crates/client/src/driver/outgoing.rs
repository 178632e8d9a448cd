//! Commands on their way to the hub.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};

/// Commands that have not left completely. Bounded: requests are taken only while there are none.
#[derive(Debug)]
pub(super) struct Outgoing {
    commands: VecDeque<String>,
    /// Whether the socket holds some of what it was given.
    unflushed: bool,
}

/// What became of the socket.
#[derive(Debug)]
pub(super) enum Moved {
    /// It took some of the commands.
    Out(Result<(), tungstenite::Error>),
    /// It gave this; `None` at its end.
    In(Option<Result<Message, tungstenite::Error>>),
}

impl Outgoing {
    pub(super) fn new(commands: Vec<String>) -> Self {
        Self { commands: commands.into(), unflushed: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty() && !self.unflushed
    }

    /// Writes commands and, while `listening`, reads: a hub stops taking commands until their answers
    /// are read, so neither may wait for the other. Dropping the future loses nothing.
    pub(super) async fn exchange<S>(
        &mut self,
        socket: &mut WebSocketStream<S>,
        listening: bool,
    ) -> Moved
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        std::future::poll_fn(|context| {
            if !self.is_empty()
                && let Poll::Ready(result) = self.write(socket, context)
            {
                return Poll::Ready(Moved::Out(result));
            }
            if !listening {
                return Poll::Pending;
            }
            socket.poll_next_unpin(context).map(Moved::In)
        })
        .await
    }

    /// Ready when one more command was taken, or the last has left.
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
