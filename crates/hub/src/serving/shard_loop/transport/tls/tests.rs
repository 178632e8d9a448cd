use std::collections::VecDeque;
use std::sync::Arc;

use rand::{Rng, RngExt};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};
use tickwire_testkit::seeds;

use super::*;

/// The hub's end of a socket.
#[derive(Default)]
struct Socket {
    incoming: VecDeque<u8>,
    outgoing: VecDeque<u8>,
    /// Bytes it takes before it is blocked.
    room: usize,
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.incoming.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.incoming.read(into)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = bytes.len().min(self.room);
        self.room -= taken;
        self.outgoing.extend(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection behind its handshake, and its peer.
fn pair() -> (Tls, Socket, ClientConnection) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls");
    let certificate = |name| CertificateDer::from_pem_file(folder.join(name)).unwrap();
    let provider = Arc::new(ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate("first.pem")],
            PrivateKeyDer::from_pem_file(folder.join("first.key")).unwrap(),
        )
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca.pem")).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            server.read_tls(&mut wire).unwrap();
            server.process_new_packets().unwrap();
        }
        let mut wire = VecDeque::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        hear(&mut client, &mut wire);
    }
    (Tls::new(Box::new(server)), Socket::default(), client)
}

/// What the peer makes of what was sent to it.
fn hear(client: &mut ClientConnection, wire: &mut VecDeque<u8>) -> Vec<u8> {
    let mut heard = Vec::new();
    while !wire.is_empty() {
        client.read_tls(wire).unwrap();
        client.process_new_packets().unwrap();
        let mut bytes = [0; 32 * 1024];
        while let Ok(count @ 1..) = client.reader().read(&mut bytes) {
            heard.extend(&bytes[..count]);
        }
    }
    heard
}

fn say(client: &mut ClientConnection, bytes: &[u8], socket: &mut Socket) {
    for part in bytes.chunks(10_000) {
        client.writer().write_all(part).unwrap();
        while client.wants_write() {
            client.write_tls(&mut socket.incoming).unwrap();
        }
    }
}

fn noise(random: &mut impl Rng, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    random.fill_bytes(&mut bytes);
    bytes
}

/// The caller writes on with what was not taken, as a connection does.
#[test]
fn all_that_was_taken_arrives_once_however_the_socket_blocks() {
    let mut random = seeds!().rng();
    let (mut tls, mut socket, mut client) = pair();
    let (mut sent, mut heard) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let length = random.random_range(1..=70_000);
        let frame = noise(&mut random, length);
        let mut rest = frame.as_slice();
        while !rest.is_empty() || tls.pending_bytes_max() > 0 {
            socket.room += random.random_range(0..=30_000);
            match tls.write(&mut socket, rest).unwrap() {
                Written::Bytes(count) => {
                    let blocked = socket.room == 0;
                    assert!(count == rest.len() || blocked, "a part only if the socket is blocked");
                    rest = &rest[count..];
                }
                Written::Blocked => assert!(tls.pending_bytes_max() > 0 && socket.room == 0),
            }
            heard.extend(hear(&mut client, &mut socket.outgoing));
        }
        sent.extend(frame);
    }
    assert!(sent == heard);
}

#[test]
fn what_waits_for_a_blocked_socket_is_bounded() {
    let (mut tls, mut socket, mut client) = pair();
    let frame = vec![7; 65_539];
    assert_eq!(tls.write(&mut socket, &frame).unwrap(), Written::Bytes(frame.len()));
    assert_eq!(tls.write(&mut socket, &frame).unwrap(), Written::Blocked);
    assert!(!tls.flush(&mut socket).unwrap());
    socket.room = usize::MAX;
    assert!(tls.flush(&mut socket).unwrap());
    assert!(socket.outgoing.len() <= PENDING_BYTES_MAX, "{}", socket.outgoing.len());
    assert_eq!(hear(&mut client, &mut socket.outgoing), frame);
}

#[test]
fn reading_takes_no_more_of_the_socket_than_it_is_allowed_and_forgets_nothing() {
    let mut random = seeds!().rng();
    let (mut tls, mut socket, mut client) = pair();
    let said = noise(&mut random, 100_000);
    say(&mut client, &said, &mut socket);
    let mut heard: Vec<u8> = Vec::new();
    while heard.len() < said.len() {
        let allowed = random.random_range(1..=5_000);
        let (mut allowance, before) = (allowed, socket.incoming.len());
        loop {
            let mut into = vec![0; random.random_range(1..=3_000)];
            match tls.read(&mut socket, &mut into, &mut allowance) {
                Ok(count) => heard.extend(&into[..count]),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        assert!(allowance == 0 || socket.incoming.is_empty());
        assert_eq!(before - socket.incoming.len(), allowed - allowance);
    }
    assert!(said == heard);
}

#[test]
fn what_is_no_tls_is_an_error_and_the_peer_is_told() {
    let (mut tls, mut socket, mut client) = pair();
    socket.room = usize::MAX;
    socket.incoming.extend(b"\x17\x03\x03\x00\x20 that has not been encrypted by the client");
    let error = tls.read(&mut socket, &mut [0; 64], &mut 1_000).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    client.read_tls(&mut socket.outgoing).unwrap();
    let alert = client.process_new_packets().unwrap_err();
    assert!(matches!(alert, rustls::Error::AlertReceived(_)), "{alert:?}");
}

#[test]
fn a_goodbye_is_said_once_and_told_from_a_cut() {
    let (mut tls, mut socket, mut client) = pair();
    socket.room = usize::MAX;
    tls.say_goodbye(&mut socket);
    let said = socket.outgoing.len();
    tls.say_goodbye(&mut socket);
    assert_eq!(socket.outgoing.len(), said);
    hear(&mut client, &mut socket.outgoing);
    assert_eq!(client.reader().read(&mut [0]).unwrap(), 0, "the end");
    client.send_close_notify();
    while client.wants_write() {
        client.write_tls(&mut socket.incoming).unwrap();
    }
    assert_eq!(tls.read(&mut socket, &mut [0], &mut 1_000).unwrap(), 0, "its end");
}
