//! Blocking HTTP requests to a hub, for tools that need no subscription.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use crate::{HubUrl, Token, tls};

/// One `GET` request to a hub.
///
/// ```no_run
/// use std::time::Duration;
/// use tickwire_client::http::Get;
///
/// let hub = "http://127.0.0.1:8080".parse()?;
/// let get = Get { token: None, tls: None, timeout: Duration::from_secs(2), body_bytes_max: 1024 };
/// let response = get.send(&hub, "/readyz")?;
/// assert_eq!(response.status, 200);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Get<'a> {
    /// The key to send, if the path needs one.
    pub token: Option<&'a Token>,
    /// TLS settings for a hub at `https://` or `wss://`; `None` trusts the system's certificate
    /// authorities.
    pub tls: Option<Arc<ClientConfig>>,
    /// The longest wait for each address to connect, and for each read and write.
    pub timeout: Duration,
    /// The longest body to accept, in bytes; what follows is cut off.
    pub body_bytes_max: usize,
}

/// A hub's response to a [`Get`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status, such as 200.
    pub status: u16,
    /// The body, cut to [`Get::body_bytes_max`].
    pub body: Vec<u8>,
}

/// Why a [`Get`] has no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// The hub cannot be reached, does not answer in time, or is not trusted.
    #[error("the request failed")]
    Io(#[from] io::Error),
    /// The answer is not HTTP.
    #[error("the answer is not HTTP")]
    NotHttp,
}

/// The longest response head to accept, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;

impl Get<'_> {
    /// Sends the request and returns the response. `path` is one of the hub's own paths, with its
    /// query; the address's prefix is put before it. Blocks.
    ///
    /// # Errors
    /// Fails if the hub cannot be reached, does not answer in time, or answers with anything but
    /// HTTP.
    pub fn send(&self, hub: &HubUrl, path: &str) -> Result<Response, GetError> {
        let stream = connect(&hub.socket_address(), self.timeout)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        let request = self.request(hub, path);
        if !hub.uses_tls() {
            return self.exchange(stream, &request);
        }
        let config = self.tls.clone().map_or_else(tls::system_trust, Ok)?;
        self.exchange(tls::over(stream, hub, config)?, &request)
    }

    /// Returns the text of the request. A response to HTTP/1.0 ends with the connection and is
    /// never sent in chunks.
    fn request(&self, hub: &HubUrl, path: &str) -> String {
        let authorization = self.token.map(Token::header_line).unwrap_or_default();
        format!(
            "GET {} HTTP/1.0\r\nHost: {}\r\nAccept: application/json\r\n{authorization}\r\n",
            hub.path(path),
            hub.authority()
        )
    }

    fn exchange(&self, mut stream: impl Read + Write, request: &str) -> Result<Response, GetError> {
        stream.write_all(request.as_bytes())?;
        stream.flush()?;
        let mut bytes = Vec::new();
        let bytes_max = HEAD_BYTES_MAX + self.body_bytes_max;
        match stream.take(bytes_max as u64).read_to_end(&mut bytes) {
            // Many servers end the connection without the closing alert of TLS.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !bytes.is_empty() => {}
            read => drop(read?),
        }
        let mut response = parse(&bytes).ok_or(GetError::NotHttp)?;
        response.body.truncate(self.body_bytes_max);
        Ok(response)
    }
}

/// Connects to the first of the host's addresses that answers.
fn connect(address: &str, timeout: Duration) -> io::Result<TcpStream> {
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn parse(bytes: &[u8]) -> Option<Response> {
    let head_len = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..head_len]).ok()?;
    let mut status_line = head.lines().next()?.split(' ');
    status_line.next().filter(|version| version.starts_with("HTTP/1."))?;
    let status = status_line.next()?.parse().ok()?;
    Some(Response { status, body: bytes[head_len + 4..].to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(token: Option<&Token>) -> Get<'_> {
        Get { token, tls: None, timeout: Duration::from_secs(10), body_bytes_max: 8 }
    }

    #[test]
    fn request_names_the_prefixed_path_and_the_key() {
        let hub = "http://hub:8080/market".parse().unwrap();
        let token: Token = "TW1:secret".parse().unwrap();
        assert_eq!(
            get(Some(&token)).request(&hub, "/readyz"),
            "GET /market/readyz HTTP/1.0\r\nHost: hub:8080\r\nAccept: application/json\r\n\
             Authorization: Bearer TW1:secret\r\n\r\n"
        );
        assert!(!get(None).request(&hub, "/readyz").contains("Authorization"));
    }

    #[test]
    fn response_is_cut_at_the_longest_body() {
        let parsed = parse(b"HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\nshutting down\n");
        assert_eq!(parsed, Some(Response { status: 503, body: b"shutting down\n".to_vec() }));
        let stream = io::Cursor::new(Vec::new());
        assert!(get(None).exchange(stream, "GET").is_err(), "an empty answer");
    }

    #[test]
    fn answers_that_are_not_http_are_refused() {
        for bytes in [&b""[..], b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK", b"HTTP/1.1 x\r\n\r\n"] {
            assert_eq!(parse(bytes), None, "{bytes:?}");
        }
    }
}
