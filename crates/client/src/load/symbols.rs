//! Asks a hub for the symbols that it lists.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use serde::Deserialize;
use tickwire_protocol::{Channel, Feed, Printable, Symbol};

use crate::http::{Get, GetError, Response};
use crate::{HubUrl, Token};

/// The longest wait for the hub.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest list to accept, in bytes: the hub lists at most 1,000 symbols.
const BODY_BYTES_MAX: usize = 1 << 20;

/// The symbols of a feed, as far as the hub lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSymbols {
    /// Number of symbols of the feed that have ticked.
    pub total: usize,
    /// Those of the first 1,000 that have ticked in one of the requested channels.
    pub symbols: Vec<Symbol>,
}

/// Why the symbols of a hub cannot be listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SymbolsError {
    /// The hub cannot be reached.
    #[error("cannot reach the hub at {hub}")]
    Unreachable {
        /// Host and port of the hub.
        hub: String,
        /// The error of the operating system or of TLS.
        source: io::Error,
    },
    /// The server does not answer as a hub with this feed.
    #[error("the server at {hub} does not list symbols: {problem}")]
    Refused {
        /// Host and port of the hub.
        hub: String,
        /// What is wrong with its answer.
        problem: String,
    },
}

#[derive(Deserialize)]
struct SymbolsResponse {
    total: usize,
    symbols: Vec<SymbolEntry>,
}

#[derive(Deserialize)]
struct SymbolEntry {
    symbol: String,
    channels: Vec<String>,
}

/// Asks a hub for the symbols of a feed that tick in one of `channels`. `tls` has the meaning of
/// [`Get::tls`]. Blocks for at most a few seconds.
///
/// # Errors
/// Fails if the hub cannot be reached, or the server does not answer as a hub with this feed.
pub fn list_symbols(
    hub: &HubUrl,
    feed: &Feed,
    token: Option<&Token>,
    tls: Option<&Arc<ClientConfig>>,
    channels: &[Channel],
) -> Result<ListedSymbols, SymbolsError> {
    let address = hub.socket_address();
    let path = format!("/api/symbols?feed={feed}&limit=1000");
    let get = Get { token, tls: tls.cloned(), timeout: TIMEOUT, body_bytes_max: BODY_BYTES_MAX };
    let refused = |problem| SymbolsError::Refused { hub: address.clone(), problem };
    let response = get.send(hub, &path).map_err(|error| match error {
        GetError::Io(source) => SymbolsError::Unreachable { hub: address.clone(), source },
        GetError::NotHttp => refused(GetError::NotHttp.to_string()),
    })?;
    parse(&response, channels).map_err(refused)
}

fn parse(response: &Response, channels: &[Channel]) -> Result<ListedSymbols, String> {
    let Response { status, body } = response;
    if *status != 200 {
        let detail = String::from_utf8_lossy(body);
        let detail = Printable(detail.trim()).cut(200);
        return Err(format!("HTTP {status} {detail}").trim_end().to_owned());
    }
    let list: SymbolsResponse =
        serde_json::from_slice(body).map_err(|error| Printable(&error.to_string()).to_string())?;
    let is_wanted = |entry: &SymbolEntry| {
        channels.iter().any(|channel| entry.channels.iter().any(|name| name == channel.name()))
    };
    let entries = list.symbols.into_iter().filter(is_wanted);
    let symbols = entries
        .map(|entry| Symbol::new(&entry.symbol))
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    Ok(ListedSymbols { total: list.total, symbols })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_of_the_requested_channels_are_listed() {
        let body = br#"{"feed":"main","total":3,"symbols":[{"symbol":"A","channels":["trades"]},
            {"symbol":"B","channels":["bars"]}]}"#;
        let response = Response { status: 200, body: body.to_vec() };
        let listed = parse(&response, &[Channel::Trades, Channel::Quotes]).unwrap();
        assert_eq!((listed.total, listed.symbols), (3, vec![Symbol::new("A").unwrap()]));
    }

    #[test]
    fn other_answers_are_refused_with_their_message() {
        let refused = |status, body: &str| {
            let response = Response { status, body: body.as_bytes().to_vec() };
            parse(&response, &Channel::ALL).unwrap_err()
        };
        assert_eq!(refused(404, "no such feed\n"), "HTTP 404 no such feed");
        assert!(refused(200, "<html>").contains("expected value"));
    }
}
