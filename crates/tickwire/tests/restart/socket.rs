//! A minimal publisher and subscriber with JSON over WebSockets.

use std::net::TcpStream;

use serde_json::{Value, json};
use tickwire_testkit::PATIENCE;
use tungstenite::{Message, WebSocket};

use crate::hub::Hub;

pub(crate) const TICKS_PER_MESSAGE: u64 = 20;
pub(crate) const SYMBOLS: u64 = 7;

/// Returns the symbol of the trades with `id % SYMBOLS == remainder`.
pub(crate) fn symbol(remainder: u64) -> String {
    format!("S{remainder}")
}

/// A WebSocket whose messages are JSON arrays.
struct Socket(WebSocket<TcpStream>);

impl Socket {
    fn open(hub: &Hub, path: &str) -> Self {
        let stream = TcpStream::connect(&hub.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let url = format!("ws://{}{path}", hub.address);
        Self(tungstenite::client(url, stream).unwrap().0)
    }

    fn send(&mut self, value: &Value) {
        self.0.send(Message::text(value.to_string())).unwrap();
    }

    /// Returns the elements of the next message, or `None` once the connection has ended.
    fn receive(&mut self) -> Option<Vec<Value>> {
        loop {
            match self.0.read() {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(_)) => return None,
                Ok(_) => {}
                Err(tungstenite::Error::Io(error))
                    if error.kind() == std::io::ErrorKind::WouldBlock =>
                {
                    panic!("no message within the time limit");
                }
                Err(_) => return None,
            }
        }
    }
}

/// A publisher with acknowledgements. Message `n` holds 20 trades, with ids from `(n - 1) * 20`.
pub(crate) struct Publisher {
    socket: Socket,
    /// Number of the last message that the hub had accepted when the publisher connected.
    pub(crate) last: u64,
    acked: u64,
    /// Whether the hub has written all acknowledged messages to its log.
    pub(crate) durable: bool,
}

impl Publisher {
    pub(crate) fn open(hub: &Hub, id: &str) -> Self {
        let mut socket = Socket::open(hub, "/publish");
        socket.send(&json!({"action": "publish", "publisher": id}));
        let answer = socket.receive().unwrap().remove(0);
        assert_eq!(answer["T"], "publishing", "{answer}");
        let last = answer["last"].as_u64().unwrap();
        Self { socket, last, acked: last, durable: true }
    }

    pub(crate) fn send(&mut self, number: u64) {
        let ids = (number - 1) * TICKS_PER_MESSAGE..number * TICKS_PER_MESSAGE;
        let trade = |id: u64| {
            json!({
                "T": "t", "S": symbol(id % SYMBOLS), "i": id, "x": "V", "p": 100.25, "s": 100,
                "c": ["@"], "t": "2026-01-02T14:30:00Z", "z": "C"
            })
        };
        self.socket.send(&ids.map(trade).collect());
    }

    /// Waits until a message is acknowledged.
    pub(crate) fn settle(&mut self, number: u64) {
        while self.acked < number {
            assert!(self.acknowledgement(), "the hub is gone");
        }
    }

    /// Reads until the connection ends. Returns the number of the last acknowledged message.
    pub(crate) fn acked_until_gone(mut self) -> u64 {
        while self.acknowledgement() {}
        self.acked
    }

    /// Reads one message of acknowledgements. Returns false once the connection has ended.
    fn acknowledgement(&mut self) -> bool {
        let Some(elements) = self.socket.receive() else { return false };
        for ack in elements {
            assert_eq!(ack["T"], "ack", "{ack}");
            self.acked = ack["up_to"].as_u64().unwrap();
            self.durable &= ack["durable"] != false;
        }
        true
    }
}

/// A subscriber.
pub(crate) struct Session {
    socket: Socket,
    pub(crate) epoch: String,
}

impl Session {
    pub(crate) fn open(hub: &Hub) -> Self {
        let mut socket = Socket::open(hub, "/ws");
        let hello = socket.receive().unwrap().remove(0);
        let epoch = hello["epoch"].as_str().unwrap().to_owned();
        Self { socket, epoch }
    }

    /// Subscribes to all trades.
    pub(crate) fn subscribe(&mut self) {
        self.ask(&json!({"action": "subscribe", "trades": ["*"]}));
    }

    /// Sends a command and returns its acknowledgement.
    fn ask(&mut self, command: &Value) -> Value {
        self.socket.send(command);
        loop {
            let element = self.socket.receive().unwrap().remove(0);
            match element["T"].as_str() {
                Some("feed" | "heartbeat") => {}
                _ => {
                    assert_eq!(element["T"], "subscription", "{element}");
                    return element;
                }
            }
        }
    }

    /// Returns the last trade of each symbol.
    pub(crate) fn snapshot(&mut self) -> Vec<Value> {
        let names: Vec<_> = (0..SYMBOLS).map(symbol).collect();
        self.ask(&json!({"action": "subscribe", "trades": names}));
        let mut ticks = Vec::new();
        loop {
            for element in self.socket.receive().unwrap() {
                match element["T"].as_str() {
                    Some("t") => ticks.push(element),
                    Some("live") => return ticks,
                    _ => {}
                }
            }
        }
    }

    /// Receives `count` trades. Returns their symbols and sequence numbers in order of arrival.
    pub(crate) fn take(&mut self, count: u64) -> Vec<(String, u64)> {
        let mut taken = Vec::new();
        while (taken.len() as u64) < count {
            let elements = self.socket.receive().unwrap();
            let ticks = elements.iter().filter(|element| element["T"] == "t");
            taken.extend(ticks.map(|tick| {
                (tick["S"].as_str().unwrap().to_owned(), tick["seq"].as_u64().unwrap())
            }));
        }
        taken
    }
}

/// Returns the expected result of [`Session::take`] from the start of an epoch, after this number
/// of messages.
pub(crate) fn all_of(messages: u64) -> Vec<(String, u64)> {
    let ids = 0..messages * TICKS_PER_MESSAGE;
    ids.map(|id| (symbol(id % SYMBOLS), id / SYMBOLS + 1)).collect()
}
