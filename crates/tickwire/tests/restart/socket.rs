//! A publisher and a subscriber that speak JSON over WebSockets, and know what they have sent.

use std::net::TcpStream;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::hub::{Hub, PATIENCE};

pub(crate) const TICKS_PER_MESSAGE: u64 = 20;
pub(crate) const SYMBOLS: u64 = 7;

/// The symbol of the trades whose number leaves this remainder.
pub(crate) fn symbol(remainder: u64) -> String {
    format!("S{remainder}")
}

/// A WebSocket whose messages are arrays.
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

    /// The elements of the next message; None once the connection has ended.
    fn receive(&mut self) -> Option<Vec<Value>> {
        loop {
            match self.0.read() {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(_)) => return None,
                Ok(_) => {}
                Err(tungstenite::Error::Io(error))
                    if error.kind() == std::io::ErrorKind::WouldBlock =>
                {
                    panic!("waited too long");
                }
                Err(_) => return None,
            }
        }
    }
}

/// An acknowledged publisher. Message `n` holds the trades from `(n - 1) * 20` on.
pub(crate) struct Publisher {
    socket: Socket,
    /// Number of the last message the hub has.
    pub(crate) last: u64,
    acked: u64,
    /// Whether the hub logs what it takes.
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

    /// The number of the last message that was acknowledged before the hub died.
    pub(crate) fn acked_until_gone(mut self) -> u64 {
        while self.acknowledgement() {}
        self.acked
    }

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

    /// The last trades of all symbols.
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

    /// Symbols and numbers of so many trades, in the order in which they come.
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

/// What [`Session::take`] must give from the beginning of an epoch.
pub(crate) fn all_of(messages: u64) -> Vec<(String, u64)> {
    let ids = 0..messages * TICKS_PER_MESSAGE;
    ids.map(|id| (symbol(id % SYMBOLS), id / SYMBOLS + 1)).collect()
}
