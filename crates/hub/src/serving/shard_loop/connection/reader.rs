//! Reading messages, with a library that is there only while something is on its way.

use std::io::{self, Read, Write};

use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

/// Bytes the library reads at once: most commands in one piece.
const READ_BUFFER_BYTES: usize = 2_048;

/// Reads the messages of one connection.
///
/// The library keeps a buffer that has grown to what a command needed, and its state. An idle
/// connection needs neither: they are dropped once all that was read has become messages, and made
/// anew when there may be more.
#[derive(Debug)]
pub struct Reader {
    library: Option<Box<Library>>,
    message_bytes_max: usize,
}

impl Reader {
    /// A reader that begins with bytes that were read already.
    #[must_use]
    pub fn new(message_bytes_max: usize, read_already: Vec<u8>) -> Self {
        let mut reader = Self { library: None, message_bytes_max };
        if !read_already.is_empty() {
            reader.library = Some(Box::new(Library::new(message_bytes_max, read_already)));
        }
        reader
    }

    /// Sets how large messages may be that have not begun yet.
    pub fn set_message_bytes_max(&mut self, bytes: usize) {
        self.message_bytes_max = bytes;
        if let Some(library) = &mut self.library {
            library.context.set_config(|config| *config = library_config(bytes));
        }
    }

    /// Reads one message. What has to be answered by itself is written to the stream, which must take
    /// all of it at once.
    ///
    /// # Errors
    /// As [`WebSocketContext::read`].
    pub fn read(&mut self, stream: &mut (impl Read + Write)) -> Result<Message, Error> {
        let library = self.library();
        let message = library.read(stream);
        if let Err(Error::Io(error)) = &message
            && error.kind() == io::ErrorKind::WouldBlock
            && library.holds_nothing()
        {
            self.library = None;
        }
        message
    }

    /// Writes a close frame, unless one has been written.
    pub fn close(&mut self, stream: &mut (impl Read + Write), frame: CloseFrame) {
        let closed = self.library().context.close(stream, Some(frame));
        let _peer_was_first = closed; // then our answer is on its way already
    }

    fn library(&mut self) -> &mut Library {
        let make = || Box::new(Library::new(self.message_bytes_max, Vec::new()));
        self.library.get_or_insert_with(make)
    }
}

#[derive(Debug)]
struct Library {
    context: WebSocketContext,
    /// Bytes it was given since it was made.
    given: usize,
    /// The fewest bytes that the messages it has made of them can have had.
    ///
    /// Invariant: not more than it has taken out of its buffer, which is not more than `given`. So when
    /// the two are equal, its buffer is empty, and no frame and no message in pieces has begun.
    taken: usize,
}

impl Library {
    fn new(message_bytes_max: usize, read_already: Vec<u8>) -> Self {
        let config = library_config(message_bytes_max);
        let given = read_already.len();
        let context =
            WebSocketContext::from_partially_read(read_already, Role::Server, Some(config));
        Self { context, given, taken: 0 }
    }

    fn read(&mut self, stream: &mut (impl Read + Write)) -> Result<Message, Error> {
        let message = self.context.read(&mut Counted { stream, given: &mut self.given })?;
        self.taken += frame_bytes_min(message.len());
        Ok(message)
    }

    /// Whether a new one would do as well, when the last read has found nothing more: that read has
    /// written the answers that were due. A peer that splits its messages or writes lengths longer than
    /// they need be has taken more than is counted, and keeps its library.
    fn holds_nothing(&self) -> bool {
        self.given == self.taken && self.context.can_write()
    }
}

fn library_config(message_bytes_max: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max))
}

/// The fewest bytes in which a client can send a message. Pieces have a header each, so that those of
/// a message are never shorter.
const fn frame_bytes_min(payload: usize) -> usize {
    let (start, mask) = (2, 4);
    let length = match payload {
        0..=125 => 0,
        126..=65_535 => 2,
        _ => 8,
    };
    start + length + mask + payload
}

/// A stream that counts what is read.
struct Counted<'a, S> {
    stream: &'a mut S,
    given: &'a mut usize,
}

impl<S: Read> Read for Counted<'_, S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(into)?;
        *self.given += count;
        Ok(count)
    }
}

impl<S: Write> Write for Counted<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests;
