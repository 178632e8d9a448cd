//! What the HTTP front hands to a shard: a socket, and what its handshake has told.

use std::net::IpAddr;

use rustls::ServerConnection;
use tickwire_protocol::{Credentials, Encoding};

use crate::access::admission::SessionPermit;
use crate::fanout::FeedId;
use crate::serving::session_protocol::SessionProtocol;

/// A connection behind its opening handshake.
#[derive(Debug)]
pub(crate) struct NewConnection {
    pub(crate) stream: BareStream,
    pub(crate) pending: PendingSession,
}

/// A connection on its way to a shard: a non-blocking socket, and the TLS that is spoken on it.
#[derive(Debug)]
pub(crate) struct BareStream {
    pub(crate) socket: std::net::TcpStream,
    pub(crate) tls: Option<Box<ServerConnection>>,
}

/// A session that a connection is to be, with the bytes that were read too far.
#[derive(Debug)]
pub(crate) struct PendingSession {
    pub(crate) read_already: Vec<u8>,
    pub(crate) handshake: HandshakeInfo,
    pub(crate) permit: SessionPermit,
}

/// Who is behind a connection, and what for, as its handshake tells.
#[derive(Debug)]
pub(crate) struct HandshakeInfo {
    pub(crate) peer: IpAddr,
    pub(crate) user_agent: Option<Box<str>>,
    /// Name of the view it wants to follow.
    pub(crate) view: Box<str>,
    /// The feed behind that.
    pub(crate) feed: FeedId,
    pub(crate) protocol: SessionProtocol,
    pub(crate) encoding: Encoding,
    /// The key it has shown already.
    pub(crate) shown: Option<Credentials>,
}
