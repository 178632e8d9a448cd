//! Integration tests of the hub over real sockets.

#[cfg(test)]
mod alive;
#[cfg(test)]
mod alpaca;
#[cfg(test)]
mod api;
#[cfg(test)]
mod archive;
#[cfg(test)]
mod bars;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod delayed;
#[cfg(test)]
mod demand;
mod demand_by_client;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod durable;
#[cfg(test)]
mod feeds;
#[cfg(test)]
mod handshake;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod incomplete;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod kit;
#[cfg(test)]
mod lag;
#[cfg(test)]
mod latest;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod modes;
#[cfg(test)]
mod names;
#[cfg(test)]
mod positions;
#[cfg(test)]
mod proxies;
#[cfg(test)]
mod publish;
#[cfg(test)]
mod publisher_rights;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod replay_history;
#[cfg(test)]
mod rest;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod rights;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod subscribe;
#[cfg(test)]
mod test_feed;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod topics;
#[cfg(test)]
mod views;
