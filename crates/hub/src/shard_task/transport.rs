//! The bytes of one connection, whatever carries them.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

/// A non-blocking connection. TLS will be a second kind: rustls's sans-I/O connection in here.
#[derive(Debug)]
pub(crate) enum Transport {
    /// TCP as it is.
    Plain(Plain),
}

#[derive(Debug)]
pub(crate) struct Plain {
    stream: TcpStream,
    /// Whether little may be on its way unsent: see [`Transport::set_fresh`].
    fresh: bool,
}

/// What a write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// So many bytes were taken, perhaps not all.
    Bytes(usize),
    /// None: the peer or the network is slower than we are.
    Blocked,
}

/// Unsent bytes the kernel may hold for a connection before it counts as blocked. Bounds what a
/// stalled reader hides from its backlog, and is far above what one turn writes.
const NOTSENT_LOWAT_BYTES: u32 = 256 * 1024;
/// The same for a connection that is sent the newest ticks only: what the kernel holds grows old.
const NOTSENT_LOWAT_FRESH_BYTES: u32 = 16 * 1024;

impl Transport {
    /// Takes a connected, non-blocking socket.
    ///
    /// # Errors
    /// If the socket has broken already.
    pub(crate) fn plain(stream: std::net::TcpStream) -> io::Result<Self> {
        let socket = SockRef::from(&stream);
        socket.set_tcp_nodelay(true)?;
        limit_unsent(&stream, NOTSENT_LOWAT_BYTES)?;
        Ok(Self::Plain(Plain { stream: TcpStream::from_std(stream), fresh: false }))
    }

    /// Has the kernel take little in advance, so that what is chosen to be sent is not old by the time
    /// it leaves; or as much as usual. Costs nothing unless it changes.
    pub(crate) fn set_fresh(&mut self, fresh: bool) -> io::Result<()> {
        let Self::Plain(plain) = self;
        if plain.fresh == fresh {
            return Ok(());
        }
        plain.fresh = fresh;
        let bytes = if fresh { NOTSENT_LOWAT_FRESH_BYTES } else { NOTSENT_LOWAT_BYTES };
        limit_unsent(&plain.stream, bytes)
    }

    /// Asks to be told, once, of every change to readable or writable.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let Self::Plain(Plain { stream, .. }) = self;
        registry.register(stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Writes what can be written without waiting.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<Written> {
        let Self::Plain(Plain { stream, .. }) = self;
        loop {
            return match stream.write(bytes) {
                Ok(0) if !bytes.is_empty() => Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => Ok(Written::Bytes(count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Written::Blocked),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }

    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Self::Plain(Plain { stream, .. }) = self;
        stream.read(into)
    }

    /// Tells the peer that nothing more will come.
    pub(crate) fn end_writing(&self) {
        let Self::Plain(Plain { stream, .. }) = self;
        let _gone = stream.shutdown(Shutdown::Write); // an error means that it has ended already
    }

    /// Makes the coming close drop what the kernel still holds, instead of keeping it for a peer that
    /// does not read.
    pub(crate) fn cut(&self) {
        let Self::Plain(Plain { stream, .. }) = self;
        let _gone = SockRef::from(stream).set_linger(Some(Duration::ZERO)); // as above
    }
}

/// Bounds what the kernel takes and has not sent yet. Elsewhere than on Linux its own limit holds.
#[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "a Linux option"))]
fn limit_unsent(stream: &impl std::os::fd::AsFd, bytes: u32) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    SockRef::from(stream).set_tcp_notsent_lowat(bytes)?;
    Ok(())
}
