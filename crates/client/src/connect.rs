//! Connecting to a hub.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use rustls::ClientConfig;
use tickwire_protocol::{Control, Element, Encoding, Feed, HubUrl, Printable, decode_message};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message, handshake::client::Request};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::{ConnectError, Token, TokenError};

/// The largest message to accept, in bytes. Data messages are far smaller; the largest message is
/// the answer to a subscribe, which lists its names.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// Size of the read buffer: one data message of the hub.
const READ_BUFFER_BYTES: usize = 64 << 10;

/// The most messages to read while waiting for the hub's answer to the key.
const MESSAGES_BEFORE_AUTH_MAX: usize = 8;

/// An open connection, and the messages that were received while it was opened.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    pub(crate) socket: WebSocketStream<S>,
    /// Messages that were read but not handled yet.
    pub(crate) received: Vec<Message>,
}

/// Opens connections. Tests open them without a network.
pub(crate) trait Connector: Send + 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn connect(
        &self,
    ) -> impl Future<Output = Result<Connection<Self::Stream>, ConnectError>> + Send;
}

/// Connects to a hub over TCP, with TLS if its address says so.
#[derive(Debug)]
pub(crate) struct TcpConnector {
    pub(crate) hub: HubUrl,
    pub(crate) feed: Feed,
    pub(crate) encoding: Encoding,
    pub(crate) token: Option<Token>,
    /// TLS settings; `None` trusts the system's certificate authorities.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// Time limit of one attempt: name resolution, connection, handshakes and authentication
    /// together.
    pub(crate) timeout: Duration,
}

impl Connector for TcpConnector {
    type Stream = MaybeTlsStream<TcpStream>;

    async fn connect(&self) -> Result<Connection<Self::Stream>, ConnectError> {
        let hub = self.hub.socket_address();
        let timeout = self.timeout;
        tokio::time::timeout(timeout, self.attempt())
            .await
            .unwrap_or(Err(ConnectError::TimedOut { hub, timeout }))
    }
}

impl TcpConnector {
    async fn attempt(&self) -> Result<Connection<MaybeTlsStream<TcpStream>>, ConnectError> {
        let hub = self.hub.socket_address();
        let unreachable = |source| ConnectError::Unreachable { hub: hub.clone(), source };
        let stream = TcpStream::connect(&hub).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let url = self.hub.ws_url(&self.feed);
        let tls = self.tls.clone().map(tokio_tungstenite::Connector::Rustls);
        let upgrading = handshake(stream, &url, &hub, self.encoding, self.token.as_ref(), tls);
        let socket = Box::pin(upgrading).await?; // the future is large
        match &self.token {
            Some(_) => await_authentication(socket, &hub).await,
            None => Ok(Connection { socket, received: Vec::new() }),
        }
    }
}

/// Reads until the hub accepts or refuses the key that the handshake contained.
async fn await_authentication<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: WebSocketStream<S>,
    hub: &str,
) -> Result<Connection<S>, ConnectError> {
    let not_a_hub = |problem: &str| ConnectError::NotAHub {
        hub: hub.to_owned(),
        problem: format!("{problem} instead of answering to the key"),
    };
    let mut received = Vec::new();
    while received.len() < MESSAGES_BEFORE_AUTH_MAX {
        let message = socket.next().await.ok_or_else(|| not_a_hub("it ended the connection"))?;
        let message = message.map_err(|error| refusal(hub, error))?;
        let elements = match &message {
            Message::Binary(bytes) => decode_message(bytes, Encoding::MsgpackArray),
            Message::Text(text) => decode_message(text.as_bytes(), Encoding::Json),
            Message::Close(_) => return Err(not_a_hub("it closed the connection")),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
        };
        let elements = elements.map_err(|error| not_a_hub(&format!("it sent {error}")))?;
        received.push(message);
        for element in elements {
            match element {
                Element::Control(Control::Authenticated) => {
                    return Ok(Connection { socket, received });
                }
                Element::Control(Control::Error { code, detail, .. }) => {
                    return Err(ConnectError::KeyRefused { hub: hub.to_owned(), code, detail });
                }
                Element::Control(_) | Element::Tick(_) => {}
            }
        }
    }
    Err(not_a_hub("it sent other messages"))
}

/// Opens a WebSocket over a stream, after a TLS handshake if the URL says so.
pub(crate) async fn handshake<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    url: &str,
    hub: &str,
    encoding: Encoding,
    token: Option<&Token>,
    tls: Option<tokio_tungstenite::Connector>,
) -> Result<WebSocketStream<MaybeTlsStream<S>>, ConnectError> {
    let mut request = request(url, encoding).map_err(|error| refusal(hub, error))?;
    if let Some(token) = token {
        let mut value = HeaderValue::from_str(&token.authorization()).map_err(|_| TokenError)?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    tokio_tungstenite::client_async_tls_with_config(request, stream, Some(config), tls)
        .await
        .map(|(socket, _)| socket)
        .map_err(|error| refusal(hub, error))
}

fn request(url: &str, encoding: Encoding) -> Result<Request, tungstenite::Error> {
    let mut request = url.into_client_request()?;
    if let Some(protocol) = encoding.subprotocol() {
        let protocol = HeaderValue::from_static(protocol);
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(request)
}

/// Returns the first line of a response's body, printable and shortened for an error message.
/// Returns an empty string if the body is markup, such as HTML.
pub(crate) fn first_line(body: &[u8]) -> String {
    const CHARS_MAX: usize = 200;
    let text = String::from_utf8_lossy(body);
    let line = text.lines().next().unwrap_or_default().trim();
    if line.starts_with('<') { String::new() } else { Printable(line).cut(CHARS_MAX).to_string() }
}

fn refusal(hub: &str, error: tungstenite::Error) -> ConnectError {
    let hub = hub.to_owned();
    match error {
        tungstenite::Error::Http(response) => {
            let message = first_line(response.body().as_deref().unwrap_or_default());
            ConnectError::Refused { hub, status: response.status().as_u16(), message }
        }
        tungstenite::Error::Io(source) => ConnectError::Unreachable { hub, source },
        other => ConnectError::NotAHub { hub, problem: other.to_string() },
    }
}
