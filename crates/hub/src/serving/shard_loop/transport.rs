//! Byte stream of one connection, over TCP or TLS.

mod tls;

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use crate::serving::new_connection::BareStream;
use tls::Tls;

/// A non-blocking connection: plain TCP, or TLS over TCP.
#[derive(Debug)]
pub(crate) struct Transport {
    stream: TcpStream,
    tls: Option<Tls>,
    /// Whether the kernel holds few unsent bytes: see [`Transport::set_fresh`].
    fresh: bool,
}

/// Result of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// The number of bytes taken, perhaps fewer than were offered.
    Bytes(usize),
    /// No byte was taken: the peer or the network is slower than the hub.
    Blocked,
}

/// Unsent bytes that the kernel may hold for a connection before the connection counts as blocked.
/// Bounds the data that a stalled reader hides from its backlog, and is far above the data that one
/// turn writes.
const NOTSENT_LOWAT_BYTES: u32 = 256 * 1024;
/// Like [`NOTSENT_LOWAT_BYTES`], but for a connection that is sent only the newest ticks. The value
/// is smaller because ticks that the kernel holds grow old.
const NOTSENT_LOWAT_FRESH_BYTES: u32 = 16 * 1024;

impl Transport {
    /// Creates the transport of a connection and sets its socket options.
    ///
    /// # Errors
    /// Fails if the connection has already failed.
    pub(crate) fn new(bare: BareStream) -> io::Result<Self> {
        let BareStream { socket, tls } = bare;
        SockRef::from(&socket).set_tcp_nodelay(true)?;
        limit_unsent(&socket, NOTSENT_LOWAT_BYTES)?;
        Ok(Self { stream: TcpStream::from_std(socket), tls: tls.map(Tls::new), fresh: false })
    }

    /// Sets whether the kernel buffers few unsent bytes, so that ticks are still fresh when they
    /// leave, or as many as usual. Makes a system call only if the setting changes.
    pub(crate) fn set_fresh(&mut self, fresh: bool) -> io::Result<()> {
        if self.fresh == fresh {
            return Ok(());
        }
        self.fresh = fresh;
        let bytes = if fresh { NOTSENT_LOWAT_FRESH_BYTES } else { NOTSENT_LOWAT_BYTES };
        limit_unsent(&self.stream, bytes)
    }

    /// Registers the socket for edge-triggered events: one for each change to readable or writable.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Writes as many bytes as the socket takes without blocking. Taken bytes may still be
    /// [pending](Self::pending_bytes_max).
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<Written> {
        let Self { stream, tls, .. } = self;
        match tls {
            Some(tls) => tls.write(stream, bytes),
            None => write(bytes.len(), || stream.write(bytes)),
        }
    }

    /// Writes the pending bytes. Returns `true` if none is left, and `false` if the socket is
    /// blocked.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        let Self { stream, tls, .. } = self;
        tls.as_mut().map_or(Ok(true), |tls| tls.flush(stream))
    }

    /// Returns an upper bound of the bytes that were taken but not written because the socket is
    /// blocked; 0 if there are none.
    pub(crate) fn pending_bytes_max(&self) -> usize {
        self.tls.as_ref().map_or(0, Tls::pending_bytes_max)
    }

    /// Reads bytes that have arrived, and subtracts the bytes taken from the socket from
    /// `allowance`. Also returns `WouldBlock` if `allowance` is used up, even if more bytes have
    /// arrived.
    pub(crate) fn read(&mut self, into: &mut [u8], allowance: &mut usize) -> io::Result<usize> {
        let Self { stream, tls, .. } = self;
        if let Some(tls) = tls {
            return tls.read(stream, into, allowance);
        }
        if *allowance == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let most = into.len().min(*allowance);
        let count = stream.read(&mut into[..most])?;
        *allowance -= count;
        Ok(count)
    }

    /// Shuts down the writing side, so that the peer reads the end of the stream.
    pub(crate) fn end_writing(&mut self) {
        self.send_close_notify();
        // An error means that the connection has ended already.
        let _already_ended = self.stream.shutdown(Shutdown::Write);
    }

    /// Makes the kernel drop its unsent bytes when the socket is closed, instead of keeping them
    /// for a peer that does not read.
    pub(crate) fn abort_on_close(&self) {
        // An error means that the connection has ended already.
        let _already_ended = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    fn send_close_notify(&mut self) {
        let Self { stream, tls, .. } = self;
        if let Some(tls) = tls {
            tls.send_close_notify(stream);
        }
    }
}

/// Sends `close_notify` over TLS, which distinguishes a regular end from a truncated stream.
impl Drop for Transport {
    fn drop(&mut self) {
        self.send_close_notify();
    }
}

/// Calls `attempt` to write `wanted` bytes to a socket, and classifies the result.
fn write(wanted: usize, mut attempt: impl FnMut() -> io::Result<usize>) -> io::Result<Written> {
    loop {
        return match attempt() {
            Ok(0) if wanted > 0 => Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => Ok(Written::Bytes(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Written::Blocked),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
    }
}

/// Bounds the unsent bytes that the kernel holds. On systems other than Linux the kernel's own
/// limit applies.
#[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "a Linux option"))]
fn limit_unsent(stream: &impl std::os::fd::AsFd, bytes: u32) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    SockRef::from(stream).set_tcp_notsent_lowat(bytes)?;
    Ok(())
}
