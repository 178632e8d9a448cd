//! Making a connection.

use std::future::Future;
use std::time::Duration;

use tickwire_protocol::{Encoding, Feed};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, handshake::client::Request};

use crate::{ConnectError, HubUrl};

/// Largest message taken. Data messages are far smaller; acknowledgements name what they are for.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// One data message of the hub.
const READ_BUFFER_BYTES: usize = 64 << 10;

/// Makes connections; tests make them without a network.
pub(crate) trait Connector: Send + 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn connect(
        &self,
    ) -> impl Future<Output = Result<WebSocketStream<Self::Stream>, ConnectError>> + Send;
}

/// Connects to a hub over TCP.
#[derive(Debug)]
pub(crate) struct Tcp {
    pub(crate) hub: HubUrl,
    pub(crate) feed: Feed,
    pub(crate) encoding: Encoding,
    /// For all of it: name, connection, handshake.
    pub(crate) within: Duration,
}

impl Connector for Tcp {
    type Stream = TcpStream;

    async fn connect(&self) -> Result<WebSocketStream<TcpStream>, ConnectError> {
        let (hub, within) = (self.hub.address(), self.within);
        tokio::time::timeout(within, self.attempt())
            .await
            .unwrap_or(Err(ConnectError::TimedOut { hub, within }))
    }
}

impl Tcp {
    async fn attempt(&self) -> Result<WebSocketStream<TcpStream>, ConnectError> {
        let hub = self.hub.address();
        let unreachable = |source| ConnectError::Unreachable { hub: hub.clone(), source };
        let stream = TcpStream::connect(&hub).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let uri = format!("ws://{hub}{}", self.hub.ws_path(&self.feed));
        handshake(stream, &uri, &hub, self.encoding).await
    }
}

/// Upgrades a stream.
pub(crate) async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    uri: &str,
    hub: &str,
    encoding: Encoding,
) -> Result<WebSocketStream<S>, ConnectError> {
    let request = request(uri, encoding).map_err(|error| refusal(hub, error))?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    tokio_tungstenite::client_async_with_config(request, stream, Some(config))
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

fn refusal(hub: &str, error: tungstenite::Error) -> ConnectError {
    let hub = hub.to_owned();
    match error {
        tungstenite::Error::Http(response) => {
            ConnectError::Refused { hub, status: response.status().as_u16() }
        }
        tungstenite::Error::Io(source) => ConnectError::Unreachable { hub, source },
        other => ConnectError::NotAHub { hub, problem: other.to_string() },
    }
}
