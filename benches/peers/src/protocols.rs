//! The protocol of each server: its paths and headers, and how clients subscribe and publish.

use std::fmt::Write as _;

use crate::frame::Opcode;
use crate::workload::{Delivery, Peer};

/// A step of a handshake.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send this message.
    Send(Opcode, Vec<u8>),
    /// Wait for a message that contains this text.
    Await(&'static str),
}

/// Returns the path of the WebSocket for subscribers.
pub(crate) const fn subscriber_path(peer: Peer) -> &'static str {
    match peer {
        Peer::Tickwire => "/ws",
        Peer::TickwireV2 => "/v2/sip",
        Peer::Socketio => SOCKETIO_PATH,
        _ => "/",
    }
}

/// Returns the path of the WebSocket for the publisher.
pub(crate) const fn publisher_path(peer: Peer) -> &'static str {
    match peer {
        Peer::Tickwire | Peer::TickwireV2 => "/publish",
        Peer::Socketio => SOCKETIO_PATH,
        _ => "/",
    }
}

const SOCKETIO_PATH: &str = "/socket.io/?EIO=4&transport=websocket";

/// Returns the header line with which subscribers select an encoding.
pub(crate) const fn header(peer: Peer) -> Option<&'static str> {
    match peer {
        Peer::Tickwire => Some("Sec-WebSocket-Protocol: tickwire.v1.msgpack"),
        Peer::TickwireV2 => Some("Content-Type: application/msgpack"),
        _ => None,
    }
}

/// Returns a text that is part of every message that refuses a request.
pub(crate) const fn refusal(peer: Peer) -> Option<&'static str> {
    match peer {
        Peer::Tickwire | Peer::TickwireV2 => Some("error"),
        Peer::Nats => Some("-ERR"),
        _ => None,
    }
}

/// Returns the steps that subscribe to symbols. After the last step the server has confirmed all
/// subscriptions. The floor has no symbols, so it needs no steps.
pub(crate) fn subscribe(
    peer: Peer,
    symbols: impl Iterator<Item = String>,
    delivery: Delivery,
) -> Vec<Step> {
    let symbols: Vec<String> = symbols.collect();
    let list = format!("[\"{}\"]", symbols.join("\",\""));
    match peer {
        Peer::Tickwire => {
            let mode = match delivery {
                Delivery::Every => String::new(),
                Delivery::Latest { max_rate } => {
                    format!(r#","delivery":"latest","max_rate":{max_rate}"#)
                }
            };
            let command = format!(r#"{{"action":"subscribe","trades":{list}{mode}}}"#);
            vec![text(command), Step::Await("subscription")]
        }
        Peer::TickwireV2 => {
            let auth = [("action", "auth"), ("key", "any"), ("secret", "any")];
            let mut subscribe = map(2, &[("action", "subscribe")]);
            write_list("trades", &symbols, &mut subscribe);
            vec![
                Step::Send(Opcode::Binary, map(3, &auth)),
                Step::Await("authenticated"),
                Step::Send(Opcode::Binary, subscribe),
                Step::Await("subscription"),
            ]
        }
        Peer::Uws | Peer::Ws => {
            vec![text(format!(r#"{{"sub":{list}}}"#)), Step::Await("subscribed")]
        }
        Peer::Socketio => {
            let mut steps = socketio_connect();
            steps.push(text(format!(r#"420["sub",{list}]"#)));
            steps.push(Step::Await("430["));
            steps
        }
        Peer::Nats => {
            let mut commands = NATS_CONNECT.to_owned();
            for (index, symbol) in symbols.iter().enumerate() {
                // Writing to a string cannot fail.
                let _ = write!(commands, "SUB {symbol} {}\r\n", index + 1);
            }
            commands.push_str("PING\r\n");
            vec![Step::Send(Opcode::Binary, commands.into_bytes()), Step::Await("PONG")]
        }
        Peer::Floor => Vec::new(),
    }
}

fn text(message: String) -> Step {
    Step::Send(Opcode::Text, message.into_bytes())
}

fn socketio_connect() -> Vec<Step> {
    vec![text("40".to_owned()), Step::Await("40{")]
}

/// Encodes the start of a MessagePack map of `entries` entries: the header and these pairs.
fn map(entries: u8, pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = vec![0x80 | entries];
    for (key, value) in pairs {
        write_short(key, &mut out);
        write_short(value, &mut out);
    }
    out
}

/// Appends a MessagePack map entry whose value is a list of short strings.
fn write_list(key: &str, values: &[String], out: &mut Vec<u8>) {
    let count = u16::try_from(values.len()).expect("no workload gives a connection 65,536 symbols");
    write_short(key, out);
    out.push(0xdc);
    out.extend_from_slice(&count.to_be_bytes());
    values.iter().for_each(|value| write_short(value, out));
}

/// Appends a MessagePack string of less than 32 bytes.
fn write_short(text: &str, out: &mut Vec<u8>) {
    let len = u8::try_from(text.len()).ok().filter(|len| *len < 32);
    out.push(0xa0 | len.expect("keys and symbols are short"));
    out.extend_from_slice(text.as_bytes());
}

/// The first command of a NATS client, over TCP and over WebSocket.
pub(crate) const NATS_CONNECT: &str =
    "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false}\r\n";

/// Returns the steps of a publisher that uses a WebSocket, before its first tick.
pub(crate) fn publisher_steps(peer: Peer) -> Vec<Step> {
    match peer {
        Peer::Socketio => socketio_connect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> impl Iterator<Item = String> {
        ["A".to_owned(), "B".to_owned()].into_iter()
    }

    /// Returns the messages that a subscriber sends.
    fn sent(peer: Peer, delivery: Delivery) -> Vec<String> {
        let steps = subscribe(peer, names(), delivery).into_iter();
        steps
            .filter_map(|step| match step {
                Step::Send(_, bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
                Step::Await(_) => None,
            })
            .collect()
    }

    #[test]
    fn subscriptions_use_the_protocol_of_each_server() {
        let every = |peer| sent(peer, Delivery::Every);
        assert_eq!(every(Peer::Tickwire), [r#"{"action":"subscribe","trades":["A","B"]}"#]);
        assert_eq!(every(Peer::Uws), [r#"{"sub":["A","B"]}"#]);
        assert_eq!(every(Peer::Socketio), ["40", r#"420["sub",["A","B"]]"#]);
        assert_eq!(every(Peer::Nats), [format!("{NATS_CONNECT}SUB A 1\r\nSUB B 2\r\nPING\r\n")]);
        assert!(every(Peer::Floor).is_empty());
    }

    #[test]
    fn alpaca_clients_authenticate_and_subscribe_in_messagepack() {
        let steps = subscribe(Peer::TickwireV2, names(), Delivery::Every);
        let auth = b"\x83\xa6action\xa4auth\xa3key\xa3any\xa6secret\xa3any";
        let trades = b"\x82\xa6action\xa9subscribe\xa6trades\xdc\x00\x02\xa1A\xa1B";
        assert_eq!(steps[0], Step::Send(Opcode::Binary, auth.to_vec()));
        assert_eq!(steps[2], Step::Send(Opcode::Binary, trades.to_vec()));
    }

    #[test]
    fn delivery_latest_is_requested_with_its_rate() {
        assert_eq!(
            sent(Peer::Tickwire, Delivery::Latest { max_rate: 10 }),
            [r#"{"action":"subscribe","trades":["A","B"],"delivery":"latest","max_rate":10}"#]
        );
    }

    #[test]
    fn every_subscription_awaits_a_confirmation() {
        for peer in
            [Peer::Tickwire, Peer::TickwireV2, Peer::Uws, Peer::Nats, Peer::Ws, Peer::Socketio]
        {
            let steps = subscribe(peer, names(), Delivery::Every);
            assert!(matches!(steps.last(), Some(Step::Await(_))), "{peer:?}");
        }
    }
}
