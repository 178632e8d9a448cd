//! A client that behaves like Alpaca's SDKs and validates messages as strictly, and keys files.

mod decode;

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tickwire_hub::Config;

use crate::kit::{Client, OPEN_BINARY, OPEN_TEXT, PATIENCE, TestHub, config, masked, now};

/// Encoding of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Json,
    Msgpack,
}

impl Codec {
    pub(super) const BOTH: [Self; 2] = [Self::Json, Self::Msgpack];

    const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Msgpack => "application/msgpack",
        }
    }

    pub(super) const fn first_byte(self) -> u8 {
        match self {
            Self::Json => OPEN_TEXT,
            Self::Msgpack => OPEN_BINARY,
        }
    }

    /// Encodes a command as the payload of a frame.
    pub(super) fn encode(self, command: &Value) -> Vec<u8> {
        match self {
            Self::Json => command.to_string().into_bytes(),
            Self::Msgpack => rmp_serde::to_vec(command).unwrap(),
        }
    }
}

/// Something that a session received.
#[derive(Debug, PartialEq)]
pub(super) enum Received {
    /// The elements of a message.
    Message(Vec<Value>),
    Ping,
    Pong(Vec<u8>),
    Close(u16, String),
    /// The end of the connection.
    Gone,
}

/// A client of Alpaca's stream.
pub(super) struct Bot {
    pub(super) client: Client,
    pub(super) codec: Codec,
    pub(super) answers_pings: bool,
    /// Received elements that no call has returned yet.
    left: Vec<Value>,
}

impl Bot {
    /// Connects without sending or reading anything.
    pub(super) fn connect(hub: &TestHub, path: &str, codec: Codec) -> Self {
        Self::connect_with(hub, path, codec, &[])
    }

    pub(super) fn connect_with(
        hub: &TestHub,
        path: &str,
        codec: Codec,
        headers: &[(&str, &str)],
    ) -> Self {
        let kind = [("Content-Type", codec.content_type())];
        let client = Client::open(hub, path, &[&kind, headers].concat());
        Self { client, codec, answers_pings: true, left: Vec::new() }
    }

    /// Connects and reads the welcome.
    pub(super) fn welcomed(hub: &TestHub, codec: Codec) -> Self {
        let mut bot = Self::connect(hub, "/v2/sip", codec);
        assert_eq!(bot.message(), [json!({"T": "success", "msg": "connected"})]);
        bot
    }

    /// Opens a session on a hub that accepts any key.
    pub(super) fn open(hub: &TestHub, codec: Codec) -> Self {
        let mut bot = Self::welcomed(hub, codec);
        bot.log_in("any", "thing");
        bot
    }

    /// Opens a session with a subscription.
    pub(super) fn subscribed(hub: &TestHub, codec: Codec, channels: Value) -> Self {
        let mut bot = Self::open(hub, codec);
        bot.subscribe(channels);
        bot
    }

    // --- sending

    pub(super) fn say(&mut self, command: &Value) {
        let payload = self.codec.encode(command);
        self.client.send_frame(self.codec.first_byte(), &payload);
    }

    /// Sends a payload in fragments, the last one empty, as clients in Python send a subscribe.
    pub(super) fn say_in_pieces(&mut self, payload: &[u8], piece: usize) {
        for (number, piece) in payload.chunks(piece).enumerate() {
            let first = if number == 0 { self.codec.first_byte() & 0x0f } else { 0 };
            self.client.send_frame(first, piece);
        }
        self.client.send_frame(0x80, b"");
    }

    pub(super) fn say_auth(&mut self, key: &str, secret: &str) {
        self.say(&json!({"action": "auth", "key": key, "secret": secret}));
    }

    /// Authenticates, and asserts that the next message is the confirmation.
    pub(super) fn log_in(&mut self, key: &str, secret: &str) {
        self.say_auth(key, secret);
        assert_eq!(self.message(), [json!({"T": "success", "msg": "authenticated"})]);
    }

    /// Subscribes and returns the answer.
    pub(super) fn subscribe(&mut self, channels: Value) -> Value {
        self.request("subscribe", channels);
        self.ack()
    }

    /// Unsubscribes and returns the answer. Ticks before the answer are dropped.
    pub(super) fn unsubscribe(&mut self, channels: Value) -> Value {
        self.request("unsubscribe", channels);
        self.ack()
    }

    pub(super) fn request(&mut self, action: &str, channels: Value) {
        let mut command = channels;
        command["action"] = action.into();
        self.say(&command);
    }

    // --- receiving

    /// Returns the next event.
    pub(super) fn receive(&mut self) -> Received {
        let Some((first, payload)) = self.client.frame() else { return Received::Gone };
        match first {
            0x88 => match payload.split_first_chunk() {
                None => Received::Close(1005, String::new()),
                Some((code, reason)) => {
                    let reason = String::from_utf8(reason.to_vec()).unwrap();
                    Received::Close(u16::from_be_bytes(*code), reason)
                }
            },
            0x89 => {
                if self.answers_pings {
                    self.client.send_raw(&masked(0x8a, &payload));
                }
                Received::Ping
            }
            0x8a => Received::Pong(payload),
            data => {
                assert_eq!(data, self.codec.first_byte(), "text or binary as negotiated");
                Received::Message(decode::message(&payload, self.codec))
            }
        }
    }

    /// Returns the next message or the end, and skips pings and pongs.
    fn next(&mut self) -> Received {
        let deadline = now() + PATIENCE;
        loop {
            assert!(now() < deadline, "waited too long for a message");
            match self.receive() {
                Received::Ping | Received::Pong(_) => {}
                received => return received,
            }
        }
    }

    /// Returns the elements of the next message.
    pub(super) fn message(&mut self) -> Vec<Value> {
        match self.next() {
            Received::Message(elements) => elements,
            other => panic!("expected a message, got {other:?}"),
        }
    }

    /// Returns the next control element. Ticks before it are dropped.
    pub(super) fn answer(&mut self) -> Value {
        loop {
            let mut elements = self.message();
            if elements[0]["T"].as_str().unwrap().len() > 1 {
                return elements.remove(0); // the decoder has seen to it that it is the only one
            }
        }
    }

    /// Returns the next answer, which must be an ack.
    pub(super) fn ack(&mut self) -> Value {
        let ack = self.answer();
        assert_eq!(ack["T"], "subscription", "{ack}");
        ack
    }

    /// Asserts that the next answer is this error. Returns its detail.
    pub(super) fn error(&mut self, code: u16, msg: &str) -> String {
        let element = self.answer();
        let told = (&element["T"], &element["code"], &element["msg"]);
        assert_eq!(told, (&json!("error"), &json!(code), &json!(msg)), "{element}");
        element["detail"].as_str().unwrap_or_default().to_owned()
    }

    /// Returns the next event, which must be a close.
    pub(super) fn closed(&mut self) -> (u16, String) {
        match self.next() {
            Received::Close(code, reason) => (code, reason),
            other => panic!("expected a close, got {other:?}"),
        }
    }

    /// Returns the next `count` ticks, from any number of messages.
    pub(super) fn take(&mut self, count: usize) -> Vec<Value> {
        while self.left.len() < count {
            let elements = self.message();
            assert!(elements[0]["T"].as_str().unwrap().len() == 1, "expected ticks: {elements:?}");
            self.left.extend(elements);
        }
        let more = self.left.split_off(count);
        std::mem::replace(&mut self.left, more)
    }

    /// Asserts that nothing arrives before the answer to an empty subscribe.
    pub(super) fn nothing_pending(&mut self) {
        assert!(self.left.is_empty(), "{:?}", self.left);
        self.request("subscribe", json!({}));
        let elements = self.message();
        assert_eq!(elements[0]["T"], "subscription", "{elements:?}");
    }
}

/// Returns the expected ack with these names. Other channels are empty.
pub(super) fn set(channels: Value) -> Value {
    let mut ack = json!({"T": "subscription"});
    for channel in [
        "trades",
        "quotes",
        "bars",
        "updatedBars",
        "dailyBars",
        "statuses",
        "lulds",
        "imbalances",
        "corrections",
        "cancelErrors",
    ] {
        ack[channel] = channels.get(channel).cloned().unwrap_or_else(|| json!([]));
    }
    for follower in ["corrections", "cancelErrors"] {
        ack[follower] = ack["trades"].clone();
    }
    ack
}

/// Sorts the lists of an ack, whose order has no meaning.
pub(super) fn sorted(mut ack: Value) -> Value {
    for list in ack.as_object_mut().unwrap().values_mut() {
        if let Value::Array(names) = list {
            names.sort_by_key(ToString::to_string);
        }
    }
    ack
}

/// A keys file in a temporary folder.
pub(super) struct KeysFile {
    folder: TempDir,
    text: String,
}

impl KeysFile {
    /// Creates a file that starts with these lines.
    pub(super) fn new(first: &str) -> Self {
        let file = Self { folder: TempDir::new().unwrap(), text: format!("{first}\n") };
        file.save();
        file
    }

    /// Adds a read key with this id, the secret of [`secret`] and additional lines.
    pub(super) fn with(mut self, id: &str, more: &str) -> Self {
        let salt = [7; 16];
        let hash = Sha256::new().chain_update(salt).chain_update(secret(id)).finalize();
        let hex = |bytes: &[u8]| {
            bytes.iter().fold(String::new(), |mut text, byte| {
                write!(text, "{byte:02x}").unwrap();
                text
            })
        };
        let salt = hex(&salt);
        let hash = hex(&hash);
        let key = format!(
            "[[key]]\nid = \"{id}\"\nname = \"{id}\"\nsecret = \"sha256:{salt}:{hash}\"\n\
             role = \"read\"\n{more}\n"
        );
        self.text.push_str(&key);
        self.save();
        self
    }

    /// Replaces a text in the file.
    pub(super) fn change(&mut self, from: &str, to: &str) {
        assert!(self.text.contains(from));
        self.text = self.text.replace(from, to);
        self.save();
    }

    fn save(&self) {
        std::fs::write(self.path(), &self.text).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("keys.toml")
    }

    /// Returns the config of a hub that uses this file.
    pub(super) fn config(&self) -> Config {
        Config { keys: Some(self.path()), ..config() }
    }
}

/// Returns the secret of the key with this id.
pub(super) fn secret(id: &str) -> String {
    format!("secret-of-{id}-0123456789")
}
