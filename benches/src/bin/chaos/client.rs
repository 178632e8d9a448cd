//! The clients: sockets and waiting around a [`Follower`].

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tickwire_protocol::Encoding;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes, protocol::CloseFrame};

use crate::follower::Follower;
use crate::heard;
use crate::random::Random;
use crate::world::{Violation, World};

/// A handshake that takes longer is given up.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// One client and what it needs.
pub(crate) struct Client {
    pub(crate) follower: Rc<RefCell<Follower>>,
    pub(crate) world: Rc<RefCell<World>>,
    pub(crate) proxy: SocketAddr,
    pub(crate) encoding: Encoding,
    pub(crate) random: Random,
}

/// How a connection ended.
enum End {
    /// Cut, refused, or the hub died.
    Cut,
    /// The hub said goodbye, and when to come back.
    Drained(Duration),
}

impl Client {
    /// Connects again and again, for ever.
    pub(crate) async fn run(mut self) {
        loop {
            let wait = match self.connection().await {
                Ok(End::Drained(retry)) => retry + self.jitter(1_000),
                Ok(End::Cut) | Err(_) => self.pause(),
            };
            sleep(wait).await;
        }
    }

    fn jitter(&mut self, most_ms: u64) -> Duration {
        Duration::from_millis(self.random.within(0, most_ms))
    }

    /// It comes back at once, soon, or after it has been away for long.
    fn pause(&mut self) -> Duration {
        match self.random.within(0, 10) {
            0..3 => Duration::ZERO,
            3..9 => self.jitter(500),
            _ => self.jitter(8_000),
        }
    }

    async fn connection(&self) -> Result<End, Error> {
        self.follower.borrow_mut().begin();
        let opened = timeout(CONNECT_WITHIN, open(self.proxy, self.encoding)).await;
        let mut socket = match opened {
            Ok(socket) => socket?,
            Err(_elapsed) => return Ok(End::Cut),
        };
        while let Some(message) = socket.next().await {
            let bytes = match &message? {
                Message::Text(text) => self.take(text.as_bytes()),
                Message::Binary(bytes) => self.take(bytes),
                Message::Close(frame) => return Ok(self.closed(frame.as_ref())),
                _ => continue,
            };
            if let Some(command) = bytes {
                socket.send(Message::Text(Utf8Bytes::from(command))).await?;
            }
        }
        Ok(End::Cut)
    }

    /// Takes a message; the command to send, if this is the time.
    fn take(&self, message: &[u8]) -> Option<String> {
        let (mut follower, mut world) = (self.follower.borrow_mut(), self.world.borrow_mut());
        match heard::read(message, self.encoding) {
            Ok(heard) => follower.hear(&mut world, heard),
            Err(error) => {
                let problem = format!("a message that cannot be read: {error}");
                world.violated(&follower.who, Violation::Protocol(problem));
            }
        }
        follower.command()
    }

    /// The hub closed the session: only because it goes away.
    fn closed(&self, frame: Option<&CloseFrame>) -> End {
        let told = frame.map_or((0, ""), |frame| (u16::from(frame.code), frame.reason.as_str()));
        if let (1001, reason) = told
            && let Some(retry) = retry_after(reason)
        {
            return End::Drained(retry);
        }
        let problem = format!("closed with {told:?}, expected 1001 with retry_ms");
        let who = self.follower.borrow().who.clone();
        self.world.borrow_mut().violated(&who, Violation::Protocol(problem));
        End::Cut
    }
}

/// How long a drained hub says to wait.
fn retry_after(reason: &str) -> Option<Duration> {
    let mut tokens = reason.strip_prefix("shutdown")?.split_whitespace();
    let retry = tokens.find_map(|token| token.strip_prefix("retry_ms="))?;
    retry.parse().ok().map(Duration::from_millis)
}

/// Opens a session.
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
    fn the_time_to_wait_is_read_from_the_reason() {
        assert_eq!(retry_after("shutdown retry_ms=2500"), Some(Duration::from_millis(2_500)));
        assert_eq!(retry_after("shutdown x=1 retry_ms=1"), Some(Duration::from_millis(1)));
        assert_eq!(retry_after("shutdown"), None);
        assert_eq!(retry_after("slow_client retry_ms=3"), None);
    }
}
