//! A WebSocket session that sends JSON commands and reads the hub's messages. Ticks are counted but
//! not decoded, because the program shares the machine with the hub.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use tickwire_protocol::{Control, Element, Encoding, decode_message};
use tickwire_testkit::frames::{self, CLOSE, OPEN_BINARY, OPEN_TEXT, PING, PONG, first_frame};

use crate::Result;

/// Time limit for each response of the hub.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Smallest size of a read.
const READ_BYTES: usize = 16 << 10;

/// A message from the hub.
#[derive(Debug)]
pub(crate) enum Message {
    Control(Control),
    /// A data message with this number of ticks.
    Ticks(u64),
}

/// A session. It blocks unless its stream is set to non-blocking. It does not answer pings: the hub
/// counts commands as signs of life too.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
    /// Range of the buffer that holds received bytes which were not taken yet.
    unread: std::ops::Range<usize>,
    /// Range of the payload of the last message taken.
    message: std::ops::Range<usize>,
}

impl Session {
    /// Opens a subscriber session and reads up to the hub's `connected` element.
    pub(crate) fn open(hub: &str) -> Result<Self> {
        let mut session = Self::connect(hub, "/ws")?;
        session.expect(|control| matches!(control, Control::Connected { .. }))?;
        Ok(session)
    }

    /// Opens a WebSocket at a path of the hub.
    pub(crate) fn connect(hub: &str, path: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(hub)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.set_write_timeout(Some(ANSWER_WITHIN))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {hub}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: {}\r\n\r\n",
            Encoding::MSGPACK_SUBPROTOCOL,
        )?;
        let mut session = Self { stream, buffer: vec![0; READ_BYTES], unread: 0..0, message: 0..0 };
        let head = session.head()?;
        if !head.starts_with("HTTP/1.1 101") {
            return Err(format!("no session: {}", head.lines().next().unwrap_or_default()).into());
        }
        Ok(session)
    }

    fn head(&mut self) -> Result<String> {
        loop {
            let bytes = &self.buffer[self.unread.clone()];
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
                self.unread.start += end + 4;
                return Ok(head);
            }
            self.wait()?;
        }
    }

    /// Sends one command.
    pub(crate) fn send(&mut self, command: &str) -> io::Result<()> {
        let mut frame = Vec::new();
        frames::write(OPEN_TEXT, command.as_bytes(), &mut frame);
        self.stream.write_all(&frame)
    }

    /// Skips messages until a control element for which `wanted` returns true.
    pub(crate) fn expect(&mut self, wanted: impl Fn(&Control) -> bool) -> Result<Control> {
        loop {
            if let Message::Control(control) = self.next()?
                && wanted(&control)
            {
                return Ok(control);
            }
        }
    }

    /// Waits for the next message. An error element is returned as an error.
    pub(crate) fn next(&mut self) -> Result<Message> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(message);
            }
            self.wait()?;
        }
    }

    /// Returns the next message from the buffer, if one is complete.
    pub(crate) fn take(&mut self) -> Result<Option<Message>> {
        while let Some((first_byte, payload)) = first_frame(&self.buffer[self.unread.clone()]) {
            self.message = self.unread.start + payload.start..self.unread.start + payload.end;
            self.unread.start = self.message.end;
            match first_byte {
                OPEN_BINARY => return read_message(&self.buffer[self.message.clone()]).map(Some),
                PING | PONG => {}
                CLOSE => return Err("the hub closed the session".into()),
                other => return Err(format!("a frame that starts with {other:#x}").into()),
            }
        }
        Ok(None)
    }

    /// Returns the payload of the last message that [`Session::take`] returned.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.buffer[self.message.clone()]
    }

    fn wait(&mut self) -> Result<()> {
        match self.read()? {
            true => Ok(()),
            false => Err(format!("no response in {} s", ANSWER_WITHIN.as_secs()).into()),
        }
    }

    /// Reads once into the buffer. Returns false if nothing has arrived.
    pub(crate) fn read(&mut self) -> Result<bool> {
        self.message = 0..0;
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        if self.buffer.len() < self.unread.end + READ_BYTES {
            self.buffer.resize(self.unread.end + READ_BYTES, 0);
        }
        match self.stream.read(&mut self.buffer[self.unread.end..]) {
            Ok(0) => Err("the hub ended the connection".into()),
            Ok(read) => {
                self.unread.end += read;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn read_message(payload: &[u8]) -> Result<Message> {
    let (elements, first) = match payload {
        [head @ 0x90..=0x9f, first, ..] => (u64::from(head & 15), first),
        [0xdc, high, low, first, ..] => (u64::from(u16::from_be_bytes([*high, *low])), first),
        _ => return Err("a message that is no array".into()),
    };
    if matches!(first, 0x90..=0x9f | 0xdc) {
        return Ok(Message::Ticks(elements)); // ticks are arrays, everything else is a map
    }
    match decode_message(payload, Encoding::MsgpackArray)?.pop() {
        Some(Element::Control(Control::Error { code, detail, id })) => {
            Err(format!("the hub refused command {id:?}: {code:?}, {detail:?}").into())
        }
        Some(Element::Control(control)) => Ok(Message::Control(control)),
        other => Err(format!("not a control element: {other:?}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_counted_and_refusals_are_errors() {
        let ticks = [0xdc, 1, 2, 0x9a, 0xa1, b't'];
        assert!(matches!(read_message(&ticks), Ok(Message::Ticks(258))));
        let mut refusal = Vec::new();
        let code = tickwire_protocol::ErrorCode::SymbolLimit;
        let error = Control::Error { code, detail: None, id: Some(3) };
        error.write_message(Encoding::MsgpackArray, &mut refusal);
        let message = read_message(&refusal).unwrap_err().to_string();
        assert!(message.contains("Some(3)") && message.contains("SymbolLimit"), "{message}");
    }
}
