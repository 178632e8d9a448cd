//! The sender of a request.

use std::net::IpAddr;

use crate::access::page_policy::Transport;

/// Request extension: who sent the request, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    /// The address of the client, see
    /// [`TrustedProxies::client`](crate::access::trusted_proxies::TrustedProxies::client).
    pub(super) address: IpAddr,
    /// The transport of the connection. Behind a proxy, this is the connection of the proxy.
    pub(super) transport: Transport,
}
