//! What the HTTP front hands to a shard: a socket, and what its handshake contained.

use std::net::IpAddr;

use rustls::ServerConnection;
use tickwire_protocol::{Credentials, Encoding};

use crate::access::admission::SessionPermit;
use crate::fanout::FeedId;
use crate::serving::session_protocol::SessionProtocol;

/// A WebSocket connection after its opening handshake.
#[derive(Debug)]
pub(crate) struct NewConnection {
    pub(crate) stream: BareStream,
    pub(crate) pending: PendingSession,
}

/// A non-blocking socket, with the TLS state of its connection.
#[derive(Debug)]
pub(crate) struct BareStream {
    pub(crate) socket: std::net::TcpStream,
    /// `None` for a connection without TLS.
    pub(crate) tls: Option<Box<ServerConnection>>,
}

/// A session that its shard has not opened yet.
#[derive(Debug)]
pub(crate) struct PendingSession {
    /// Bytes that the front has read after the handshake.
    pub(crate) read_already: Vec<u8>,
    pub(crate) handshake: HandshakeInfo,
    pub(crate) permit: SessionPermit,
}

/// The client and its request, as the opening handshake tells.
#[derive(Debug)]
pub(crate) struct HandshakeInfo {
    pub(crate) peer: IpAddr,
    pub(crate) user_agent: Option<Box<str>>,
    /// Name of the requested view.
    pub(crate) view: Box<str>,
    /// The view's feed.
    pub(crate) feed: FeedId,
    pub(crate) protocol: SessionProtocol,
    pub(crate) encoding: Encoding,
    /// The key in the handshake's headers, if there is one.
    pub(crate) credentials: Option<Credentials>,
}
