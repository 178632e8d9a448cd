//! The task of a client: moves bytes between socket and session, keeps the time, and reconnects.

mod outgoing;

use std::ops::ControlFlow;
use std::time::Duration;

use futures_util::StreamExt;
use tickwire_protocol::{Backoff, Encoding, requested_delay};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};

use self::outgoing::{Exchanged, Outgoing};
use crate::connect::{Connection, Connector};
use crate::session::{Request, Session};
use crate::{Disconnect, Event};

/// How long the socket may accept no command, while the hub sends nothing either, before the
/// connection counts as lost.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the hub may take to answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Least delay of a timer that means that the process was suspended.
const SUSPENSION_MIN: Duration = Duration::from_secs(1);

/// How long the hub has after a suspension: what it sent meanwhile is still to be read.
const SUSPENSION_GRACE: Duration = Duration::from_secs(5);

/// The task of a client.
///
/// It ends when the client has been dropped, which closes `requests`.
#[derive(Debug)]
pub(crate) struct Driver<C> {
    pub(crate) connector: C,
    pub(crate) session: Session,
    /// The delays between attempts to reconnect; `None` turns reconnecting off.
    pub(crate) backoff: Option<Backoff>,
    /// A connection that is silent for longer is given up.
    pub(crate) silence_max: Duration,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) events: mpsc::Sender<Vec<Event>>,
    /// Events that the application has no room for. While there are any, the socket is not read,
    /// which makes the hub buffer.
    pub(crate) undelivered: Vec<Event>,
}

/// Why a connection is no longer served.
enum ServeEnd {
    /// The application has dropped the client.
    ClientDropped,
    ConnectionLost(Disconnect),
}

type Socket<C> = WebSocketStream<<C as Connector>::Stream>;

#[expect(clippy::disallowed_methods, reason = "the driver is where the clock is read")]
fn now() -> Instant {
    Instant::now()
}

/// Returns a limit that `timer` watches. If the timer runs far too late, the process was suspended,
/// such as in a paused container, and the limit is later: the socket could not be read.
fn extended(limit: Instant, timer: &Sleep) -> Instant {
    let now = now();
    let was_suspended = now >= timer.deadline() + SUSPENSION_MIN;
    if was_suspended { limit.max(now + SUSPENSION_GRACE) } else { limit }
}

impl<C: Connector> Driver<C> {
    /// Serves a connection, and reconnects until the client is dropped or reconnecting is off.
    pub(crate) async fn run(mut self, mut connection: Connection<C::Stream>) {
        loop {
            let Connection { mut socket, received } = connection;
            let opened_at = now();
            let end = self.serve(&mut socket, received).await;
            self.session.on_close();
            let reason = match end {
                ServeEnd::ClientDropped => return close(socket).await,
                ServeEnd::ConnectionLost(reason) => reason,
            };
            drop(socket);
            if let Some(backoff) = &mut self.backoff {
                backoff.on_connection_lost(now() - opened_at);
            }
            match self.reconnect(reason).await {
                Some(next) => connection = next,
                None => return,
            }
        }
    }

    /// Moves bytes until the connection is lost or the client is dropped.
    async fn serve(&mut self, socket: &mut Socket<C>, received: Vec<Message>) -> ServeEnd {
        let mut outgoing = Outgoing::new(self.session.on_open());
        for message in received {
            if let ControlFlow::Break(lost) =
                handle_message(&mut self.session, Some(Ok(message)), &mut self.undelivered)
            {
                return ServeEnd::ConnectionLost(lost);
            }
        }
        let mut last_read = now();
        let mut last_write = last_read;
        let silence = tokio::time::sleep_until(last_read + self.silence_max);
        let stall = tokio::time::sleep_until(last_write + WRITE_TIMEOUT);
        tokio::pin!(silence, stall);
        loop {
            let may_read = self.undelivered.is_empty();
            tokio::select! {
                // After a pause of the whole process, messages and a silence are ready together.
                biased;
                request = self.requests.recv(), if outgoing.is_empty() && self.session.has_room() => {
                    let Some(request) = request else { return ServeEnd::ClientDropped };
                    outgoing = Outgoing::new(self.session.on_request(&request));
                    last_write = now();
                }
                // Requests wait for the commands before them; the end of the client does not.
                () = self.events.closed(), if !outgoing.is_empty() => return ServeEnd::ClientDropped,
                room = self.events.reserve(), if !may_read => {
                    let Ok(room) = room else { return ServeEnd::ClientDropped };
                    room.send(std::mem::take(&mut self.undelivered));
                    // The socket was not read meanwhile, so the hub was not silent.
                    last_read = now();
                }
                exchanged = outgoing.exchange(socket, may_read), if may_read || !outgoing.is_empty() => match exchanged {
                    Exchanged::Written(Ok(())) => last_write = now(),
                    Exchanged::Written(Err(error)) => {
                        return ServeEnd::ConnectionLost(Disconnect::Lost(error.to_string()));
                    }
                    Exchanged::Read(message) => {
                        last_read = now();
                        if let ControlFlow::Break(lost) = handle_message(&mut self.session, message, &mut self.undelivered) {
                            return ServeEnd::ConnectionLost(lost);
                        }
                    }
                },
                () = &mut stall, if may_read && !outgoing.is_empty() => {
                    // A hub that answers earlier commands will accept the next ones, too.
                    let limit = extended(last_write.max(last_read) + WRITE_TIMEOUT, &stall);
                    if now() >= limit {
                        let reason = "the hub does not accept commands".to_owned();
                        return ServeEnd::ConnectionLost(Disconnect::Lost(reason));
                    }
                    stall.as_mut().reset(limit);
                }
                () = &mut silence, if may_read => {
                    let limit = extended(last_read + self.silence_max, &silence);
                    if now() >= limit {
                        let after = self.silence_max;
                        return ServeEnd::ConnectionLost(Disconnect::Silent { after });
                    }
                    // The timer is moved here and not with each message, which would cost too much.
                    silence.as_mut().reset(limit);
                }
            }
        }
    }

    /// Tries to reconnect until it succeeds. Returns `None` if the client was dropped, or
    /// reconnecting is off or cannot help.
    async fn reconnect(&mut self, mut reason: Disconnect) -> Option<Connection<C::Stream>> {
        loop {
            let requested = match &reason {
                Disconnect::Closed { reason, .. } => requested_delay(reason),
                _ => None,
            };
            let backoff = self.backoff.as_mut().filter(|_| !reason.is_final());
            let retry_in = backoff.map(|backoff| backoff.next_delay(requested, rand::random()));
            self.undelivered.push(Event::Disconnected { reason, retry_in });
            self.pause(retry_in).await?;
            tokio::select! {
                connected = self.connector.connect() => match connected {
                    Ok(connection) => return Some(connection),
                    Err(error) => reason = Disconnect::Refused(error),
                },
                () = self.events.closed() => return None,
            }
        }
    }

    /// Handles requests and delivers events until the delay is over and all events are delivered. A
    /// delay of `None` means that no attempt follows. Returns `None` in that case, and if the
    /// client was dropped.
    async fn pause(&mut self, delay: Option<Duration>) -> Option<()> {
        let wake = tokio::time::sleep(delay.unwrap_or_default());
        tokio::pin!(wake);
        while !(wake.is_elapsed() && self.undelivered.is_empty()) {
            tokio::select! {
                request = self.requests.recv() => {
                    self.session.on_request(&request?);
                }
                room = self.events.reserve(), if !self.undelivered.is_empty() => {
                    room.ok()?.send(std::mem::take(&mut self.undelivered));
                }
                () = &mut wake, if !wake.is_elapsed() => {}
            }
        }
        delay.map(drop)
    }
}

/// Passes a message to the session. Breaks with the reason if the connection has ended.
fn handle_message(
    session: &mut Session,
    message: Option<Result<Message, tungstenite::Error>>,
    events: &mut Vec<Event>,
) -> ControlFlow<Disconnect> {
    let closed = |code, reason| ControlFlow::Break(Disconnect::Closed { code, reason });
    let (bytes, encoding) = match message {
        Some(Ok(Message::Binary(bytes))) => (bytes, Encoding::MsgpackArray),
        Some(Ok(Message::Text(text))) => (text.into(), Encoding::Json),
        // The library answers pings with the next read.
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
            return ControlFlow::Continue(());
        }
        Some(Ok(Message::Close(Some(frame)))) => {
            return closed(Some(frame.code.into()), frame.reason.to_string());
        }
        Some(Ok(Message::Close(None))) | None => return closed(None, String::new()),
        Some(Err(error)) => return ControlFlow::Break(Disconnect::Lost(error.to_string())),
    };
    match session.on_message(&bytes, encoding, events) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(Disconnect::Malformed(error)),
    }
}

/// Closes a connection with a close frame, and drops it if the hub does not answer in time.
async fn close<S>(mut socket: WebSocketStream<S>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let closing = async {
        if socket.close(None).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    // The connection ends in either case.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
}

#[cfg(test)]
mod tests;
