//! A client's WebSocket over an asynchronous stream.

use std::future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::ready;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::Notify;

use super::{Message, MessageError, OnEviction, Reader};
use crate::clock;
use crate::suspension::RegularCheck;

/// Interval at which the time of a message that has not ended is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Most bytes read at once. The buffer is on the stack, so that a waiting stream holds none.
const READ_BYTES: usize = 64 * 1024;

/// The WebSocket of one client over an asynchronous stream.
#[derive(Debug)]
pub(crate) struct WebSocket<S> {
    stream: S,
    reader: Reader,
    /// How long a message may take from its first byte to its last.
    message_timeout: Duration,
    /// Checks of the message that has not ended; `None` without one.
    checks: Option<RegularCheck>,
    /// When bytes were last received.
    last_received: Instant,
    /// Notified when the budget evicts a message of the client.
    evicted: Arc<Notify>,
}

/// Why no further message can be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    /// The stream has ended or failed.
    #[error("the connection ended")]
    Ended(#[source] io::Error),
    /// The client broke a rule.
    #[error(transparent)]
    Message(#[from] MessageError),
}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> Self {
        Self::Ended(error)
    }
}

impl OnEviction for Notify {
    fn evicted(&self, _token: u64) {
        self.notify_one();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Creates the WebSocket of a stream whose opening handshake is complete. `evicted` is the
    /// owner of the reader's account.
    pub(crate) fn new(
        stream: S,
        reader: Reader,
        message_timeout: Duration,
        evicted: Arc<Notify>,
    ) -> Self {
        let last_received = clock::monotonic();
        Self { stream, reader, message_timeout, checks: None, last_received, evicted }
    }

    /// Returns when bytes were last received, whether or not they ended a message.
    pub(crate) const fn last_received(&self) -> Instant {
        self.last_received
    }

    /// Reads the next message. The caller answers pings and closes. Dropping the future loses no
    /// bytes.
    ///
    /// # Errors
    /// If the stream has ended, or the client broke a rule of the protocol or a limit.
    pub(crate) async fn read(&mut self) -> Result<Message, StreamError> {
        loop {
            if let Some(message) = self.reader.next(clock::monotonic())? {
                return self.pass_on(message);
            }
            self.check_time(Reader::is_overdue_unread)?;
            let check = self.checks.as_ref().map(RegularCheck::next);
            let Self { stream, reader, evicted, .. } = self;
            tokio::select! {
                biased; // what has arrived is read before the time of its message is checked
                message = read_some(stream, reader) => {
                    self.last_received = clock::monotonic();
                    if let Some(message) = message? {
                        return self.pass_on(message);
                    }
                }
                () = reached(check) => self.check_time(Reader::is_overdue)?,
                () = evicted.notified() => {
                    if self.reader.is_evicted() {
                        return Err(MessageError::Evicted.into());
                    }
                }
            }
        }
    }

    /// Returns a message that was read. One between two fragments, such as a ping, does not extend
    /// the time of the message around it.
    fn pass_on(&mut self, message: Message) -> Result<Message, StreamError> {
        self.check_time(Reader::is_overdue_unread)?;
        Ok(message)
    }

    /// Checks the time of the message that has not ended. Time in which the process was suspended,
    /// or nothing was read because the router made the publisher wait, does not count.
    fn check_time(
        &mut self,
        is_overdue: fn(&mut Reader, Instant, Duration) -> bool,
    ) -> Result<(), MessageError> {
        let now = clock::monotonic();
        let Some(began) = self.reader.incomplete_since() else {
            self.checks = None;
            return Ok(());
        };
        let checks = self.checks.get_or_insert_with(|| RegularCheck::new(CHECK_INTERVAL, began));
        if let Some(time) = checks.on_check(now) {
            self.reader.forgive(time, now);
        }
        match is_overdue(&mut self.reader, now, self.message_timeout) {
            true => Err(MessageError::Overdue),
            false => Ok(()),
        }
    }

    /// Writes whole frames.
    ///
    /// # Errors
    /// If the stream has failed.
    pub(crate) async fn write(&mut self, frames: &[u8]) -> io::Result<()> {
        self.stream.write_all(frames).await?;
        self.stream.flush().await
    }

    /// Writes a close frame, then discards input until the peer closes. Closing a socket with
    /// unread data would reset the connection, and the peer could lose the close frame.
    ///
    /// # Errors
    /// If the stream has failed.
    pub(crate) async fn close(&mut self, frame: &[u8]) -> io::Result<()> {
        self.reader.clear();
        self.write(frame).await?;
        self.stream.shutdown().await?;
        let mut discarded = [0; 4096];
        while self.stream.read(&mut discarded).await? > 0 {}
        Ok(())
    }
}

/// Reads the bytes that have arrived, at most [`READ_BYTES`], and returns the first message that
/// ends in them.
async fn read_some(
    stream: &mut (impl AsyncRead + Unpin),
    reader: &mut Reader,
) -> Result<Option<Message>, StreamError> {
    future::poll_fn(|context| {
        let mut bytes = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut bytes = ReadBuf::uninit(&mut bytes);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut bytes))?;
        if bytes.filled().is_empty() {
            return Err(StreamError::Ended(io::ErrorKind::UnexpectedEof.into())).into();
        }
        let message = reader.take(bytes.filled(), clock::monotonic());
        message.map_err(StreamError::from).into()
    })
    .await
}

/// Waits until a time; forever without one.
async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => future::pending().await,
    }
}
