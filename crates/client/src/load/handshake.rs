//! The opening handshake of a WebSocket (RFC 6455, section 4), without a socket: thousands of
//! connections open at the same time on one thread.

use tickwire_protocol::{Encoding, Printable};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::Token;
use crate::connect::first_line;
use crate::load::Plan;

/// The longest response to accept, in bytes.
const RESPONSE_BYTES_MAX: usize = 16 << 10;

/// A handshake whose request has been sent.
#[derive(Debug)]
pub(crate) struct Handshake {
    /// The value of `Sec-WebSocket-Accept` that the response must contain, which proves that the
    /// hub has read the request.
    accept: String,
}

/// What the bytes received so far say about the response to a handshake.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Response {
    /// The head has not arrived completely.
    Incomplete,
    /// The connection is open. The response took this many bytes; what follows are frames.
    Accepted(usize),
    /// The connection will not open. Holds the cause, by which refusals are counted; it is short.
    Refused(String),
}

impl Handshake {
    /// Starts a handshake: appends the request to `out`.
    pub(crate) fn start(plan: &Plan, out: &mut Vec<u8>) -> Self {
        let key = generate_key();
        let authorization = plan.token.as_ref().map(Token::header_line).unwrap_or_default();
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: {}\r\n{authorization}\r\n",
            plan.hub.ws_path(&plan.feed),
            plan.hub.authority(),
            Encoding::MSGPACK_SUBPROTOCOL,
        );
        out.extend_from_slice(request.as_bytes());
        Self { accept: derive_accept_key(key.as_bytes()) }
    }

    /// Reads the response from all bytes that have arrived so far.
    pub(crate) fn response(&self, bytes: &[u8]) -> Response {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return if bytes.len() < RESPONSE_BYTES_MAX {
                Response::Incomplete
            } else {
                Response::Refused("no WebSocket server".to_owned())
            };
        };
        let head = String::from_utf8_lossy(&bytes[..end]);
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or("");
        if status != "101" {
            let message = first_line(&bytes[end + 4..]);
            let colon = if message.is_empty() { "" } else { ": " };
            return Response::Refused(format!("HTTP {}{colon}{message}", Printable(status).cut(3)));
        }
        let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
        let has = |name: &str, expected: &str| {
            let mut found = headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
            found.any(|(_, value)| value.trim() == expected)
        };
        if !has("sec-websocket-accept", &self.accept) {
            return Response::Refused("wrong answer to the key".to_owned());
        }
        if !has("sec-websocket-protocol", Encoding::MSGPACK_SUBPROTOCOL) {
            return Response::Refused("no Tickwire hub".to_owned());
        }
        Response::Accepted(end + 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::plan::tests::plan;

    fn started() -> Handshake {
        let mut out = Vec::new();
        let handshake = Handshake::start(&plan(1, 1), &mut out);
        assert!(out.starts_with(b"GET /ws?feed=main HTTP/1.1\r\nHost: 127.0.0.1:1\r\n"));
        handshake
    }

    fn accepting(handshake: &Handshake, protocol: &str) -> Vec<u8> {
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {}\r\n\
             Sec-WebSocket-Protocol: {protocol}\r\n\r\n",
            handshake.accept
        )
        .into_bytes()
    }

    #[test]
    fn response_cut_at_any_byte_is_incomplete() {
        let handshake = started();
        let mut bytes = accepting(&handshake, "tickwire.v1.msgpack");
        let whole = bytes.len();
        for cut in 0..whole {
            assert_eq!(handshake.response(&bytes[..cut]), Response::Incomplete, "{cut}");
        }
        bytes.extend_from_slice(b"\x82\x00");
        assert_eq!(handshake.response(&bytes), Response::Accepted(whole));
    }

    #[test]
    fn token_is_sent_as_bearer() {
        let mut out = Vec::new();
        let token = Some("TW1:secret".parse().unwrap());
        Handshake::start(&Plan { token, ..plan(1, 1) }, &mut out);
        let request = String::from_utf8(out).unwrap();
        assert!(request.ends_with("\r\nAuthorization: Bearer TW1:secret\r\n\r\n"), "{request}");
    }

    #[test]
    fn refusals_name_their_cause() {
        let handshake = started();
        let refused = |bytes: &[u8]| match handshake.response(bytes) {
            Response::Refused(reason) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), "HTTP 503");
        assert_eq!(refused(b"HTTP/1.1 404 x\r\n\r\nno such feed\nmore"), "HTTP 404: no such feed");
        assert_eq!(refused(b"HTTP/1.1 404 x\r\n\r\n<html>"), "HTTP 404");
        assert_eq!(
            refused("HTTP/1.1 \u{9b}\u{202e}55 x\r\n\r\n\u{9b}2J\u{202e}\nmore".as_bytes()),
            r"HTTP \u{9b}\u{202e}5… (7 bytes): \u{9b}2J\u{202e}"
        );
        assert_eq!(refused(b"HTTP/1.1 101 x\r\n\r\n"), "wrong answer to the key");
        assert_eq!(refused(&accepting(&handshake, "chat")), "no Tickwire hub");
        assert_eq!(refused(&[b'x'; RESPONSE_BYTES_MAX]), "no WebSocket server");
    }
}
