//! The task behind a client: moves bytes between socket and session, and waits.

mod outgoing;

use std::ops::ControlFlow;
use std::time::Duration;

use futures_util::StreamExt;
use tickwire_protocol::{Encoding, requested_delay};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};

use self::outgoing::{Moved, Outgoing};
use crate::connect::{Connector, Opened};
use crate::session::{Request, Session};
use crate::{Backoff, Disconnect, Event};

/// How long commands may stand still while the hub says nothing.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// How long the hub may take to answer the goodbye.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);

/// The task behind a client.
///
/// It ends when the client has been dropped: then `requests` is closed.
#[derive(Debug)]
pub(crate) struct Driver<C> {
    pub(crate) connector: C,
    pub(crate) session: Session,
    /// Reconnecting is off without one.
    pub(crate) backoff: Option<Backoff>,
    /// A connection this quiet is dead.
    pub(crate) silence_max: Duration,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) events: mpsc::Sender<Vec<Event>>,
    /// Events the application has no room for. While there are any, the socket is not read: that is
    /// what pushes back on the hub.
    pub(crate) undelivered: Vec<Event>,
}

/// Why serving a connection ended.
enum Served {
    /// The client was dropped.
    ByApplication,
    Lost(Disconnect),
}

type Socket<C> = WebSocketStream<<C as Connector>::Stream>;

#[expect(clippy::disallowed_methods, reason = "the driver is where the clock is read")]
fn now() -> Instant {
    Instant::now()
}

impl<C: Connector> Driver<C> {
    /// Serves a connection and those that follow it.
    pub(crate) async fn run(mut self, mut opened: Opened<C::Stream>) {
        loop {
            let (Opened { mut socket, said }, began) = (opened, now());
            let served = self.serve(&mut socket, said).await;
            self.session.closed();
            let reason = match served {
                Served::ByApplication => return goodbye(socket).await,
                Served::Lost(reason) => reason,
            };
            drop(socket);
            if let Some(backoff) = &mut self.backoff {
                backoff.on_connection_lost(now() - began);
            }
            match self.reconnect(reason).await {
                Some(next) => opened = next,
                None => return,
            }
        }
    }

    /// Moves bytes until the connection ends or the client is dropped.
    async fn serve(&mut self, socket: &mut Socket<C>, said: Vec<Message>) -> Served {
        let mut outgoing = Outgoing::new(self.session.opened());
        for message in said {
            if let ControlFlow::Break(lost) =
                take(&mut self.session, Some(Ok(message)), &mut self.undelivered)
            {
                return Served::Lost(lost);
            }
        }
        let (mut heard, mut progressed) = (now(), now());
        let silence = tokio::time::sleep_until(heard + self.silence_max);
        let standstill = tokio::time::sleep_until(progressed + WRITE_WITHIN);
        tokio::pin!(silence, standstill);
        loop {
            let listening = self.undelivered.is_empty();
            tokio::select! {
                // After a pause of the whole process there are both messages and a silence.
                biased;
                request = self.requests.recv(), if outgoing.is_empty() && self.session.has_room() => {
                    let Some(request) = request else { return Served::ByApplication };
                    outgoing = Outgoing::new(self.session.request(&request));
                    progressed = now();
                }
                // Requests wait for the commands before them, the end of the client does not.
                () = self.events.closed(), if !outgoing.is_empty() => return Served::ByApplication,
                room = self.events.reserve(), if !listening => {
                    let Ok(room) = room else { return Served::ByApplication };
                    room.send(std::mem::take(&mut self.undelivered));
                    // Nobody listened meanwhile, so the hub was not silent.
                    heard = now();
                }
                moved = outgoing.exchange(socket, listening), if listening || !outgoing.is_empty() => match moved {
                    Moved::Out(Ok(())) => progressed = now(),
                    Moved::Out(Err(error)) => return Served::Lost(Disconnect::Lost(error.to_string())),
                    Moved::In(message) => {
                        heard = now();
                        if let ControlFlow::Break(lost) = take(&mut self.session, message, &mut self.undelivered) {
                            return Served::Lost(lost);
                        }
                    }
                },
                () = &mut standstill, if listening && !outgoing.is_empty() => {
                    // A hub whose answers come will take the commands behind them, too.
                    let limit = progressed.max(heard) + WRITE_WITHIN;
                    if now() >= limit {
                        return Served::Lost(Disconnect::Lost("the hub does not take commands".to_owned()));
                    }
                    standstill.as_mut().reset(limit);
                }
                () = &mut silence, if listening => {
                    if now() >= heard + self.silence_max {
                        return Served::Lost(Disconnect::Silent { after: self.silence_max });
                    }
                    // Moved here rather than with each message: a message must not cost a timer.
                    silence.as_mut().reset(heard + self.silence_max);
                }
            }
        }
    }

    /// Tries until there is a connection again; `None` if the client was dropped, or does not want one.
    async fn reconnect(&mut self, mut reason: Disconnect) -> Option<Opened<C::Stream>> {
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
                    Ok(opened) => return Some(opened),
                    Err(error) => reason = Disconnect::Refused(error),
                },
                () = self.events.closed() => return None,
            }
        }
    }

    /// Takes requests and delivers events until the delay is over and all are delivered; `None` if the
    /// client was dropped or there is no next attempt.
    async fn pause(&mut self, delay: Option<Duration>) -> Option<()> {
        let wake = tokio::time::sleep(delay.unwrap_or_default());
        tokio::pin!(wake);
        while !(wake.is_elapsed() && self.undelivered.is_empty()) {
            tokio::select! {
                request = self.requests.recv() => {
                    self.session.request(&request?);
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

/// Takes what the socket gave; breaks with the reason if the connection has ended.
fn take(
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
    match session.message(&bytes, encoding, events) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(Disconnect::Malformed(error)),
    }
}

/// Closes properly; a hub that does not answer is left.
async fn goodbye<S>(mut socket: WebSocketStream<S>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let polite = async {
        if socket.close(None).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    // Both ways of ending are the end.
    let _ = tokio::time::timeout(GOODBYE_WITHIN, polite).await;
}

#[cfg(test)]
mod tests;
