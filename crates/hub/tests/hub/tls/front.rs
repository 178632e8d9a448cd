//! TLS handshakes and requests before a session exists.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use tickwire_hub::Config;

use super::{connect, encrypting, shake_hands};
use crate::kit::{Client, PATIENCE, TestHub, exchange, tls_client, trade, upgrade_request};

/// R3.
#[test]
fn plain_and_encrypted_requests_share_a_port() {
    let hub = TestHub::start_plain(encrypting());
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(hub.address, request).body, "ok");
    for version in [&TLS12, &TLS13] {
        let mut stream = connect(&hub, tls_client(&[version])).unwrap();
        assert_eq!(stream.conn.protocol_version(), Some(version.version));
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap(); // an end without a goodbye would be an error
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "{answer}");
    }
}

#[test]
fn clients_learn_that_http_1_is_spoken() {
    let hub = TestHub::start_plain(encrypting());
    let mut config = tls_client(rustls::ALL_VERSIONS);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = connect(&hub, config).unwrap();
    assert_eq!(stream.conn.alpn_protocol(), Some(b"http/1.1".as_slice()));
}

#[test]
fn broken_tls_handshake_ends_only_its_connection() {
    let hub = TestHub::start_plain(encrypting());
    let mut other = Client::json(&hub);
    let garbage: [&[u8]; 4] = [
        b"\x16GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01\x00\x00",
    ];
    for (count, bytes) in garbage.into_iter().enumerate() {
        let mut stream = TcpStream::connect(hub.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer[0] == 0x15, "expected a TLS alert: {answer:?}");
        hub.until_metric(r#"tickwire_refused_total{reason="handshake"}"#, count as u64 + 1);
    }
    other.nothing_pending();
}

#[test]
fn stalled_tls_handshake_is_cut() {
    let hub =
        TestHub::start_plain(Config { handshake_timeout: Duration::from_secs(2), ..encrypting() });
    for beginning in [b"".as_slice(), b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let mut stream = TcpStream::connect(hub.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(beginning).unwrap();
        let end = stream.read(&mut [0]).map_err(|error| error.kind());
        assert!(matches!(end, Ok(0) | Err(ErrorKind::ConnectionReset)), "{end:?}");
    }
    assert_eq!(hub.refused("handshake"), 3);
    shake_hands(&hub);
}

#[test]
fn client_that_distrusts_the_certificate_is_counted_as_refused() {
    let hub = TestHub::start_plain(encrypting());
    let name = rustls::pki_types::ServerName::try_from("elsewhere.example").unwrap();
    let mut socket = TcpStream::connect(hub.address).unwrap();
    let mut tls =
        rustls::ClientConnection::new(tls_client(rustls::ALL_VERSIONS).into(), name).unwrap();
    let refused = loop {
        match tls.complete_io(&mut socket) {
            Ok(_) if tls.is_handshaking() => {}
            other => break other,
        }
    };
    assert!(refused.unwrap_err().to_string().contains("certificate"));
    drop(socket);
    hub.until_metric(r#"tickwire_refused_total{reason="handshake"}"#, 1);
}

#[test]
fn hub_without_certificate_answers_tls_with_bad_request() {
    let hub = TestHub::start_plain(crate::kit::config());
    let refused = connect(&hub, tls_client(rustls::ALL_VERSIONS)).err().unwrap();
    assert!(refused.to_string().contains("corrupt message"), "{refused}");
    Client::json(&hub).nothing_pending();
}

/// The request ends within a TLS record that also contains a command.
#[test]
fn command_after_a_tls_handshake_is_read_across_record_boundaries() {
    let hub = TestHub::start_plain(encrypting());
    let mut request = upgrade_request(hub.address, "/ws", &[]).into_bytes();
    let commands = 500;
    for id in 0..commands {
        let command = format!(r#"{{"action":"list","id":{id}}}"#);
        request.extend(crate::kit::masked(crate::kit::OPEN_TEXT, command.as_bytes()));
    }
    for record in [1, 300, request.len()] {
        let mut stream = shake_hands(&hub);
        for part in request.chunks(record) {
            stream.write_all(part).unwrap();
        }
        let last = format!(r#""id":{}"#, commands - 1);
        let mut answers = Vec::new();
        while !String::from_utf8_lossy(&answers).contains(&last) {
            let mut bytes = [0; 16 * 1024];
            let count = stream.read(&mut bytes).unwrap();
            assert!(count > 0, "ended after {answers:?}");
            answers.extend(&bytes[..count]);
        }
    }
}

/// R3.
#[test]
fn publishers_work_over_tls() {
    let hub = TestHub::start_encrypted(crate::kit::config());
    let (mut publisher, _) = crate::kit::Publisher::acknowledged(&hub, "market");
    publisher.publish(&[trade("AAPL", 1)]);
    let posted = hub.post("/publish", r#"[{"T":"t","S":"AAPL","i":2,"x":"V","p":1.5,"s":1,"c":[],"t":"2026-01-02T14:30:00Z","z":"C"}]"#);
    assert_eq!(posted.status, 200, "{}", posted.body);
    assert_eq!(hub.metric("tickwire_ticks_in_total"), 2);
}
