//! The server's part of the WebSocket opening handshake (RFC 6455 section 4.2).

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use data_encoding::BASE64;
use sha1::{Digest, Sha1};

/// Why a handshake is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// The request asks for no upgrade to WebSocket.
    #[error("this is a WebSocket endpoint: expected Connection: Upgrade and Upgrade: websocket")]
    NoUpgrade,
    /// The client asks for another version of the protocol than 13.
    #[error("expected Sec-WebSocket-Version: 13")]
    Version,
    /// `Sec-WebSocket-Key` is missing or malformed.
    #[error("expected Sec-WebSocket-Key: 16 bytes in base64")]
    Key,
}

impl HandshakeError {
    const fn status(self) -> StatusCode {
        match self {
            Self::NoUpgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Key => StatusCode::BAD_REQUEST,
        }
    }

    /// Completes a refusal: sets its status, and the headers that say what the hub supports.
    pub(crate) fn response(
        self,
        mut refusal: axum::response::Response,
    ) -> axum::response::Response {
        *refusal.status_mut() = self.status();
        let headers = refusal.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        refusal
    }
}

/// Response header with the hub's epoch. A relay compares epochs to notice that its upstream and
/// its target are the same hub.
const EPOCH: &str = "tickwire-epoch";

/// Bytes that are hashed after `Sec-WebSocket-Key` (RFC 6455 section 1.3).
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Returns the 101 response to a handshake.
///
/// # Errors
/// If the request is not a valid handshake.
pub(crate) fn accept(
    headers: &HeaderMap,
    subprotocol: Option<&'static str>,
    epoch: &str,
) -> Result<axum::response::Response, HandshakeError> {
    let has = |name: header::HeaderName, token: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token))
    };
    if !has(header::CONNECTION, "upgrade") || !has(header::UPGRADE, "websocket") {
        return Err(HandshakeError::NoUpgrade);
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes) != Some(b"13") {
        return Err(HandshakeError::Version);
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or(HandshakeError::Key)?.as_bytes();
    if !is_key(key) {
        return Err(HandshakeError::Key);
    }
    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(EPOCH, epoch)
        .header(header::SEC_WEBSOCKET_ACCEPT, accept_key(key));
    if let Some(subprotocol) = subprotocol {
        response = response.header(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    response.body(Body::empty()).map_err(|_| HandshakeError::Key)
}

/// Returns the value of `Sec-WebSocket-Accept`, which proves that the server speaks WebSocket.
fn accept_key(key: &[u8]) -> String {
    let hash = Sha1::new().chain_update(key).chain_update(KEY_SUFFIX).finalize();
    BASE64.encode(&hash)
}

/// Returns whether a header has the form of 16 bytes in base64.
fn is_key(key: &[u8]) -> bool {
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key.strip_suffix(b"==").is_some_and(|digits| digits.iter().all(digit))
}

/// Returns the subprotocols that a client offers, in its order of preference.
pub(crate) fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455 section 1.3.
    #[test]
    fn accept_key_is_that_of_the_standard() {
        assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
