//! The opening handshake, by hand: thousands of connections open at once on one thread.

use tickwire_protocol::Encoding;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::connect::first_line;
use crate::load::Plan;

/// Longest answer taken, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// One handshake under way.
#[derive(Debug)]
pub(crate) struct Handshake {
    /// What the hub must answer to the key.
    accept: String,
}

/// Where an answer stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It has not come as a whole.
    Incomplete,
    /// The connection is open; so many bytes were the answer.
    Accepted(usize),
    /// It will not open, and why: short, since it is counted by its text.
    Refused(String),
}

impl Handshake {
    /// Starts one: appends the request.
    pub(crate) fn start(plan: &Plan, out: &mut Vec<u8>) -> Self {
        let key = generate_key();
        let token = plan.token.as_ref();
        let authorization = token
            .map(|token| format!("Authorization: {}\r\n", token.authorization()))
            .unwrap_or_default();
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

    /// Looks at all that has come so far.
    pub(crate) fn answer(&self, bytes: &[u8]) -> Answer {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return if bytes.len() < ANSWER_BYTES_MAX {
                Answer::Incomplete
            } else {
                Answer::Refused("no WebSocket server".to_owned())
            };
        };
        let head = String::from_utf8_lossy(&bytes[..end]);
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or("");
        if status != "101" {
            let said = first_line(&bytes[end + 4..]);
            let colon = if said.is_empty() { "" } else { ": " };
            return Answer::Refused(format!("HTTP {status:.3}{colon}{said}"));
        }
        let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
        let has = |name: &str, expected: &str| {
            let mut found = headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
            found.any(|(_, value)| value.trim() == expected)
        };
        if !has("sec-websocket-accept", &self.accept) {
            return Answer::Refused("wrong answer to the key".to_owned());
        }
        if !has("sec-websocket-protocol", Encoding::MSGPACK_SUBPROTOCOL) {
            return Answer::Refused("no Tickwire hub".to_owned());
        }
        Answer::Accepted(end + 4)
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
    fn answer_cut_at_any_byte_is_waited_for() {
        let handshake = started();
        let mut bytes = accepting(&handshake, "tickwire.v1.msgpack");
        let whole = bytes.len();
        for cut in 0..whole {
            assert_eq!(handshake.answer(&bytes[..cut]), Answer::Incomplete, "{cut}");
        }
        bytes.extend_from_slice(b"\x82\x00");
        assert_eq!(handshake.answer(&bytes), Answer::Accepted(whole));
    }

    #[test]
    fn the_token_is_shown() {
        let mut out = Vec::new();
        let token = Some("TW1:secret".parse().unwrap());
        Handshake::start(&Plan { token, ..plan(1, 1) }, &mut out);
        let request = String::from_utf8(out).unwrap();
        assert!(request.ends_with("\r\nAuthorization: Bearer TW1:secret\r\n\r\n"), "{request}");
    }

    #[test]
    fn refusals_say_why() {
        let handshake = started();
        let refused = |bytes: &[u8]| match handshake.answer(bytes) {
            Answer::Refused(reason) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), "HTTP 503");
        assert_eq!(refused(b"HTTP/1.1 404 x\r\n\r\nno such feed\nmore"), "HTTP 404: no such feed");
        assert_eq!(refused(b"HTTP/1.1 404 x\r\n\r\n<html>"), "HTTP 404");
        assert_eq!(refused(b"HTTP/1.1 101 x\r\n\r\n"), "wrong answer to the key");
        assert_eq!(refused(&accepting(&handshake, "chat")), "no Tickwire hub");
        assert_eq!(refused(&[b'x'; ANSWER_BYTES_MAX]), "no WebSocket server");
    }
}
