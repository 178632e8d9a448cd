//! A WebSocket client that reads and writes raw frames, and checks every frame it receives.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tickwire_protocol::{Control, Element, Encoding, Tick, decode_message};
use tickwire_testkit::frames::{CLOSE, OPEN_BINARY, OPEN_TEXT, PING, PONG, first_frame, masked};

use super::{PATIENCE, TestHub, now, until, upgrade_request};

/// Something that a client received.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    /// A control element.
    Control(Value),
    /// A data message.
    Ticks(Vec<Tick>),
    /// A ping, which the client has answered.
    Ping,
    /// A pong.
    Pong,
    /// A close frame with code and reason. The code is 1005 if the frame has none.
    Close(u16, String),
    /// The end of the connection.
    Gone,
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    /// The response to the handshake, in lower case.
    pub(crate) head: String,
    /// Encoding of the session. A publisher is answered in the encoding of its last message.
    encoding: Option<Encoding>,
    buffer: Vec<u8>,
    /// Offset of the next frame in `buffer`.
    start: usize,
    /// Received ticks that no call has returned yet.
    ticks: VecDeque<Tick>,
    /// Position at the end of the last data message that had one.
    pub(crate) position: Option<u64>,
    pub(crate) answers_pings: bool,
}

impl Client {
    /// Connects to a path, and asserts that the upgrade succeeds.
    pub(crate) fn open(hub: &TestHub, path: &str, headers: &[(&str, &str)]) -> Self {
        let request = upgrade_request(hub.address, path, headers);
        let client = Self::connect(hub, request.as_bytes());
        assert!(client.head.starts_with("http/1.1 101"), "{}", client.head);
        client
    }

    /// Connects with any request, and reads the head of the response.
    pub(crate) fn connect(hub: &TestHub, request: &[u8]) -> Self {
        let mut stream = TcpStream::connect(hub.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self {
            stream,
            head: String::new(),
            encoding: None,
            buffer: Vec::new(),
            start: 0,
            ticks: VecDeque::new(),
            position: None,
            answers_pings: true,
        };
        if !request.is_empty() {
            client.read_head();
        }
        client
    }

    pub(crate) fn read_head(&mut self) {
        let end = loop {
            let unread = &self.buffer[self.start..];
            if let Some(end) = unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break self.start + end + 4;
            }
            assert!(self.fill().unwrap(), "no answer: {:?}", String::from_utf8_lossy(&self.buffer));
        };
        self.head = String::from_utf8_lossy(&self.buffer[self.start..end]).to_ascii_lowercase();
        self.start = end;
    }

    /// Opens a session and reads its first two messages.
    pub(crate) fn session(hub: &TestHub, encoding: Encoding) -> Self {
        Self::session_at(hub, "/ws", encoding)
    }

    /// Like [`Client::session`], at a path that may name a view.
    pub(crate) fn session_at(hub: &TestHub, path: &str, encoding: Encoding) -> Self {
        let protocol = encoding.subprotocol().unwrap();
        let protocol = [("Sec-WebSocket-Protocol", protocol)];
        let mut client = Self::open(hub, path, &protocol);
        client.encoding = Some(encoding);
        assert_eq!(client.control()["msg"], "connected");
        assert_eq!(client.next().control()["T"], "feed");
        client
    }

    pub(crate) fn json(hub: &TestHub) -> Self {
        Self::session(hub, Encoding::Json)
    }

    pub(crate) fn msgpack(hub: &TestHub) -> Self {
        Self::session(hub, Encoding::MsgpackArray)
    }

    // --- sending

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn send_frame(&mut self, first: u8, payload: &[u8]) {
        self.send_raw(&masked(first, payload));
    }

    /// Sends a command as JSON text.
    pub(crate) fn send(&mut self, command: &str) {
        self.send_frame(OPEN_TEXT, command.as_bytes());
    }

    pub(crate) fn send_close(&mut self, code: u16) {
        self.send_frame(CLOSE, &code.to_be_bytes());
    }

    /// Sends a command and returns its answer. Ticks before the answer are dropped.
    pub(crate) fn ask(&mut self, command: &str) -> Value {
        self.send(command);
        self.answer()
    }

    /// Subscribes without a snapshot, and waits for the ack.
    pub(crate) fn subscribe(&mut self, names: &str) {
        let command = format!(r#"{{"action":"subscribe",{names},"snapshot":false}}"#);
        assert_eq!(self.ask(&command)["T"], "subscription");
    }

    // --- receiving

    /// Returns the next event of any kind.
    pub(crate) fn next(&mut self) -> Event {
        if !self.ticks.is_empty() {
            return Event::Ticks(std::mem::take(&mut self.ticks).into());
        }
        match self.frame() {
            None => Event::Gone,
            Some((PING, payload)) => {
                if self.answers_pings {
                    let _gone = self.stream.write_all(&masked(PONG, &payload));
                }
                Event::Ping
            }
            Some((PONG, _)) => Event::Pong,
            Some((CLOSE, payload)) => match payload.split_first_chunk() {
                None => Event::Close(1005, String::new()),
                Some((code, reason)) => {
                    let reason = String::from_utf8(reason.to_vec()).unwrap();
                    Event::Close(u16::from_be_bytes(*code), reason)
                }
            },
            Some((first, payload)) => {
                let spoken = match first {
                    OPEN_TEXT => Encoding::Json,
                    OPEN_BINARY => Encoding::MsgpackArray,
                    other => panic!("first byte of a message: {other:#x}"),
                };
                assert_eq!(spoken, self.encoding.unwrap_or(spoken));
                self.message(&payload, spoken)
            }
        }
    }

    fn message(&mut self, payload: &[u8], encoding: Encoding) -> Event {
        let elements: Value = match encoding {
            Encoding::Json => serde_json::from_slice(payload).unwrap(),
            Encoding::MsgpackArray if !matches!(payload[1], 0x80..=0x8f | 0xde) => {
                return Event::Ticks(self.ticks_of(payload, encoding));
            }
            _ => rmp_serde::from_slice(payload).unwrap(),
        };
        if elements[0]["T"].as_str().is_some_and(|kind| kind.len() == 1) {
            return Event::Ticks(self.ticks_of(payload, encoding));
        }
        let Value::Array(mut elements) = elements else { panic!("not an array: {elements}") };
        assert_eq!(elements.len(), 1, "a control element stands alone");
        Event::Control(elements.remove(0))
    }

    /// Returns the ticks of a data message, which may end with a position.
    fn ticks_of(&mut self, payload: &[u8], encoding: Encoding) -> Vec<Tick> {
        let mut ticks = Vec::new();
        let elements = decode_message(payload, encoding).unwrap();
        let last = elements.len() - 1;
        for (place, element) in elements.into_iter().enumerate() {
            match element {
                Element::Tick(tick) => ticks.push(tick),
                Element::Control(Control::Position { pos }) if place == last => {
                    self.position = Some(pos);
                }
                Element::Control(other) => panic!("{other:?} among ticks"),
            }
        }
        ticks
    }

    /// Returns the next event other than pings, heartbeats and feed states.
    pub(crate) fn event(&mut self) -> Event {
        let deadline = now() + PATIENCE;
        loop {
            assert!(now() < deadline, "waited too long for an event");
            match self.next() {
                Event::Ping | Event::Pong => {}
                Event::Control(element) if element["T"] == "feed" => {}
                Event::Control(element) if element["T"] == "heartbeat" => {}
                event => return event,
            }
        }
    }

    /// Returns the next event, which must be a control element.
    pub(crate) fn control(&mut self) -> Value {
        self.event().control()
    }

    /// Returns the next control element. Ticks before it are dropped.
    pub(crate) fn answer(&mut self) -> Value {
        loop {
            match self.event() {
                Event::Ticks(_) => {}
                event => return event.control(),
            }
        }
    }

    /// Returns the ticks of the next message, which must be a data message.
    pub(crate) fn data(&mut self) -> Vec<Tick> {
        match self.event() {
            Event::Ticks(ticks) => ticks,
            other => panic!("expected ticks, got {other:?}"),
        }
    }

    /// Returns the next `count` ticks, from any number of messages.
    pub(crate) fn take(&mut self, count: usize) -> Vec<Tick> {
        let mut ticks = Vec::with_capacity(count);
        while ticks.len() < count {
            ticks.extend(self.data());
        }
        self.ticks.extend(ticks.drain(count..));
        ticks
    }

    /// Asserts that the next event is an error with this code. Returns the id of the command it
    /// answers, and the detail.
    pub(crate) fn error(&mut self, code: u16) -> (Value, String) {
        let element = self.answer();
        assert_eq!((&element["T"], &element["code"]), (&"error".into(), &code.into()), "{element}");
        (element["id"].clone(), element["detail"].as_str().unwrap_or_default().to_owned())
    }

    /// Reads until the close frame or the end of the connection. Ticks are only counted.
    pub(crate) fn drain(&mut self) -> (usize, Vec<Value>, Event) {
        let mut ticks = 0;
        let mut controls = Vec::new();
        loop {
            match self.event() {
                Event::Ticks(more) => ticks += more.len(),
                Event::Control(element) => controls.push(element),
                end => return (ticks, controls, end),
            }
        }
    }

    /// Returns the next close frame. Events before it are dropped.
    pub(crate) fn closed(&mut self) -> Event {
        self.drain().2
    }

    /// Waits for the end of the connection. Events before it are dropped.
    pub(crate) fn gone(&mut self) {
        while self.next() != Event::Gone {}
    }

    /// Asserts that nothing arrives before the answer to a `list`.
    pub(crate) fn nothing_pending(&mut self) {
        self.send(r#"{"action":"list","id":4711}"#);
        assert_eq!(self.control()["id"], 4711);
    }

    /// Shuts down the sending direction.
    pub(crate) fn end_writing(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Returns first byte and payload of the next frame, or `None` at the end of the connection.
    pub(crate) fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let deadline = now() + PATIENCE;
        loop {
            let unread = &self.buffer[self.start..];
            if let Some((first, payload)) = first_frame(unread) {
                self.start += payload.end;
                return Some((first, unread[payload].to_vec()));
            }
            assert!(now() < deadline, "waited too long for a frame");
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => return None,
                Err(error) => panic!("waited too long for a frame: {error:?}"),
            }
        }
    }

    /// Reads more bytes. Returns `false` at the end.
    fn fill(&mut self) -> Result<bool, ErrorKind> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let mut bytes = vec![0; 256 * 1024];
        let count = self.stream.read(&mut bytes).map_err(|error| error.kind())?;
        self.buffer.extend_from_slice(&bytes[..count]);
        Ok(count > 0)
    }

    /// Skips bytes that are not a frame.
    pub(crate) fn skip(&mut self, bytes: usize) {
        while self.buffer.len() - self.start < bytes {
            assert!(self.fill().unwrap(), "the connection has ended");
        }
        self.start += bytes;
    }

    /// Returns whether the connection is still open, without consuming received bytes.
    pub(crate) fn is_connected(&self) -> bool {
        let mut byte = [0; 1];
        self.stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let peeked = self.stream.peek(&mut byte);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        match peeked {
            Ok(count) => count > 0,
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}

impl Event {
    /// Returns the `retry_ms` of this event if it is the close of a hub that shuts down.
    pub(crate) fn retry_ms(&self) -> Option<u64> {
        match self {
            Self::Close(1001, reason) => reason.strip_prefix("shutdown retry_ms=")?.parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn control(self) -> Value {
        match self {
            Self::Control(element) => element,
            other => panic!("expected a control element, got {other:?}"),
        }
    }
}

/// A session that reads everything on its own thread and checks that no tick is missing.
pub(crate) struct Reader {
    thread: JoinHandle<(u64, Event)>,
    last: Arc<AtomicU64>,
}

impl Reader {
    pub(crate) fn start(mut client: Client) -> Self {
        let last = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&last);
        let thread = std::thread::spawn(move || {
            loop {
                match client.event() {
                    Event::Ticks(ticks) => {
                        for tick in ticks {
                            let last = seen.fetch_add(1, Ordering::Relaxed);
                            assert_eq!(tick.seq.0, last + 1, "each tick exactly once");
                        }
                    }
                    Event::Control(element) => panic!("{element}"),
                    end => return (seen.load(Ordering::Relaxed), end),
                }
            }
        });
        Self { thread, last }
    }

    /// Returns the sequence number of the last tick so far.
    pub(crate) fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Waits for the session's end. Returns the number of its last tick, and its close.
    pub(crate) fn join(self) -> (u64, Event) {
        self.thread.join().unwrap()
    }
}

/// Waits until every reader has received the tick with this sequence number.
pub(crate) fn caught_up(readers: &[Reader], seq: u64) {
    until("the readers have caught up", || readers.iter().all(|reader| reader.last() == seq));
}
