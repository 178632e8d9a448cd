//! One connection to a hub.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tickwire_protocol::{
    Command, Control, Element, Encoding, ErrorCode, Printable, decode_message, requested_delay,
};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Response, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use super::PublisherConfig;
use crate::tls::describe_error;
use crate::{Authorities, PublishError};

/// Size of the read buffer. Hubs send only short control elements to a publisher.
const READ_BUFFER_BYTES: usize = 4 * 1024;
const INCOMING_BYTES_MAX: usize = 1024 * 1024;
/// Time to wait for the hub's close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum number of characters of a hub's explanation in an error message.
const DETAIL_CHARS_MAX: usize = 200;

/// Why a session did not start or ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// The next attempt may succeed.
    Again(String),
    /// The hub shuts down and asks for this delay.
    Later(String, Duration),
    /// Every attempt would fail.
    Fatal(PublishError),
}

/// An open publisher session.
#[derive(Debug)]
pub(super) struct Link {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    send_timeout: Duration,
    /// Number of the last data message that the hub received from this publisher, as reported at
    /// the start of the session.
    pub(super) last: u64,
    /// Mark of the last message with a mark that the hub received, as reported at the start of the
    /// session; `None` if it has none.
    pub(super) mark: Option<String>,
    /// Epoch of the hub, if it reports one.
    pub(super) epoch: Option<String>,
}

impl Link {
    /// Connects and starts a publisher session.
    pub(super) async fn open(config: &PublisherConfig, demand: bool) -> Result<Self, Problem> {
        let opened = timeout(config.connect_timeout, Self::open_unbounded(config, demand)).await;
        opened.unwrap_or_else(|_| {
            let seconds = config.connect_timeout.as_secs_f64();
            Err(Problem::Again(format!("no answer within {seconds} s")))
        })
    }

    async fn open_unbounded(config: &PublisherConfig, demand: bool) -> Result<Self, Problem> {
        let url = config.hub.publish_url(&config.feed);
        let request = request(&url, config.token.as_deref())?;
        let limits = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(INCOMING_BYTES_MAX))
            .max_frame_size(Some(INCOMING_BYTES_MAX));
        let trust = config.authorities.as_ref().map(Authorities::connector);
        let connecting = connect_async_tls_with_config(request, Some(limits), true, trust);
        let connected = Box::pin(connecting).await; // boxed, because the future is large
        let (socket, response) = connected.map_err(|error| refused(url, error))?;
        let send_timeout = config.ack_timeout;
        let epoch = epoch(&response);
        let mut link = Self { socket, send_timeout, last: 0, mark: None, epoch };
        link.send_command(&Command::Publish(config.publisher.command(demand))).await?;
        loop {
            for control in link.next().await? {
                match control {
                    Control::Publishing { last, mark } => return Ok(Self { last, mark, ..link }),
                    Control::Error { code, detail, .. } => return Err(start_error(code, detail)),
                    _ => {}
                }
            }
        }
    }

    /// Waits for the next message with control elements and returns them. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Vec<Control>, Problem> {
        loop {
            let message = match self.socket.next().await {
                None => return Err(again("the connection was closed")),
                Some(message) => message.map_err(lost)?,
            };
            let elements = match &message {
                Message::Text(text) => decode_message(text.as_bytes(), Encoding::Json),
                Message::Binary(bytes) => decode_message(bytes, Encoding::MsgpackArray),
                Message::Close(Some(frame)) => {
                    let code = frame.code;
                    let reason = &frame.reason;
                    let said = format!("closed by the hub: {code} {}", Printable(reason));
                    return Err(match requested_delay(reason) {
                        Some(wait) => Problem::Later(said, wait),
                        None => Problem::Again(said),
                    });
                }
                Message::Close(None) => return Err(again("closed by the hub")),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            let elements = elements.map_err(|error| {
                Problem::Again(format!("the hub sent an unreadable message: {error}"))
            })?;
            let control = |element| match element {
                Element::Control(control) => Some(control),
                Element::Tick(_) => None,
            };
            return Ok(elements.into_iter().filter_map(control).collect());
        }
    }

    /// Sends a command.
    pub(super) async fn send_command(&mut self, command: &Command) -> Result<(), Problem> {
        let mut text = Vec::new();
        command.write_json(&mut text);
        let text = String::from_utf8(text).expect("JSON is UTF-8");
        let sent = timeout(self.send_timeout, self.socket.send(Message::text(text)));
        sent.await.map_err(|_| stalled())?.map_err(lost)
    }

    /// Sends data messages.
    pub(super) async fn send(
        &mut self,
        messages: impl IntoIterator<Item = Bytes>,
    ) -> Result<(), Problem> {
        for message in messages {
            let fed = timeout(self.send_timeout, self.socket.feed(Message::Binary(message)));
            fed.await.map_err(|_| stalled())?.map_err(lost)?;
        }
        let flushed = timeout(self.send_timeout, self.socket.flush());
        flushed.await.map_err(|_| stalled())?.map_err(lost)
    }

    /// Closes the connection, and waits briefly for the hub's close frame.
    pub(super) async fn close(mut self) {
        let goodbye = async {
            self.socket.close(None).await.ok();
            while let Some(Ok(_)) = self.socket.next().await {}
        };
        timeout(CLOSE_TIMEOUT, goodbye).await.ok();
    }
}

/// Returns the problem that an error element within a session stands for, or `Ok` if the session
/// continues.
pub(super) fn session_error(code: ErrorCode, detail: Option<String>) -> Result<(), Problem> {
    match code {
        ErrorCode::NotAuthenticated | ErrorCode::AuthFailed | ErrorCode::PublisherReplaced => {
            Err(ended(code, detail))
        }
        _ => Ok(()),
    }
}

/// Returns the problem that an error element stands for if the hub sends it instead of `publishing`
/// at the start of a session.
fn start_error(code: ErrorCode, detail: Option<String>) -> Problem {
    match code {
        ErrorCode::ConnectionLimit | ErrorCode::Internal | ErrorCode::SlowClient => {
            let number = code.code();
            let msg = code.msg();
            let detail = detail.unwrap_or_default();
            Problem::Again(format!("error {number} {msg} {}", Printable(&detail)))
        }
        _ => ended(code, detail),
    }
}

fn ended(code: ErrorCode, detail: Option<String>) -> Problem {
    let detail = detail.unwrap_or_default();
    Problem::Fatal(PublishError::Ended { code: code.code(), msg: code.msg(), detail })
}

fn request(url: &str, token: Option<&str>) -> Result<Request, Problem> {
    let mut request = url.into_client_request().map_err(lost)?;
    if let Some(token) = token {
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value = value.map_err(|_| Problem::Fatal(PublishError::Token))?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    Ok(request)
}

fn refused(url: String, error: Error) -> Problem {
    let Error::Http(response) = error else { return lost(error) };
    let status = response.status();
    let detail = body(&response);
    // 408 and 429 are temporary, like all server errors.
    if status.is_client_error() && !matches!(status.as_u16(), 408 | 429) {
        return Problem::Fatal(PublishError::Refused { url, status: status.as_u16(), detail });
    }
    Problem::Again(format!("HTTP {status} {detail}"))
}

/// Returns the epoch of the hub that answered a handshake, if the server is a hub.
pub(crate) fn epoch<B>(response: &Response<B>) -> Option<String> {
    Some(response.headers().get("tickwire-epoch")?.to_str().ok()?.to_owned())
}

fn body(response: &Response<Option<Vec<u8>>>) -> String {
    let body = response.body().as_deref().unwrap_or_default();
    let text = String::from_utf8_lossy(body);
    Printable(text.trim()).cut(DETAIL_CHARS_MAX).to_string()
}

fn stalled() -> Problem {
    again("the hub stopped reading")
}

fn again(reason: &str) -> Problem {
    Problem::Again(reason.to_owned())
}

fn lost(error: Error) -> Problem {
    Problem::Again(describe_error(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "full\nINFO all is well\u{9b}2J\u{202e}";
    const ESCAPED: &str = r"full\nINFO all is well\u{9b}2J\u{202e}";

    fn text_of(problem: Problem) -> String {
        match problem {
            Problem::Again(text) | Problem::Later(text, _) => text,
            Problem::Fatal(error) => error.to_string(),
        }
    }

    #[test]
    fn text_of_the_hub_is_printable() {
        let detail = || Some(HOSTILE.to_owned());
        for code in [ErrorCode::Internal, ErrorCode::AuthFailed] {
            let text = text_of(start_error(code, detail()));
            assert!(text.contains(ESCAPED), "{text:?}");
        }
        for status in [403, 503] {
            let response = Response::builder().status(status).body(Some(HOSTILE.into())).unwrap();
            let text = text_of(refused("ws://hub".to_owned(), Error::Http(Box::new(response))));
            assert!(text.contains(ESCAPED), "{text:?}");
        }
    }
}
