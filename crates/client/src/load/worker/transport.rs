//! The socket of one connection: TCP, or TLS over it.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// How to speak TLS with the hub under load.
#[derive(Debug, Clone)]
pub(crate) struct TlsSettings {
    pub(crate) config: Arc<ClientConfig>,
    /// The name that the hub's certificate must be valid for.
    pub(crate) server_name: ServerName<'static>,
}

/// The socket of one connection: TCP, or TLS over it. Nothing here blocks.
#[derive(Debug)]
pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsTransport>),
}

/// TLS over TCP.
#[derive(Debug)]
pub(super) struct TlsTransport {
    stream: TcpStream,
    tls: ClientConnection,
    /// Whether the peer has announced the end of its stream.
    is_ended: bool,
}

/// The result of one read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Received {
    /// Number of bytes of plaintext that were read; 0 at the end of the stream.
    pub(super) bytes: usize,
    /// Whether the socket was empty afterwards, so that the next byte raises a new event.
    pub(super) is_drained: bool,
}

/// The most ciphertext that one read takes, in bytes.
pub(super) const CIPHERTEXT_BYTES: usize = 64 << 10;

/// The least room a read needs, in bytes: the plaintext of one read of ciphertext, and of the
/// record that it completes.
pub(super) const PLAINTEXT_ROOM_BYTES: usize = CIPHERTEXT_BYTES + (32 << 10);

impl Transport {
    /// Wraps a connected socket, with TLS if there are settings for it.
    ///
    /// # Errors
    /// Fails if the TLS settings are not usable.
    pub(super) fn new(stream: TcpStream, tls: Option<&TlsSettings>) -> io::Result<Self> {
        let Some(TlsSettings { config, server_name }) = tls else {
            return Ok(Self::Plain(stream));
        };
        let tls = ClientConnection::new(Arc::clone(config), server_name.clone())
            .map_err(io::Error::other)?;
        Ok(Self::Tls(Box::new(TlsTransport { stream, tls, is_ended: false })))
    }

    /// Reads once into `plaintext`, which must have [`PLAINTEXT_ROOM_BYTES`] of room. `ciphertext`
    /// is scratch space of [`CIPHERTEXT_BYTES`].
    ///
    /// # Errors
    /// Fails with `WouldBlock` if nothing has arrived, and with another error if the connection is
    /// broken.
    pub(super) fn read(
        &mut self,
        plaintext: &mut [u8],
        ciphertext: &mut [u8],
    ) -> io::Result<Received> {
        match self {
            Self::Plain(stream) => {
                let bytes = read(stream, plaintext)?;
                Ok(Received { bytes, is_drained: bytes < plaintext.len() })
            }
            Self::Tls(transport) => transport.read(plaintext, ciphertext),
        }
    }

    /// Writes as much of `out` as the socket accepts, and removes what was written.
    ///
    /// # Errors
    /// Fails if the connection is broken. A socket that accepts nothing more is no error.
    pub(super) fn write(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Plain(stream) => {
                while !out.is_empty() {
                    let Some(written) = unless_blocked(|| stream.write(out))? else { break };
                    out.drain(..written);
                }
                Ok(())
            }
            Self::Tls(transport) => transport.write(out),
        }
    }

    /// Announces the end of the stream, as far as the socket accepts it.
    pub(super) fn close(&mut self) {
        if let Self::Tls(transport) = self {
            transport.tls.send_close_notify();
            // A peer that does not accept the notice sees the end of the stream.
            let _ = transport.flush();
        }
    }
}

impl TlsTransport {
    fn read(&mut self, plaintext: &mut [u8], ciphertext: &mut [u8]) -> io::Result<Received> {
        loop {
            let read = read(&mut self.stream, ciphertext)?;
            let bytes = self.decrypt(&ciphertext[..read], plaintext)?;
            // Records of the handshake hold no plaintext.
            if read == 0 || bytes > 0 || self.is_ended {
                return Ok(Received { bytes, is_drained: read < ciphertext.len() });
            }
        }
    }

    /// Decrypts all of `ciphertext` and returns how many bytes of plaintext it made.
    fn decrypt(&mut self, mut ciphertext: &[u8], plaintext: &mut [u8]) -> io::Result<usize> {
        let mut bytes = 0;
        // rustls takes nothing more once the peer has ended the stream.
        while !ciphertext.is_empty() && self.tls.read_tls(&mut ciphertext)? > 0 {
            match self.tls.process_new_packets() {
                Ok(state) => self.is_ended |= state.peer_has_closed(),
                Err(error) => {
                    let _ = self.flush(); // the alert that tells the peer why
                    return Err(io::Error::new(ErrorKind::InvalidData, error));
                }
            }
            loop {
                match self.tls.reader().read(&mut plaintext[bytes..]) {
                    Ok(0) => break,
                    Ok(read) => bytes += read,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(bytes)
    }

    fn write(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        while self.flush()? && !out.is_empty() {
            // During the handshake rustls keeps plaintext, up to a limit of its own.
            match self.tls.writer().write(out)? {
                0 => break,
                taken => drop(out.drain(..taken)),
            }
        }
        Ok(())
    }

    /// Writes what has been encrypted. Returns whether all of it was written.
    fn flush(&mut self) -> io::Result<bool> {
        while self.tls.wants_write() {
            if unless_blocked(|| self.tls.write_tls(&mut self.stream))?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn read(stream: &mut TcpStream, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(into) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Repeats an operation until it is not interrupted; `None` if the socket is blocked.
fn unless_blocked(mut operation: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match operation() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_blocked(&error) => return Ok(None),
            done => return done.map(Some),
        }
    }
}

/// Returns whether an error only means that the socket cannot be read or written yet.
pub(super) fn is_blocked(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
}
