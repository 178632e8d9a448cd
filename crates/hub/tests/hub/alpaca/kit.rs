//! A client that behaves as those of Alpaca's stream do and reads strictly what they need, and keys files.

mod decode;

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tickwire_hub::Config;

use crate::kit::{Client, OPEN_BINARY, OPEN_TEXT, PATIENCE, TestHub, config, masked, now};

/// How messages are spelled.
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

    /// A command as it goes into a frame.
    pub(super) fn spell(self, command: &Value) -> Vec<u8> {
        match self {
            Self::Json => command.to_string().into_bytes(),
            Self::Msgpack => rmp_serde::to_vec(command).unwrap(),
        }
    }
}

/// What a bot hears.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    /// A message: its elements.
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
    /// Elements that were heard and not taken yet.
    left: Vec<Value>,
}

impl Bot {
    /// Connects, without a word or a look.
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

    /// A session on a hub that takes any key.
    pub(super) fn open(hub: &TestHub, codec: Codec) -> Self {
        let mut bot = Self::welcomed(hub, codec);
        bot.log_in("any", "thing");
        bot
    }

    /// A session with a subscription.
    pub(super) fn subscribed(hub: &TestHub, codec: Codec, channels: Value) -> Self {
        let mut bot = Self::open(hub, codec);
        bot.subscribe(channels);
        bot
    }

    // --- saying

    pub(super) fn say(&mut self, command: &Value) {
        let payload = self.codec.spell(command);
        self.client.send_frame(self.codec.first_byte(), &payload);
    }

    /// Sends a payload in pieces, the last of them empty, as Python's clients send a subscribe.
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

    /// Logs in; the answer must say that it worked, and nothing may come before it.
    pub(super) fn log_in(&mut self, key: &str, secret: &str) {
        self.say_auth(key, secret);
        assert_eq!(self.message(), [json!({"T": "success", "msg": "authenticated"})]);
    }

    /// Subscribes and returns the answer.
    pub(super) fn subscribe(&mut self, channels: Value) -> Value {
        self.request("subscribe", channels);
        self.ack()
    }

    /// Unsubscribes and returns the answer; what was on its way before it is dropped.
    pub(super) fn unsubscribe(&mut self, channels: Value) -> Value {
        self.request("unsubscribe", channels);
        self.ack()
    }

    pub(super) fn request(&mut self, action: &str, channels: Value) {
        let mut command = channels;
        command["action"] = action.into();
        self.say(&command);
    }

    // --- hearing

    /// The next thing that happens.
    pub(super) fn hear(&mut self) -> Heard {
        let Some((first, payload)) = self.client.frame() else { return Heard::Gone };
        match first {
            0x88 => match payload.split_first_chunk() {
                None => Heard::Close(1005, String::new()),
                Some((code, reason)) => {
                    let reason = String::from_utf8(reason.to_vec()).unwrap();
                    Heard::Close(u16::from_be_bytes(*code), reason)
                }
            },
            0x89 => {
                if self.answers_pings {
                    self.client.send_raw(&masked(0x8a, &payload));
                }
                Heard::Ping
            }
            0x8a => Heard::Pong(payload),
            data => {
                assert_eq!(data, self.codec.first_byte(), "text or binary as negotiated");
                Heard::Message(decode::message(&payload, self.codec))
            }
        }
    }

    /// The next message or the end, past pings and pongs.
    fn next(&mut self) -> Heard {
        let deadline = now() + PATIENCE;
        loop {
            assert!(now() < deadline, "waited too long for a message");
            match self.hear() {
                Heard::Ping | Heard::Pong(_) => {}
                heard => return heard,
            }
        }
    }

    /// The next message.
    pub(super) fn message(&mut self) -> Vec<Value> {
        match self.next() {
            Heard::Message(elements) => elements,
            other => panic!("expected a message, heard {other:?}"),
        }
    }

    /// The next control element; ticks before it are dropped.
    pub(super) fn answer(&mut self) -> Value {
        loop {
            let mut elements = self.message();
            if elements[0]["T"].as_str().unwrap().len() > 1 {
                return elements.remove(0); // the decoder has seen to it that it is the only one
            }
        }
    }

    /// The next answer, which must be an ack.
    pub(super) fn ack(&mut self) -> Value {
        let ack = self.answer();
        assert_eq!(ack["T"], "subscription", "{ack}");
        ack
    }

    /// The next answer must be this error; returns what it says besides.
    pub(super) fn error(&mut self, code: u16, msg: &str) -> String {
        let element = self.answer();
        let told = (&element["T"], &element["code"], &element["msg"]);
        assert_eq!(told, (&json!("error"), &json!(code), &json!(msg)), "{element}");
        element["detail"].as_str().unwrap_or_default().to_owned()
    }

    /// The next thing must be a close.
    pub(super) fn closed(&mut self) -> (u16, String) {
        match self.next() {
            Heard::Close(code, reason) => (code, reason),
            other => panic!("expected a close, heard {other:?}"),
        }
    }

    /// So many ticks, from as many messages as it takes.
    pub(super) fn take(&mut self, count: usize) -> Vec<Value> {
        while self.left.len() < count {
            let elements = self.message();
            assert!(elements[0]["T"].as_str().unwrap().len() == 1, "expected ticks: {elements:?}");
            self.left.extend(elements);
        }
        let more = self.left.split_off(count);
        std::mem::replace(&mut self.left, more)
    }

    /// Fails if anything comes before the answer to an empty subscribe.
    pub(super) fn nothing_pending(&mut self) {
        assert!(self.left.is_empty(), "{:?}", self.left);
        self.request("subscribe", json!({}));
        let elements = self.message();
        assert_eq!(elements[0]["T"], "subscription", "{elements:?}");
    }
}

/// The answer to a subscription: what it names; channels not named are empty.
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

/// An ack whose lists are sorted, since their order means nothing.
pub(super) fn sorted(mut ack: Value) -> Value {
    for list in ack.as_object_mut().unwrap().values_mut() {
        if let Value::Array(names) = list {
            names.sort_by_key(ToString::to_string);
        }
    }
    ack
}

/// A keys file in a folder of its own.
pub(super) struct KeysFile {
    folder: TempDir,
    text: String,
}

impl KeysFile {
    /// A file that begins with these lines.
    pub(super) fn new(first: &str) -> Self {
        let file = Self { folder: TempDir::new().unwrap(), text: format!("{first}\n") };
        file.save();
        file
    }

    /// Adds a key for reading with an id, what is more to it, and the secret [`secret`] tells.
    pub(super) fn with(mut self, id: &str, more: &str) -> Self {
        let salt = [7; 16];
        let hash = Sha256::new().chain_update(salt).chain_update(secret(id)).finalize();
        let hex = |bytes: &[u8]| {
            bytes.iter().fold(String::new(), |mut text, byte| {
                write!(text, "{byte:02x}").unwrap();
                text
            })
        };
        let (salt, hash) = (hex(&salt), hex(&hash));
        let key = format!(
            "[[key]]\nid = \"{id}\"\nname = \"{id}\"\nsecret = \"sha256:{salt}:{hash}\"\n\
             role = \"read\"\n{more}\n"
        );
        self.text.push_str(&key);
        self.save();
        self
    }

    /// Replaces a text in it.
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

    /// The config of a hub that follows it.
    pub(super) fn config(&self) -> Config {
        Config { keys: Some(self.path()), ..config() }
    }
}

/// The secret of the key with that id.
pub(super) fn secret(id: &str) -> String {
    format!("secret-of-{id}-0123456789")
}
