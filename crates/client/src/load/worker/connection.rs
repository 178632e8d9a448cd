//! One connection with its socket.

use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

use mio::net::TcpStream;

use crate::load::peer::{End, Peer};
use crate::load::tally::{Arrival, Tally};
use crate::load::topics::Topics;
use crate::load::worker::clock::unix_ns;

/// One read. Frames that are cut off at its end are completed by the next.
pub(super) const READ_BYTES: usize = 256 << 10;

/// One connection with its socket.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) peer: Peer,
    /// The beginning of a frame whose rest has not come.
    pub(super) partial: Vec<u8>,
    pub(super) started: Instant,
}

/// Sends what is owed, as far as the socket takes it.
pub(super) fn flush(connection: &mut Connection) -> Result<(), End> {
    while !connection.peer.out.is_empty() {
        match connection.stream.write(&connection.peer.out) {
            Ok(sent) => drop(connection.peer.out.drain(..sent)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if not_now(&error) => return Ok(()),
            Err(error) => return Err(broken(connection, &error)),
        }
    }
    connection.peer.out.shrink_to_fit();
    Ok(())
}

/// Takes what has come, until the socket is empty.
pub(super) fn receive(
    connection: &mut Connection,
    ending: bool,
    measured: bool,
    buffer: &mut Vec<u8>,
    topics: &Topics,
    tally: &mut Tally,
) -> Result<(), End> {
    loop {
        let kept = connection.partial.len();
        if buffer.len() < kept + READ_BYTES / 2 {
            buffer.resize(kept + READ_BYTES, 0);
        }
        buffer[..kept].copy_from_slice(&connection.partial);
        let read = match connection.stream.read(&mut buffer[kept..]) {
            Ok(0) => return Err(gone(connection, "connection ended without a close")),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if not_now(&error) => return Ok(()),
            Err(error) => return Err(broken(connection, &error)),
        };
        let arrival = Arrival { unix_ns: unix_ns(), measured };
        let whole = kept + read;
        let used = connection.peer.receive(&buffer[..whole], arrival, topics, tally)?;
        connection.partial.clear();
        connection.partial.extend_from_slice(&buffer[used..whole]);
        if connection.partial.is_empty() {
            connection.partial = Vec::new();
        }
        // A read that does not fill the buffer has emptied the socket, and the next byte is a new
        // event; one system call saved per wake-up. At the end of the stream there is no new event.
        if whole < buffer.len() && !ending {
            return Ok(());
        }
    }
}

/// Whether a socket has nothing to give or to take yet.
fn not_now(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
}

fn broken(connection: &Connection, error: &std::io::Error) -> End {
    gone(connection, &error.kind().to_string())
}

fn gone(connection: &Connection, cause: &str) -> End {
    if connection.peer.is_open() {
        End::Closed(cause.to_owned())
    } else {
        End::Refused(cause.to_owned())
    }
}
