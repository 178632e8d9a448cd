//! The bytes of one connection, whatever carries them.

mod tls;

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use crate::serving::new_connection::BareStream;
use tls::Tls;

/// A non-blocking connection: TCP as it is, or TLS over it.
#[derive(Debug)]
pub(crate) struct Transport {
    stream: TcpStream,
    tls: Option<Tls>,
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
    /// Takes a connection over.
    ///
    /// # Errors
    /// If the socket has broken already.
    pub(crate) fn new(bare: BareStream) -> io::Result<Self> {
        let BareStream { socket, tls } = bare;
        SockRef::from(&socket).set_tcp_nodelay(true)?;
        limit_unsent(&socket, NOTSENT_LOWAT_BYTES)?;
        Ok(Self { stream: TcpStream::from_std(socket), tls: tls.map(Tls::new), fresh: false })
    }

    /// Has the kernel take little in advance, so that what is chosen to be sent is not old by the time
    /// it leaves; or as much as usual. Costs nothing unless it changes.
    pub(crate) fn set_fresh(&mut self, fresh: bool) -> io::Result<()> {
        if self.fresh == fresh {
            return Ok(());
        }
        self.fresh = fresh;
        let bytes = if fresh { NOTSENT_LOWAT_FRESH_BYTES } else { NOTSENT_LOWAT_BYTES };
        limit_unsent(&self.stream, bytes)
    }

    /// Asks to be told, once, of every change to readable or writable.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Writes what can be written without waiting. Bytes that are taken may still be
    /// [pending](Self::pending_bytes_max).
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<Written> {
        let Self { stream, tls, .. } = self;
        match tls {
            Some(tls) => tls.write(stream, bytes),
            None => write(bytes.len(), || stream.write(bytes)),
        }
    }

    /// Writes what was taken and is pending. `true` when nothing is any more; else the socket is
    /// blocked.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        let Self { stream, tls, .. } = self;
        tls.as_mut().map_or(Ok(true), |tls| tls.flush(stream))
    }

    /// Bytes that were taken and not written, since the socket is blocked: 0, or this many at most.
    pub(crate) fn pending_bytes_max(&self) -> usize {
        self.tls.as_ref().map_or(0, Tls::pending_bytes_max)
    }

    /// Reads what has arrived. `allowance` is how many bytes the socket may be asked for, less those it
    /// has given: when it is used up, there may be more.
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

    /// Tells the peer that nothing more will come.
    pub(crate) fn end_writing(&mut self) {
        self.say_goodbye();
        let _gone = self.stream.shutdown(Shutdown::Write); // an error means that it has ended already
    }

    /// Makes the coming close drop what the kernel still holds, instead of keeping it for a peer that
    /// does not read.
    pub(crate) fn cut(&self) {
        let _gone = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)); // as above
    }

    fn say_goodbye(&mut self) {
        let Self { stream, tls, .. } = self;
        if let Some(tls) = tls {
            tls.say_goodbye(stream);
        }
    }
}

/// With TLS an end is told from a cut by its goodbye.
impl Drop for Transport {
    fn drop(&mut self) {
        self.say_goodbye();
    }
}

/// What a write to a socket came to, where `wanted` bytes are to be written.
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

/// Bounds what the kernel takes and has not sent yet. Elsewhere than on Linux its own limit holds.
#[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "a Linux option"))]
fn limit_unsent(stream: &impl std::os::fd::AsFd, bytes: u32) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    SockRef::from(stream).set_tcp_notsent_lowat(bytes)?;
    Ok(())
}
