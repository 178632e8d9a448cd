//! Asks the hub which symbols it has.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde::Deserialize;
use tickwire_protocol::{Channel, Feed, Symbol};

use crate::{HubUrl, Token};

/// How long the hub may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Largest answer taken: the hub lists at most 1,000 symbols.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

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

/// Asks the hub for the symbols of a feed. Blocks, a few seconds at most.
///
/// # Errors
/// If the hub cannot be reached or does not answer as one.
pub fn list_symbols(
    hub: &HubUrl,
    feed: &Feed,
    token: Option<&Token>,
    channels: &[Channel],
) -> Result<Listed, SymbolsError> {
    let address = hub.address();
    let path = hub.http_path(&format!("/api/symbols?feed={feed}&limit=1000"));
    let answer = get(&address, &path, token)
        .map_err(|source| SymbolsError::Unreachable { hub: address.clone(), source })?;
    read(&answer, channels).map_err(|problem| SymbolsError::Refused { hub: address, problem })
}

/// One request of HTTP/1.0, which ends with the connection and is never sent in chunks.
fn get(address: &str, path: &str, token: Option<&Token>) -> io::Result<Vec<u8>> {
    let no_address = || io::Error::from(io::ErrorKind::AddrNotAvailable);
    let resolved = address.to_socket_addrs()?.next().ok_or_else(no_address)?;
    let mut stream = TcpStream::connect_timeout(&resolved, ANSWER_WITHIN)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    let authorization = token
        .map(|token| format!("Authorization: {}\r\n", token.authorization()))
        .unwrap_or_default();
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: {address}\r\nAccept: application/json\r\n{authorization}\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(answer)
}

fn read(answer: &[u8], channels: &[Channel]) -> Result<Listed, String> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or("no HTTP")?;
    let (head, body) = (String::from_utf8_lossy(&answer[..end]), &answer[end + 4..]);
    let status = head.split(' ').nth(1).unwrap_or("");
    if status != "200" {
        let detail: String = String::from_utf8_lossy(body).chars().take(200).collect();
        return Err(format!("HTTP {status:.3} {}", detail.trim()).trim_end().to_owned());
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
        let answer = b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{\"feed\":\"main\",\"total\":3,\
            \"symbols\":[{\"symbol\":\"A\",\"channels\":[\"trades\"]},{\"symbol\":\"B\",\"channels\":[\"bars\"]}]}";
        let listed = read(answer, &[Channel::Trades, Channel::Quotes]).unwrap();
        assert_eq!((listed.total, listed.symbols), (3, vec![Symbol::new("A").unwrap()]));
    }

    #[test]
    fn other_answers_are_refused_with_what_they_say() {
        let refused = |answer: &[u8]| read(answer, &Channel::ALL).unwrap_err();
        assert_eq!(
            refused(b"HTTP/1.0 404 Not Found\r\n\r\nno such feed\n"),
            "HTTP 404 no such feed"
        );
        assert_eq!(refused(b"SSH-2.0"), "no HTTP");
        assert!(refused(b"HTTP/1.0 200 OK\r\n\r\n<html>").contains("expected value"));
    }
}
