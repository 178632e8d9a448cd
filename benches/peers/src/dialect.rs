//! How subscribers and publishers introduce themselves to each server.

use std::fmt::Write as _;

use crate::frame::Opcode;
use crate::plan::{Delivery, Peer};

/// One step of saying hello.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send this message.
    Send(Opcode, String),
    /// Wait for a message that contains this.
    Await(&'static str),
}

/// The path a WebSocket is opened at by subscribers.
pub(crate) const fn subscriber_path(peer: Peer) -> &'static str {
    match peer {
        Peer::Tickwire => "/ws",
        Peer::Socketio => SOCKETIO_PATH,
        _ => "/",
    }
}

/// The path a WebSocket is opened at by the publisher.
pub(crate) const fn publisher_path(peer: Peer) -> &'static str {
    match peer {
        Peer::Tickwire => "/publish",
        Peer::Socketio => SOCKETIO_PATH,
        _ => "/",
    }
}

const SOCKETIO_PATH: &str = "/socket.io/?EIO=4&transport=websocket";

/// The subprotocol subscribers ask for.
pub(crate) const fn subprotocol(peer: Peer) -> Option<&'static str> {
    match peer {
        Peer::Tickwire => Some("tickwire.v1.msgpack"),
        _ => None,
    }
}

/// What stands in a message that refuses what was asked.
pub(crate) const fn refusal(peer: Peer) -> Option<&'static str> {
    match peer {
        Peer::Tickwire => Some("error"),
        Peer::Nats => Some("-ERR"),
        _ => None,
    }
}

/// Subscribes to symbols. When it is over, the server has taken note of all of them; only the
/// floor, which knows no symbols, is told nothing.
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
            vec![Step::Send(Opcode::Text, command), Step::Await("subscription")]
        }
        Peer::Uws | Peer::Ws => vec![
            Step::Send(Opcode::Text, format!(r#"{{"sub":{list}}}"#)),
            Step::Await("subscribed"),
        ],
        Peer::Socketio => {
            let mut steps = socketio_hello();
            steps.push(Step::Send(Opcode::Text, format!(r#"420["sub",{list}]"#)));
            steps.push(Step::Await("430["));
            steps
        }
        Peer::Nats => {
            let mut commands = NATS_CONNECT.to_owned();
            for (index, symbol) in symbols.iter().enumerate() {
                // Writing to a string cannot fail.
                let _ = write!(commands, "SUB {symbol} {}\r\n", index + 1);
            }
            vec![Step::Send(Opcode::Binary, commands + "PING\r\n"), Step::Await("PONG")]
        }
        Peer::Floor => Vec::new(),
    }
}

fn socketio_hello() -> Vec<Step> {
    vec![Step::Send(Opcode::Text, "40".to_owned()), Step::Await("40{")]
}

/// How a NATS client starts, whichever way it is connected.
pub(crate) const NATS_CONNECT: &str =
    "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false}\r\n";

/// What a publisher says first, where it uses WebSocket.
pub(crate) fn publisher_hello(peer: Peer) -> Vec<Step> {
    match peer {
        Peer::Socketio => socketio_hello(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> impl Iterator<Item = String> {
        ["A".to_owned(), "B".to_owned()].into_iter()
    }

    /// What is sent, without what is waited for.
    fn sent(peer: Peer, delivery: Delivery) -> Vec<String> {
        let steps = subscribe(peer, names(), delivery).into_iter();
        steps
            .filter_map(|step| match step {
                Step::Send(_, text) => Some(text),
                Step::Await(_) => None,
            })
            .collect()
    }

    #[test]
    fn each_server_is_asked_for_the_symbols_in_its_own_words() {
        let every = |peer| sent(peer, Delivery::Every);
        assert_eq!(every(Peer::Tickwire), [r#"{"action":"subscribe","trades":["A","B"]}"#]);
        assert_eq!(every(Peer::Uws), [r#"{"sub":["A","B"]}"#]);
        assert_eq!(every(Peer::Socketio), ["40", r#"420["sub",["A","B"]]"#]);
        assert_eq!(every(Peer::Nats), [format!("{NATS_CONNECT}SUB A 1\r\nSUB B 2\r\nPING\r\n")]);
        assert!(every(Peer::Floor).is_empty());
    }

    #[test]
    fn the_newest_are_asked_for_with_their_rate() {
        assert_eq!(
            sent(Peer::Tickwire, Delivery::Latest { max_rate: 10 }),
            [r#"{"action":"subscribe","trades":["A","B"],"delivery":"latest","max_rate":10}"#]
        );
    }

    #[test]
    fn every_server_that_knows_symbols_is_waited_for() {
        for peer in [Peer::Tickwire, Peer::Uws, Peer::Nats, Peer::Ws, Peer::Socketio] {
            let steps = subscribe(peer, names(), Delivery::Every);
            assert!(matches!(steps.last(), Some(Step::Await(_))), "{peer:?}");
        }
    }
}
