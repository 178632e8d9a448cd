//! Making a connection.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use rustls::ClientConfig;
use tickwire_protocol::{Control, Element, Encoding, Feed, decode_message};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message, handshake::client::Request};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::{ConnectError, HubUrl, Token, TokenError};

/// Largest message taken. Data messages are far smaller; acknowledgements name what they are for.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// One data message of the hub.
const READ_BUFFER_BYTES: usize = 64 << 10;

/// Messages before the hub has said what it thinks of a key, at the most.
const MESSAGES_BEFORE_LOGIN_MAX: usize = 8;

/// A connection on which the hub may have said something already.
#[derive(Debug)]
pub(crate) struct Opened<S> {
    pub(crate) socket: WebSocketStream<S>,
    /// Messages that were read and not taken yet.
    pub(crate) said: Vec<Message>,
}

/// Makes connections; tests make them without a network.
pub(crate) trait Connector: Send + 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn connect(&self) -> impl Future<Output = Result<Opened<Self::Stream>, ConnectError>> + Send;
}

/// Connects to a hub over TCP.
#[derive(Debug)]
pub(crate) struct Tcp {
    pub(crate) hub: HubUrl,
    pub(crate) feed: Feed,
    pub(crate) encoding: Encoding,
    pub(crate) token: Option<Token>,
    /// Whom TLS trusts, if not the system's authorities.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// For all of it: name, connection, handshake.
    pub(crate) within: Duration,
}

impl Connector for Tcp {
    type Stream = MaybeTlsStream<TcpStream>;

    async fn connect(&self) -> Result<Opened<Self::Stream>, ConnectError> {
        let (hub, within) = (self.hub.socket_address(), self.within);
        tokio::time::timeout(within, self.attempt())
            .await
            .unwrap_or(Err(ConnectError::TimedOut { hub, within }))
    }
}

impl Tcp {
    async fn attempt(&self) -> Result<Opened<MaybeTlsStream<TcpStream>>, ConnectError> {
        let hub = self.hub.socket_address();
        let unreachable = |source| ConnectError::Unreachable { hub: hub.clone(), source };
        let stream = TcpStream::connect(&hub).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let uri = self.hub.ws_url(&self.feed);
        let trust = self.tls.clone().map(tokio_tungstenite::Connector::Rustls);
        let upgrading = handshake(stream, &uri, &hub, self.encoding, self.token.as_ref(), trust);
        let socket = Box::pin(upgrading).await?; // it is large
        match &self.token {
            Some(_) => logged_in(socket, &hub).await,
            None => Ok(Opened { socket, said: Vec::new() }),
        }
    }
}

/// Waits until the hub has taken the key that the handshake showed, or has not.
async fn logged_in<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: WebSocketStream<S>,
    hub: &str,
) -> Result<Opened<S>, ConnectError> {
    let no_hub = |problem: &str| ConnectError::NotAHub {
        hub: hub.to_owned(),
        problem: format!("{problem} in place of an answer to the key"),
    };
    let mut said = Vec::new();
    while said.len() < MESSAGES_BEFORE_LOGIN_MAX {
        let message = socket.next().await.ok_or_else(|| no_hub("it ended the connection"))?;
        let message = message.map_err(|error| refusal(hub, error))?;
        let elements = match &message {
            Message::Binary(bytes) => decode_message(bytes, Encoding::MsgpackArray),
            Message::Text(text) => decode_message(text.as_bytes(), Encoding::Json),
            Message::Close(_) => return Err(no_hub("it closed the connection")),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
        };
        let elements = elements.map_err(|error| no_hub(&error.to_string()))?;
        said.push(message);
        for element in elements {
            match element {
                Element::Control(Control::Authenticated) => return Ok(Opened { socket, said }),
                Element::Control(Control::Error { code, detail, .. }) => {
                    return Err(ConnectError::KeyRefused { hub: hub.to_owned(), code, detail });
                }
                Element::Control(_) | Element::Tick(_) => {}
            }
        }
    }
    Err(no_hub("it sent other messages"))
}

/// Upgrades a stream, behind a handshake of TLS if the address says so.
pub(crate) async fn handshake<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    uri: &str,
    hub: &str,
    encoding: Encoding,
    token: Option<&Token>,
    trust: Option<tokio_tungstenite::Connector>,
) -> Result<WebSocketStream<MaybeTlsStream<S>>, ConnectError> {
    let mut request = request(uri, encoding).map_err(|error| refusal(hub, error))?;
    if let Some(token) = token {
        let mut value = HeaderValue::from_str(&token.authorization()).map_err(|_| TokenError)?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    tokio_tungstenite::client_async_tls_with_config(request, stream, Some(config), trust)
        .await
        .map(|(socket, _)| socket)
        .map_err(|error| refusal(hub, error))
}

fn request(uri: &str, encoding: Encoding) -> Result<Request, tungstenite::Error> {
    let mut request = uri.into_client_request()?;
    if let Some(protocol) = encoding.subprotocol() {
        let protocol = HeaderValue::from_static(protocol);
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(request)
}

/// The first line of an answer that people may read, and no more of it than that.
pub(crate) fn first_line(body: &[u8]) -> String {
    const CHARS_MAX: usize = 200;
    let text = String::from_utf8_lossy(body);
    let line = text.lines().next().unwrap_or_default().trim();
    let is_markup = line.starts_with('<');
    line.chars().take_while(|c| !is_markup && !c.is_control()).take(CHARS_MAX).collect()
}

fn refusal(hub: &str, error: tungstenite::Error) -> ConnectError {
    let hub = hub.to_owned();
    match error {
        tungstenite::Error::Http(response) => {
            let said = first_line(response.body().as_deref().unwrap_or_default());
            ConnectError::Refused { hub, status: response.status().as_u16(), said }
        }
        tungstenite::Error::Io(source) => ConnectError::Unreachable { hub, source },
        other => ConnectError::NotAHub { hub, problem: other.to_string() },
    }
}
