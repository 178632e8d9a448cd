//! TLS between a connection and its socket.

use std::io::{self, Read, Write};

use rustls::ServerConnection;

use super::Written;

/// Most plaintext in one record, in bytes, and what a record adds to it.
const RECORD_BYTES: usize = 16 * 1024;
const RECORD_OVERHEAD_BYTES: usize = 22;
/// Ciphertext that may wait for the socket, in bytes: one message of the largest size, in its records,
/// and room for what TLS has to say for itself.
const PENDING_BYTES_MAX: usize = 5 * (RECORD_BYTES + RECORD_OVERHEAD_BYTES);

/// The TLS of one connection, behind its handshake. It does no I/O of its own.
#[derive(Debug)]
pub(super) struct Tls {
    rustls: Box<ServerConnection>,
}

impl Tls {
    pub(super) fn new(mut rustls: Box<ServerConnection>) -> Self {
        rustls.set_buffer_limit(Some(PENDING_BYTES_MAX));
        Self { rustls }
    }

    /// Encrypts and writes. What has been encrypted counts as taken, since it cannot be taken back; a
    /// part is taken only when the socket is blocked.
    pub(super) fn write(&mut self, socket: &mut impl Write, bytes: &[u8]) -> io::Result<Written> {
        let mut taken = 0;
        while self.flush(socket)? && taken < bytes.len() {
            taken += self.rustls.writer().write(&bytes[taken..])?;
        }
        Ok(if taken == 0 && !bytes.is_empty() { Written::Blocked } else { Written::Bytes(taken) })
    }

    /// Writes what has been encrypted. `true` when nothing is left; else the socket is blocked.
    pub(super) fn flush(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        while self.rustls.wants_write() {
            let rustls = &mut self.rustls;
            if super::write(1, || rustls.write_tls(socket))? == Written::Blocked {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Bytes that are encrypted and not written: 0, or this many at most.
    pub(super) fn pending_bytes_max(&self) -> usize {
        if self.rustls.wants_write() { PENDING_BYTES_MAX } else { 0 }
    }

    /// Reads what has arrived. What the socket gives comes off `allowance`, also if it holds no data, so
    /// that a peer cannot keep us busy with empty records.
    pub(super) fn read(
        &mut self,
        socket: &mut (impl Read + Write),
        into: &mut [u8],
        allowance: &mut usize,
    ) -> io::Result<usize> {
        loop {
            match self.rustls.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if *allowance == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            *allowance -= self.rustls.read_tls(&mut socket.take(*allowance as u64))?;
            if let Err(error) = self.rustls.process_new_packets() {
                self.flush(socket)?; // the alert that says why
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }

    /// Says that nothing more will come, unless the socket is blocked.
    pub(super) fn say_goodbye(&mut self, socket: &mut impl Write) {
        self.rustls.send_close_notify();
        let _gone = self.flush(socket); // then the peer needs no goodbye
    }
}

#[cfg(test)]
mod tests;
