//! The PROXY protocol, versions 1 and 2: a preface in which a proxy names the client of a
//! connection (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;

/// First bytes of a preface of version 1.
const V1_START: &[u8] = b"PROXY ";
/// Longest preface of version 1, in bytes.
const V1_BYTES_MAX: usize = 107;
/// First bytes of a preface of version 2.
const V2_START: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Longest content of a preface of version 2, in bytes. Proxies send less than 600.
const V2_BYTES_MAX: u16 = 4_096;
/// Time between two looks at a connection whose first bytes may begin a preface.
const PAUSE: Duration = Duration::from_millis(5);

/// Reads the preface of a connection, if there is one. Returns the address of the client; `None` if
/// there is no preface, or if it does not name a client.
///
/// # Errors
/// If the preface is malformed, or the connection ends.
pub(super) async fn read_preface(stream: &mut TcpStream) -> io::Result<Option<IpAddr>> {
    match peek_start(stream).await? {
        Start::Version1 => read_v1(stream).await,
        Start::Version2 => read_v2(stream).await,
        Start::None => Ok(None),
    }
}

/// How a connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Version1,
    Version2,
    /// Without a preface.
    None,
}

impl Start {
    /// Judges the first bytes of a connection; `None` if there are too few.
    fn of(bytes: &[u8]) -> Option<Self> {
        for (start, found) in [(V1_START, Self::Version1), (&V2_START, Self::Version2)] {
            if bytes.starts_with(start) {
                return Some(found);
            }
            if start.starts_with(bytes) {
                return None;
            }
        }
        Some(Self::None)
    }
}

async fn peek_start(stream: &TcpStream) -> io::Result<Start> {
    let mut bytes = [0; V2_START.len()];
    let mut before = 0;
    loop {
        let count = stream.peek(&mut bytes).await?;
        if let Some(start) = Start::of(&bytes[..count]) {
            return Ok(start);
        }
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // Peeking does not wait for more than it has returned before.
        if count == before {
            tokio::time::sleep(PAUSE).await;
        }
        before = count;
    }
}

/// Reads a line such as `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`.
async fn read_v1(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    let mut line = Vec::with_capacity(V1_BYTES_MAX);
    while !line.ends_with(b"\r\n") {
        if line.len() == V1_BYTES_MAX {
            return Err(malformed());
        }
        line.push(stream.read_u8().await?); // byte by byte: what follows is not part of it
    }
    let line = std::str::from_utf8(&line).map_err(|_| malformed())?;
    let parts: Vec<_> = line.trim_end().split(' ').collect();
    match parts[..] {
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", family @ ("TCP4" | "TCP6"), source, destination, _, _] => {
            let [source, destination] =
                [source, destination].map(|address| address.parse::<IpAddr>().ok());
            let is_of_family = |address: &IpAddr| address.is_ipv4() == (family == "TCP4");
            match (source.filter(is_of_family), destination.filter(is_of_family)) {
                (Some(source), Some(_)) => Ok(Some(source.to_canonical())),
                _ => Err(malformed()),
            }
        }
        _ => Err(malformed()),
    }
}

/// Reads a binary preface.
async fn read_v2(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    let mut start = V2_START;
    stream.read_exact(&mut start).await?;
    let [version_and_command, family] = [stream.read_u8().await?, stream.read_u8().await?];
    let length = stream.read_u16().await?;
    if start != V2_START || length > V2_BYTES_MAX {
        return Err(malformed());
    }
    let mut content = vec![0; usize::from(length)];
    stream.read_exact(&mut content).await?;
    match version_and_command {
        0x20 => Ok(None), // the proxy's own connection, such as a health check
        0x21 => match family {
            0x11 => {
                let source = content.first_chunk::<4>().filter(|_| content.len() >= 12);
                Ok(Some(Ipv4Addr::from(*source.ok_or_else(malformed)?).into()))
            }
            0x21 => {
                let source = content.first_chunk::<16>().filter(|_| content.len() >= 36);
                let source = Ipv6Addr::from(*source.ok_or_else(malformed)?);
                Ok(Some(IpAddr::from(source).to_canonical()))
            }
            0x00 => Ok(None),
            _ => Err(malformed()), // neither TCP over IPv4 nor over IPv6
        },
        _ => Err(malformed()),
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the PROXY preface is malformed")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a preface of version 1 or 2. Returns the client and the bytes that follow the preface.
    async fn read(mut bytes: &[u8]) -> io::Result<(Option<String>, &[u8])> {
        let client = match Start::of(bytes) {
            Some(Start::Version1) => read_v1(&mut bytes).await?,
            _ => read_v2(&mut bytes).await?,
        };
        Ok((client.map(|client| client.to_string()), bytes))
    }

    fn v2(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&V2_START[..], &[command, family], &length, content, b"GET"].concat()
    }

    #[tokio::test]
    async fn client_is_read_from_both_versions() {
        let v6 = [[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1].as_slice(), &[0; 20]];
        let v4 = [192, 0, 2, 1, 198, 51, 100, 1, 0, 80, 0, 80];
        let with_extension = [&v4[..], &[4, 0, 1, 0]].concat();
        for (preface, expected) in [
            (b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 80\r\nGET".to_vec(), Some("192.0.2.1")),
            (b"PROXY TCP6 2001:db8::1 ::1 4711 80\r\nGET".to_vec(), Some("2001:db8::1")),
            (b"PROXY UNKNOWN\r\nGET".to_vec(), None),
            (v2(0x21, 0x11, &v4), Some("192.0.2.1")),
            (v2(0x21, 0x11, &with_extension), Some("192.0.2.1")),
            (v2(0x21, 0x21, &v6.concat()), Some("2001:db8::1")),
            (v2(0x20, 0x00, &[]), None),
        ] {
            let (client, rest) = read(&preface).await.unwrap();
            assert_eq!((client.as_deref(), rest), (expected, &b"GET"[..]), "{preface:?}");
        }
    }

    #[tokio::test]
    async fn malformed_prefaces_are_refused() {
        for preface in [
            b"PROXY TCP4 192.0.2.1 198.51.100.1 4711\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::1 ::1 4711 80\r\n".to_vec(),
            b"PROXY TCP4 evil 198.51.100.1 4711 80\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.1 198.51.100.1 4711 80\r\n".to_vec(),
            [b"PROXY ".as_slice(), &[b'x'; 200]].concat(),
            b"PROXY TCP4 192.0.2.1".to_vec(),
            v2(0x21, 0x11, &[192, 0, 2, 1]),
            v2(0x21, 0x12, &[0; 12]),
            v2(0x31, 0x11, &[0; 12]),
            v2(0x21, 0x11, &[0; 5_000]),
        ] {
            assert!(read(&preface).await.is_err(), "{preface:?}");
        }
    }

    #[test]
    fn first_bytes_tell_whether_there_is_a_preface() {
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1"[..], Some(Start::None)),
            (b"POST", Some(Start::None)),
            (b"PROP", Some(Start::None)),
            (b"\x16\x03", Some(Start::None)),
            (b"P", None),
            (b"\r\n\r\n", None),
            (b"PROXY T", Some(Start::Version1)),
            (&V2_START, Some(Start::Version2)),
        ] {
            assert_eq!(Start::of(bytes), expected, "{bytes:?}");
        }
    }
}
