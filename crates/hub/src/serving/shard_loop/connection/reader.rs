//! Reads WebSocket messages and keeps the state of the library only while a message is incomplete.

use std::io::{self, Read, Write};

use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

/// Bytes that the library reads at once. Most commands fit.
const READ_BUFFER_BYTES: usize = 2_048;

/// Reads the messages of one connection.
///
/// The library keeps its state and a buffer as large as the largest command so far. An idle
/// connection needs neither: both are dropped once all bytes read have become messages, and
/// recreated for the next read.
#[derive(Debug)]
pub struct Reader {
    library: Option<Box<Library>>,
    message_bytes_max: usize,
}

impl Reader {
    /// Creates a reader whose input begins with bytes that were already read.
    #[must_use]
    pub fn new(message_bytes_max: usize, read_already: Vec<u8>) -> Self {
        let mut reader = Self { library: None, message_bytes_max };
        if !read_already.is_empty() {
            reader.library = Some(Box::new(Library::new(message_bytes_max, read_already)));
        }
        reader
    }

    /// Sets the largest size, in bytes, of messages that have not begun yet.
    pub fn set_message_bytes_max(&mut self, bytes: usize) {
        self.message_bytes_max = bytes;
        if let Some(library) = &mut self.library {
            library.context.set_config(|config| *config = library_config(bytes));
        }
    }

    /// Reads one message. Automatic answers, such as pongs, are written to the stream, which must
    /// take each of them whole.
    ///
    /// # Errors
    /// Returns the errors of [`WebSocketContext::read`].
    pub fn read(&mut self, stream: &mut (impl Read + Write)) -> Result<Message, Error> {
        let library = self.library();
        let message = library.read(stream);
        if let Err(Error::Io(error)) = &message
            && error.kind() == io::ErrorKind::WouldBlock
            && library.is_idle()
        {
            self.library = None;
        }
        message
    }

    /// Writes a close frame, unless one was written before.
    pub fn close(&mut self, stream: &mut (impl Read + Write), frame: CloseFrame) {
        let closed = self.library().context.close(stream, Some(frame));
        let _peer_was_first = closed; // then the answer is already queued
    }

    fn library(&mut self) -> &mut Library {
        let make = || Box::new(Library::new(self.message_bytes_max, Vec::new()));
        self.library.get_or_insert_with(make)
    }
}

/// State of the WebSocket library, with counters that tell whether it holds any bytes.
#[derive(Debug)]
struct Library {
    context: WebSocketContext,
    /// Number of bytes that the library has read since its creation.
    bytes_read: usize,
    /// Lower bound of the number of bytes that encoded the messages returned so far.
    ///
    /// Invariant: `bytes_decoded` is at most the number of bytes that the library took out of its
    /// buffer, which is at most `bytes_read`. If `bytes_decoded` equals `bytes_read`, the buffer is
    /// empty, and no frame and no fragmented message has begun.
    bytes_decoded: usize,
}

impl Library {
    fn new(message_bytes_max: usize, read_already: Vec<u8>) -> Self {
        let config = library_config(message_bytes_max);
        let bytes_read = read_already.len();
        let context =
            WebSocketContext::from_partially_read(read_already, Role::Server, Some(config));
        Self { context, bytes_read, bytes_decoded: 0 }
    }

    fn read(&mut self, stream: &mut (impl Read + Write)) -> Result<Message, Error> {
        let message =
            self.context.read(&mut CountingStream { stream, bytes_read: &mut self.bytes_read })?;
        self.bytes_decoded += frame_bytes_min(message.len());
        Ok(message)
    }

    /// Returns whether the library holds no state and can be dropped. The caller calls this after a
    /// read that found no more data: such a read has written all automatic answers. Fragmented
    /// messages, and lengths encoded in more bytes than needed, take more bytes than
    /// `bytes_decoded` counts, so the library of such a peer is kept.
    fn is_idle(&self) -> bool {
        self.bytes_read == self.bytes_decoded && self.context.can_write()
    }
}

fn library_config(message_bytes_max: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max))
}

/// Returns the fewest bytes in which a client can send a message with a payload of `payload` bytes.
/// Each fragment has a header, so a fragmented message is never shorter.
const fn frame_bytes_min(payload: usize) -> usize {
    let (start, mask) = (2, 4);
    let length = match payload {
        0..=125 => 0,
        126..=65_535 => 2,
        _ => 8,
    };
    start + length + mask + payload
}

/// A stream that counts the bytes read from it.
struct CountingStream<'a, S> {
    stream: &'a mut S,
    bytes_read: &'a mut usize,
}

impl<S: Read> Read for CountingStream<'_, S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(into)?;
        *self.bytes_read += count;
        Ok(count)
    }
}

impl<S: Write> Write for CountingStream<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests;
