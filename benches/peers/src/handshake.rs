//! Opens connections one after the other, with blocking calls.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use memchr::memmem;

use crate::frame::{self, Frame, Opcode};
use crate::protocols::Step;

/// How long a server may take for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Where and how to open a WebSocket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) path: &'static str,
    /// An additional header line of the request.
    pub(crate) header: Option<&'static str>,
    /// A text that is part of every message that refuses a request.
    pub(crate) refusal: Option<&'static str>,
}

/// A connection that is not ready for measuring yet.
#[derive(Debug)]
pub(crate) struct Handshake {
    stream: TcpStream,
    /// Bytes that were received but not parsed yet.
    unread: Vec<u8>,
    refusal: Option<&'static str>,
}

impl Handshake {
    /// Connects and opens a WebSocket.
    ///
    /// # Errors
    /// The connection fails, or the server refuses the upgrade.
    pub(crate) fn open(endpoint: &Endpoint) -> Result<Self> {
        let stream = tcp(endpoint.address)?;
        let mut handshake = Self { stream, unread: Vec::new(), refusal: endpoint.refusal };
        let header = endpoint.header.map_or_else(String::new, |header| format!("{header}\r\n"));
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             {header}\r\n",
            endpoint.path, endpoint.address,
        );
        handshake.stream.write_all(request.as_bytes())?;
        let end = loop {
            if let Some(at) = memmem::find(&handshake.unread, b"\r\n\r\n") {
                break at + 4;
            }
            handshake.read_more()?;
        };
        let answer: Vec<u8> = handshake.unread.drain(..end).collect();
        if !answer.starts_with(b"HTTP/1.1 101") {
            bail!("no WebSocket at {}: {}", endpoint.path, printable(&answer));
        }
        Ok(handshake)
    }

    /// Sends and awaits messages, as the server's protocol demands.
    ///
    /// # Errors
    /// The server refuses, closes the connection, or does not answer in time.
    pub(crate) fn run(&mut self, steps: &[Step]) -> Result<()> {
        for step in steps {
            match step {
                Step::Send(opcode, payload) => self.send(*opcode, payload)?,
                Step::Await(expected) => self.wait_for(expected)?,
            }
        }
        Ok(())
    }

    fn send(&mut self, opcode: Opcode, payload: &[u8]) -> Result<()> {
        let mut bytes = Vec::with_capacity(payload.len() + 14);
        frame::write(opcode, payload, &mut bytes);
        Ok(self.stream.write_all(&bytes)?)
    }

    /// Reads messages until one contains `expected`.
    fn wait_for(&mut self, expected: &str) -> Result<()> {
        let contains = |body: &[u8], text: &str| memmem::find(body, text.as_bytes()).is_some();
        loop {
            let Some((frame, len)) = frame::first(&self.unread) else {
                self.read_more().with_context(|| format!("waiting for \"{expected}\""))?;
                continue;
            };
            let found = match frame {
                Frame::Data(body) if contains(body, expected) => true,
                Frame::Data(body) if self.refusal.is_some_and(|word| contains(body, word)) => {
                    bail!("refused: {}", printable(body))
                }
                Frame::Close => bail!("closed instead of \"{expected}\""),
                _ => false,
            };
            self.unread.drain(..len);
            if found {
                return Ok(());
            }
        }
    }

    fn read_more(&mut self) -> Result<()> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer).context("no answer")? {
            0 => bail!("closed: {}", printable(&self.unread)),
            read => self.unread.extend_from_slice(&buffer[..read]),
        }
        Ok(())
    }

    /// Returns the open connection, and the bytes that were received but belong to later messages.
    pub(crate) fn finish(self) -> Result<(TcpStream, Vec<u8>)> {
        self.stream.set_read_timeout(None)?;
        Ok((self.stream, self.unread))
    }
}

/// Opens a TCP connection without Nagle's algorithm and with a read timeout.
pub(crate) fn tcp(address: SocketAddr) -> Result<TcpStream> {
    let stream =
        TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(stream)
}

/// Returns the first 200 characters of a message, with blanks in place of unprintable characters.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let printable = |c: char| if c.is_ascii_graphic() { c } else { ' ' };
    let words: String = text.chars().take(200).map(printable).collect();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Connects to a server that answers with `answer`; returns the bytes after the handshake.
    fn connect_to_server_answering(answer: &'static [u8], steps: &[Step]) -> Result<Vec<u8>> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
            stream.write_all(answer).unwrap();
        });
        let endpoint = Endpoint { address, path: "/", header: None, refusal: Some("-ERR") };
        let opened = Handshake::open(&endpoint).and_then(|mut handshake| {
            handshake.run(steps)?;
            Ok(handshake.finish()?.1)
        });
        server.join().unwrap();
        opened
    }

    #[test]
    fn bytes_after_the_awaited_message_are_kept() {
        let answer = b"HTTP/1.1 101 x\r\n\r\n\x81\x02no\x81\x04PONG\x81\x02@@";
        let rest = connect_to_server_answering(answer, &[Step::Await("PONG")]).unwrap();
        assert_eq!(rest, b"\x81\x02@@");
    }

    #[test]
    fn refusal_is_reported_in_the_words_of_the_server() {
        let answer = b"HTTP/1.1 101 x\r\n\r\n\x81\x09-ERR full";
        let error = connect_to_server_answering(answer, &[Step::Await("PONG")]).unwrap_err();
        assert_eq!(error.to_string(), "refused: -ERR full");
        let error = connect_to_server_answering(b"HTTP/1.1 503 Busy\r\n\r\n", &[]).unwrap_err();
        assert_eq!(error.to_string(), "no WebSocket at /: HTTP/1.1 503 Busy");
    }
}
