//! A WebSocket client around the checks of a [`Subscriber`]: connects, reads, and waits before it
//! reconnects.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tickwire_protocol::{Encoding, requested_delay};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes, protocol::CloseFrame};

use crate::checker::{Checker, Violation};
use crate::random::Random;
use crate::received;
use crate::subscriber::Subscriber;

/// Time limit of a handshake.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// One client, which connects through the proxy until it is dropped.
pub(crate) struct Client {
    pub(crate) subscriber: Rc<RefCell<Subscriber>>,
    pub(crate) checker: Rc<RefCell<Checker>>,
    pub(crate) proxy: SocketAddr,
    pub(crate) encoding: Encoding,
    pub(crate) random: Random,
}

/// How a connection ended.
enum End {
    /// The connection was cut or refused, or the hub was killed.
    Cut,
    /// The hub drained and requested this delay before a reconnect.
    Drained(Duration),
}

impl Client {
    /// Connects, and reconnects whenever a connection ends, until it is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            let wait = match self.connection().await {
                Ok(End::Drained(delay)) => delay + self.jitter(1_000),
                Ok(End::Cut) | Err(_) => self.reconnect_delay(),
            };
            sleep(wait).await;
        }
    }

    fn jitter(&mut self, most_ms: u64) -> Duration {
        Duration::from_millis(self.random.within(0, most_ms))
    }

    /// Returns the time before a reconnect: none, short or long.
    fn reconnect_delay(&mut self) -> Duration {
        match self.random.within(0, 10) {
            0..3 => Duration::ZERO,
            3..9 => self.jitter(500),
            _ => self.jitter(8_000),
        }
    }

    async fn connection(&self) -> Result<End, Error> {
        self.subscriber.borrow_mut().begin();
        let opened = timeout(CONNECT_WITHIN, open(self.proxy, self.encoding)).await;
        let mut socket = match opened {
            Ok(socket) => socket?,
            Err(_elapsed) => return Ok(End::Cut),
        };
        while let Some(message) = socket.next().await {
            let bytes = match &message? {
                Message::Text(text) => self.on_message(text.as_bytes()),
                Message::Binary(bytes) => self.on_message(bytes),
                Message::Close(frame) => return Ok(self.closed(frame.as_ref())),
                _ => continue,
            };
            if let Some(command) = bytes {
                socket.send(Message::Text(Utf8Bytes::from(command))).await?;
            }
        }
        Ok(End::Cut)
    }

    /// Checks a message and returns the command to send, if one is due.
    fn on_message(&self, message: &[u8]) -> Option<String> {
        let mut subscriber = self.subscriber.borrow_mut();
        let mut checker = self.checker.borrow_mut();
        match received::read(message, self.encoding) {
            Ok(received) => subscriber.on_message(&mut checker, received),
            Err(error) => {
                let problem = format!("invalid message: {error}");
                checker.violated(&subscriber.name, Violation::Protocol(problem));
            }
        }
        subscriber.command()
    }

    /// Handles a close frame. The hub closes sessions only while it drains, and those that lag.
    fn closed(&self, frame: Option<&CloseFrame>) -> End {
        let close = frame.map_or((0, ""), |frame| (u16::from(frame.code), frame.reason.as_str()));
        if let (1001, reason) = close
            && let Some(delay) = drain_delay(reason)
        {
            return End::Drained(delay);
        }
        if close == (1008, "slow_client") && self.subscriber.borrow().is_slow() {
            return End::Cut;
        }
        let problem =
            format!("closed with {close:?}, expected 1001 with retry_ms, or 1008 after error 407");
        let name = self.subscriber.borrow().name.clone();
        self.checker.borrow_mut().violated(&name, Violation::Protocol(problem));
        End::Cut
    }
}

/// Returns the delay that a draining hub requests in its close reason.
fn drain_delay(reason: &str) -> Option<Duration> {
    requested_delay(reason).filter(|_| reason.starts_with("shutdown "))
}

/// Opens a WebSocket session of the hub at `address`.
pub(crate) async fn open(
    address: SocketAddr,
    encoding: Encoding,
) -> Result<WebSocketStream<TcpStream>, Error> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut request = format!("ws://{address}/ws").into_client_request()?;
    if let Some(protocol) = encoding.subprotocol() {
        let protocol = HeaderValue::from_static(protocol);
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_shutdown_requests_a_delay() {
        assert_eq!(drain_delay("shutdown retry_ms=2500"), Some(Duration::from_millis(2_500)));
        assert_eq!(drain_delay("shutdown x=1 retry_ms=1"), Some(Duration::from_millis(1)));
        assert_eq!(drain_delay("shutdown"), None);
        assert_eq!(drain_delay("slow_client retry_ms=3"), None);
    }
}
