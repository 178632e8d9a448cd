//! TLS between a connection and its socket.

use std::io::{self, Read, Write};

use rustls::ServerConnection;

use super::Written;

/// Most plaintext in one TLS record, in bytes.
const RECORD_BYTES: usize = 16 * 1024;
/// Bytes that a TLS record adds to its plaintext.
const RECORD_OVERHEAD_BYTES: usize = 22;
/// Most ciphertext that may wait for the socket, in bytes: the records of one message of the
/// largest size, and room for the messages of TLS itself.
const PENDING_BYTES_MAX: usize = 5 * (RECORD_BYTES + RECORD_OVERHEAD_BYTES);

/// TLS state of one connection after its handshake. The methods do their I/O on a given socket.
#[derive(Debug)]
pub(super) struct Tls {
    rustls: Box<ServerConnection>,
}

impl Tls {
    pub(super) fn new(mut rustls: Box<ServerConnection>) -> Self {
        rustls.set_buffer_limit(Some(PENDING_BYTES_MAX));
        Self { rustls }
    }

    /// Encrypts and writes `bytes`. Encrypted bytes count as taken, since encryption cannot be
    /// undone. If the socket blocks, only a part of them may be taken.
    pub(super) fn write(&mut self, socket: &mut impl Write, bytes: &[u8]) -> io::Result<Written> {
        let mut taken = 0;
        while self.flush(socket)? && taken < bytes.len() {
            taken += self.rustls.writer().write(&bytes[taken..])?;
        }
        Ok(if taken == 0 && !bytes.is_empty() { Written::Blocked } else { Written::Bytes(taken) })
    }

    /// Writes pending ciphertext. Returns `true` if none is left, and `false` if the socket is
    /// blocked.
    pub(super) fn flush(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        while self.rustls.wants_write() {
            let rustls = &mut self.rustls;
            if super::write(1, || rustls.write_tls(socket))? == Written::Blocked {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns an upper bound of the ciphertext that is not yet written, in bytes; 0 if there is
    /// none.
    pub(super) fn pending_bytes_max(&self) -> usize {
        if self.rustls.wants_write() { PENDING_BYTES_MAX } else { 0 }
    }

    /// Reads plaintext that has arrived. Subtracts all bytes read from the socket from `allowance`,
    /// also if they hold no data, so that a peer cannot keep the shard busy with empty records.
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
                self.flush(socket)?; // sends the alert with the reason
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }

    /// Sends `close_notify`, the regular end of the stream, unless the socket is blocked.
    pub(super) fn send_close_notify(&mut self, socket: &mut impl Write) {
        self.rustls.send_close_notify();
        let _failed = self.flush(socket); // a peer that has closed needs no close_notify
    }
}

#[cfg(test)]
mod tests;
