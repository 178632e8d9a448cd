use std::collections::VecDeque;
use std::sync::Arc;

use rand::{Rng, RngExt};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};
use tickwire_testkit::seeds;

use super::*;

/// The hub's end of a simulated socket.
#[derive(Default)]
struct Socket {
    incoming: VecDeque<u8>,
    outgoing: VecDeque<u8>,
    /// Bytes that the socket takes before it blocks.
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

/// Returns a connection after its handshake, its socket and its peer.
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
        receive(&mut client, &mut wire);
    }
    (Tls::new(Box::new(server)), Socket::default(), client)
}

/// Decrypts the bytes on `wire` as the peer and returns the plaintext.
fn receive(client: &mut ClientConnection, wire: &mut VecDeque<u8>) -> Vec<u8> {
    let mut received = Vec::new();
    while !wire.is_empty() {
        client.read_tls(wire).unwrap();
        client.process_new_packets().unwrap();
        let mut bytes = [0; 32 * 1024];
        while let Ok(count @ 1..) = client.reader().read(&mut bytes) {
            received.extend(&bytes[..count]);
        }
    }
    received
}

fn send(client: &mut ClientConnection, bytes: &[u8], socket: &mut Socket) {
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

/// Offers the bytes that were not taken again, as a connection does.
#[test]
fn taken_bytes_arrive_once_however_the_socket_blocks() {
    let mut random = seeds!().rng();
    let (mut tls, mut socket, mut client) = pair();
    let mut sent = Vec::new();
    let mut received = Vec::new();
    for _ in 0..200 {
        let length = random.random_range(1..=70_000);
        let frame = noise(&mut random, length);
        let mut rest = frame.as_slice();
        while !rest.is_empty() || tls.pending_bytes_max() > 0 {
            socket.room += random.random_range(0..=30_000);
            match tls.write(&mut socket, rest).unwrap() {
                Written::Bytes(count) => {
                    let blocked = socket.room == 0;
                    assert!(count == rest.len() || blocked, "partial write to a writable socket");
                    rest = &rest[count..];
                }
                Written::Blocked => assert!(tls.pending_bytes_max() > 0 && socket.room == 0),
            }
            received.extend(receive(&mut client, &mut socket.outgoing));
        }
        sent.extend(frame);
    }
    assert!(sent == received);
}

#[test]
fn ciphertext_for_a_blocked_socket_is_bounded() {
    let (mut tls, mut socket, mut client) = pair();
    let frame = vec![7; 65_539];
    assert_eq!(tls.write(&mut socket, &frame).unwrap(), Written::Bytes(frame.len()));
    assert_eq!(tls.write(&mut socket, &frame).unwrap(), Written::Blocked);
    assert!(!tls.flush(&mut socket).unwrap());
    socket.room = usize::MAX;
    assert!(tls.flush(&mut socket).unwrap());
    assert!(socket.outgoing.len() <= PENDING_BYTES_MAX, "{}", socket.outgoing.len());
    assert_eq!(receive(&mut client, &mut socket.outgoing), frame);
}

#[test]
fn reading_respects_its_allowance_and_loses_no_byte() {
    let mut random = seeds!().rng();
    let (mut tls, mut socket, mut client) = pair();
    let sent = noise(&mut random, 100_000);
    send(&mut client, &sent, &mut socket);
    let mut received: Vec<u8> = Vec::new();
    while received.len() < sent.len() {
        let allowed = random.random_range(1..=5_000);
        let mut allowance = allowed;
        let before = socket.incoming.len();
        loop {
            let mut into = vec![0; random.random_range(1..=3_000)];
            match tls.read(&mut socket, &mut into, &mut allowance) {
                Ok(count) => received.extend(&into[..count]),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        assert!(allowance == 0 || socket.incoming.is_empty());
        assert_eq!(before - socket.incoming.len(), allowed - allowance);
    }
    assert!(sent == received);
}

#[test]
fn invalid_record_is_an_error_and_the_peer_receives_an_alert() {
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
fn close_notify_is_sent_once_and_marks_a_regular_end() {
    let (mut tls, mut socket, mut client) = pair();
    socket.room = usize::MAX;
    tls.send_close_notify(&mut socket);
    let sent = socket.outgoing.len();
    tls.send_close_notify(&mut socket);
    assert_eq!(socket.outgoing.len(), sent);
    receive(&mut client, &mut socket.outgoing);
    assert_eq!(client.reader().read(&mut [0]).unwrap(), 0, "end of the hub's stream");
    client.send_close_notify();
    while client.wants_write() {
        client.write_tls(&mut socket.incoming).unwrap();
    }
    assert_eq!(tls.read(&mut socket, &mut [0], &mut 1_000).unwrap(), 0, "end of the peer's stream");
}
