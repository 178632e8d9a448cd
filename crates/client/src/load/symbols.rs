//! Asks the hub which symbols it has.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use serde::Deserialize;
use tickwire_protocol::{Channel, Feed, Symbol};

use crate::http::{Get, Response};
use crate::{HubUrl, Token};

/// The longest wait for the hub.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest list to accept, in bytes: the hub lists at most 1,000 symbols.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What the hub lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// How many symbols of the feed have ticked.
    pub total: usize,
    /// Up to 1,000 of them, those that tick in one of the channels asked for.
    pub symbols: Vec<Symbol>,
}

/// Why the hub's symbols are not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SymbolsError {
    /// Nobody answers there.
    #[error("cannot reach the hub at {hub}")]
    Unreachable {
        /// Host and port.
        hub: String,
        /// What the system says.
        source: io::Error,
    },
    /// What answers there is no hub, or it has no such feed.
    #[error("the server at {hub} does not list symbols: {problem}")]
    Refused {
        /// Host and port.
        hub: String,
        /// What it said.
        problem: String,
    },
}

#[derive(Deserialize)]
struct Answer {
    total: usize,
    symbols: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    symbol: String,
    channels: Vec<String>,
}

/// Asks the hub for the symbols of a feed. `tls` is as in [`Get::tls`](crate::http::Get::tls). Blocks,
/// a few seconds at most.
///
/// # Errors
/// If the hub cannot be reached or does not answer as one.
pub fn list_symbols(
    hub: &HubUrl,
    feed: &Feed,
    token: Option<&Token>,
    tls: Option<&Arc<ClientConfig>>,
    channels: &[Channel],
) -> Result<Listed, SymbolsError> {
    let address = hub.socket_address();
    let path = format!("/api/symbols?feed={feed}&limit=1000");
    let get = Get { token, tls: tls.cloned(), timeout: TIMEOUT, body_bytes_max: BODY_BYTES_MAX };
    let refused = |problem| SymbolsError::Refused { hub: address.clone(), problem };
    let response = get.send(hub, &path).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData
            if source.get_ref().is_some_and(|e| !e.is::<rustls::Error>()) =>
        {
            refused(source.to_string())
        }
        _ => SymbolsError::Unreachable { hub: address.clone(), source },
    })?;
    parse(&response, channels).map_err(refused)
}

fn parse(response: &Response, channels: &[Channel]) -> Result<Listed, String> {
    let Response { status, body } = response;
    if *status != 200 {
        let detail: String = String::from_utf8_lossy(body).chars().take(200).collect();
        return Err(format!("HTTP {status} {}", detail.trim()).trim_end().to_owned());
    }
    let answer: Answer = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let wanted = |entry: &Entry| {
        channels.iter().any(|channel| entry.channels.iter().any(|name| name == channel.name()))
    };
    let entries = answer.symbols.into_iter().filter(wanted);
    let symbols = entries
        .map(|entry| Symbol::new(&entry.symbol))
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    Ok(Listed { total: answer.total, symbols })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_of_the_wanted_channels_are_listed() {
        let body = br#"{"feed":"main","total":3,"symbols":[{"symbol":"A","channels":["trades"]},
            {"symbol":"B","channels":["bars"]}]}"#;
        let response = Response { status: 200, body: body.to_vec() };
        let listed = parse(&response, &[Channel::Trades, Channel::Quotes]).unwrap();
        assert_eq!((listed.total, listed.symbols), (3, vec![Symbol::new("A").unwrap()]));
    }

    #[test]
    fn other_answers_are_refused_with_what_they_say() {
        let refused = |status, body: &str| {
            let response = Response { status, body: body.as_bytes().to_vec() };
            parse(&response, &Channel::ALL).unwrap_err()
        };
        assert_eq!(refused(404, "no such feed\n"), "HTTP 404 no such feed");
        assert!(refused(200, "<html>").contains("expected value"));
    }
}
