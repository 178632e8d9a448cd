//! Connections to the hub, of honest clients and of those that attack.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use socket2::SockRef;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Number of connections that are being opened at the same time: more would exceed the queue of a
/// listening socket, and the kernel repeats a dropped SYN after a second.
const CONNECTING_MAX: usize = 64;
/// Size of the read buffer of a session, in bytes. There are thousands of them.
const READ_BYTES: usize = 8 << 10;

/// A client's way to the hub.
pub(crate) struct Peer {
    hub: SocketAddr,
    /// The address that the client has.
    address: IpAddr,
    /// The key of the client, as `ID:SECRET`.
    token: String,
    connecting: Semaphore,
    /// Number of connections that were opened.
    pub(crate) opened: AtomicU64,
}

impl Peer {
    pub(crate) const fn new(hub: SocketAddr, address: IpAddr, token: String) -> Self {
        let connecting = Semaphore::const_new(CONNECTING_MAX);
        Self { hub, address, token, connecting, opened: AtomicU64::new(0) }
    }

    pub(crate) const fn hub(&self) -> SocketAddr {
        self.hub
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Opens a connection. Its end is a reset, which leaves no port in TIME_WAIT.
    ///
    /// # Errors
    /// The hub does not accept the connection.
    pub(crate) async fn connect(&self) -> Result<TcpStream> {
        let _turn = self.connecting.acquire().await?;
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(self.address, 0))?;
        let stream = socket.connect(self.hub).await?;
        stream.set_nodelay(true)?;
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        self.opened.fetch_add(1, Relaxed);
        Ok(stream)
    }

    /// Opens a WebSocket.
    ///
    /// # Errors
    /// The hub refuses it.
    pub(crate) async fn session(&self, path: &str) -> Result<Session> {
        let mut request = format!("ws://{}{path}", self.hub).into_client_request()?;
        request.headers_mut().insert("Authorization", format!("Bearer {}", self.token).parse()?);
        let limits = WebSocketConfig::default().read_buffer_size(READ_BYTES);
        let stream = self.connect().await?;
        let opening = client_async_with_config(request, stream, Some(limits));
        let (socket, _response) = Box::pin(opening).await?;
        Ok(Session(socket))
    }

    /// Returns the text of a GET request. `connection` is `close` or `keep-alive`.
    pub(crate) fn get(&self, path: &str, connection: &str) -> String {
        let hub = self.hub;
        let token = &self.token;
        format!(
            "GET {path} HTTP/1.1\r\nHost: {hub}\r\nConnection: {connection}\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        )
    }

    /// Publishes ticks, given as a JSON array.
    ///
    /// # Errors
    /// The hub does not accept all of them.
    pub(crate) async fn publish(&self, ticks: &[u8]) -> Result<()> {
        let hub = self.hub;
        let token = &self.token;
        let bytes = ticks.len();
        let head = format!(
            "POST /publish HTTP/1.1\r\nHost: {hub}\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\nContent-Length: {bytes}\r\n\r\n"
        );
        let request = [head.as_bytes(), ticks].concat();
        let status = exchange(&mut BufReader::new(self.connect().await?), &request).await?;
        ensure!(status == 200, "POST /publish: {status}");
        Ok(())
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("hub", &self.hub).finish_non_exhaustive()
    }
}

/// Sends a request, reads the whole response and returns its status.
///
/// # Errors
/// The connection ends, or the response has no length.
pub(crate) async fn exchange(stream: &mut BufReader<TcpStream>, request: &[u8]) -> Result<u16> {
    stream.write_all(request).await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let status = line.split(' ').nth(1).context("the connection ended")?.parse()?;
    let mut length = 0;
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse()?;
            }
            Some((name, _)) if name.eq_ignore_ascii_case("transfer-encoding") => {
                bail!("a response without a length");
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = stream.take(length);
    tokio::io::copy(&mut body, &mut tokio::io::sink()).await?;
    Ok(status)
}

/// A WebSocket session with JSON messages.
#[derive(Debug)]
pub(crate) struct Session(WebSocketStream<TcpStream>);

impl Session {
    pub(crate) async fn send(&mut self, command: String) -> Result<()> {
        Ok(self.0.send(Message::text(command)).await?)
    }

    /// Sends bytes that need not be whole frames.
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.0.get_mut().write_all(bytes).await?)
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// The session ends.
    pub(crate) async fn next(&mut self) -> Result<Utf8Bytes> {
        loop {
            match self.0.next().await.context("the connection ended")?? {
                Message::Text(text) => return Ok(text),
                Message::Close(_) => bail!("the hub closed the session"),
                _ => {}
            }
        }
    }

    /// Skips messages up to the first that contains a text.
    ///
    /// # Errors
    /// The session ends.
    pub(crate) async fn until(&mut self, text: &str) -> Result<Utf8Bytes> {
        loop {
            let message = self.next().await?;
            if message.contains(text) {
                return Ok(message);
            }
        }
    }

    /// Waits for the answer to a command. Returns whether the hub accepted the command.
    ///
    /// # Errors
    /// The session ends.
    pub(crate) async fn answer(&mut self, id: u64) -> Result<bool> {
        loop {
            let message = self.next().await?;
            // Control elements stand alone in their message. Ticks are not parsed.
            let is_answer = ["[{\"T\":\"subscription\"", "[{\"T\":\"error\""]
                .into_iter()
                .any(|start| message.starts_with(start));
            if is_answer {
                let elements: Value = serde_json::from_str(&message)?;
                if elements[0]["id"] == id {
                    return Ok(elements[0]["T"] == "subscription");
                }
            }
        }
    }
}
