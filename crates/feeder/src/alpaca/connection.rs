//! One connection to an upstream.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tickwire_protocol::{Printable, requested_delay};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use super::AlpacaConfig;
use super::retry::End;
use super::session::Outbound;
use crate::publisher::epoch;
use crate::tls::describe_error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time after which an upstream that accepts no data counts as dead.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum number of bytes of a message. Data messages stay below 1 MiB, but an ack that lists all
/// symbols of a market is larger.
const INCOMING_BYTES_MAX: usize = 16 * 1024 * 1024;
const READ_BUFFER_BYTES: usize = 64 * 1024;
/// Maximum number of characters of an upstream's error text or close reason that are logged.
const SAID_CHARS_MAX: usize = 120;

#[derive(Debug)]
pub(super) struct Connection {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Epoch of the upstream, if it is a Tickwire hub.
    pub(super) epoch: Option<String>,
}

impl Connection {
    pub(super) async fn open(config: &AlpacaConfig) -> Result<Self, End> {
        let mut request = config.url.to_string().into_client_request().map_err(lost)?;
        let headers = request.headers_mut();
        let msgpack = HeaderValue::from_static("application/msgpack");
        headers.insert(header::CONTENT_TYPE, msgpack);
        let agent = HeaderValue::from_static(concat!("tickwire/", env!("CARGO_PKG_VERSION")));
        headers.insert(header::USER_AGENT, agent);
        let limits = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(INCOMING_BYTES_MAX))
            .max_frame_size(Some(INCOMING_BYTES_MAX));
        let trust = config.authorities.as_ref().map(crate::Authorities::connector);
        let connecting = connect_async_tls_with_config(request, Some(limits), true, trust);
        match timeout(CONNECT_TIMEOUT, Box::pin(connecting)).await {
            Ok(Ok((socket, response))) => Ok(Self { socket, epoch: epoch(&response) }),
            Ok(Err(error)) => Err(refused(error)),
            Err(_) => {
                let seconds = CONNECT_TIMEOUT.as_secs();
                Err(End::Lost(format!("no connection within {seconds} s")))
            }
        }
    }

    /// Returns the next message. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Message, End> {
        match self.socket.next().await {
            None => Err(End::Lost("the upstream cut the connection".to_owned())),
            Some(Err(error)) => Err(lost(error)),
            Some(Ok(Message::Close(Some(frame)))) => {
                let reason = Printable(&frame.reason).cut(SAID_CHARS_MAX);
                let said = format!("closed by the upstream: {} {reason}", frame.code);
                Err(match requested_delay(&frame.reason) {
                    Some(delay) => End::ShuttingDown(said, delay),
                    // A newer connection uses the key; reconnecting would replace that one in turn.
                    None if frame.reason == "replaced" => End::Occupied(said),
                    None => End::Lost(said),
                })
            }
            Some(Ok(Message::Close(None))) => Err(End::Lost("closed by the upstream".to_owned())),
            Some(Ok(message)) => Ok(message),
        }
    }

    pub(super) async fn send(&mut self, says: Vec<Outbound>) -> Result<(), End> {
        if says.is_empty() {
            return Ok(());
        }
        let sending = async {
            for say in says {
                self.socket.feed(message(say)?).await.map_err(lost)?;
            }
            self.socket.flush().await.map_err(lost)
        };
        let sent = timeout(SEND_TIMEOUT, sending).await;
        sent.unwrap_or_else(|_| Err(End::Lost("the upstream does not read".to_owned())))
    }

    /// Closes the connection with a close frame, so that the upstream counts it no longer against
    /// the key's limit of connections.
    pub(super) async fn close(mut self) {
        let goodbye = async {
            self.socket.close(None).await.ok();
            while let Some(Ok(_)) = self.socket.next().await {}
        };
        timeout(CLOSE_TIMEOUT, goodbye).await.ok();
    }
}

fn message(say: Outbound) -> Result<Message, End> {
    Ok(match say {
        Outbound::Binary(bytes) => Message::binary(bytes),
        Outbound::Ping => Message::Ping(Bytes::new()),
        Outbound::Text(text) => {
            let text = Utf8Bytes::try_from(text).expect("JSON is UTF-8");
            Message::Text(text)
        }
    })
}

fn refused(error: Error) -> End {
    let Error::Http(response) = error else { return lost(error) };
    let status = response.status();
    let body = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default());
    let body = Printable(body.trim()).cut(SAID_CHARS_MAX);
    let said = format!("the upstream answers HTTP {status} {body}");
    // 408 and 429 are temporary, like all server errors.
    if status.is_client_error() && !matches!(status.as_u16(), 408 | 429) {
        return End::Refused(said);
    }
    End::Lost(said)
}

fn lost(error: Error) -> End {
    End::Lost(describe_error(&error))
}
