//! A publisher that sends raw frames.

use tickwire_protocol::{Encoding, MessageBuf, Tick};

use super::{Client, OPEN_BINARY, TestHub};

pub(crate) struct Publisher {
    /// The connection. The hub answers in the encoding of the last message.
    pub(crate) client: Client,
    /// Number of the last data message sent.
    pub(crate) number: u64,
}

impl Publisher {
    /// Returns a publisher without acknowledgements.
    pub(crate) fn open(hub: &TestHub) -> Self {
        Self { client: Client::open(hub, "/publish", &[]), number: 0 }
    }

    /// Opens a publisher with acknowledgements. Also returns the mark that the hub remembers.
    pub(crate) fn acknowledged(hub: &TestHub, id: &str) -> (Self, Option<String>) {
        Self::acknowledged_at(hub, "/publish", id)
    }

    /// Like [`Publisher::acknowledged`], at a path that may name a feed.
    pub(crate) fn acknowledged_at(hub: &TestHub, path: &str, id: &str) -> (Self, Option<String>) {
        let mut publisher = Self { client: Client::open(hub, path, &[]), number: 0 };
        let command = format!(r#"{{"action":"publish","publisher":"{id}"}}"#);
        let answer = publisher.client.ask(&command);
        assert_eq!(answer["T"], "publishing", "{answer}");
        publisher.number = answer["last"].as_u64().unwrap();
        (publisher, answer["mark"].as_str().map(str::to_owned))
    }

    pub(crate) fn send(&mut self, ticks: &[Tick]) {
        self.send_marked(ticks, None);
    }

    pub(crate) fn send_marked(&mut self, ticks: &[Tick], mark: Option<&str>) {
        self.number += 1;
        self.client.send_frame(OPEN_BINARY, &marked(ticks, mark));
    }

    /// Waits until every sent message is acknowledged.
    pub(crate) fn settle(&mut self) {
        let mut up_to = 0;
        while up_to < self.number {
            let ack = self.client.control();
            assert_eq!(ack["T"], "ack", "{ack}");
            assert!(ack["up_to"].as_u64().unwrap() > up_to, "acks go forward");
            up_to = ack["up_to"].as_u64().unwrap();
        }
        assert_eq!(up_to, self.number);
    }

    /// Sends ticks and waits until they are acknowledged.
    pub(crate) fn publish(&mut self, ticks: &[Tick]) {
        for ticks in ticks.chunks(1_000) {
            self.send(ticks);
        }
        self.settle();
    }
}

/// Returns a data message in MessagePack.
pub(crate) fn data_message(ticks: &[Tick]) -> Vec<u8> {
    marked(ticks, None)
}

fn marked(ticks: &[Tick], mark: Option<&str>) -> Vec<u8> {
    let mut message = MessageBuf::new(Encoding::MsgpackArray);
    for tick in ticks {
        message.push(tick);
    }
    if let Some(mark) = mark {
        message.push_mark(mark);
    }
    message.finish().to_vec()
}
