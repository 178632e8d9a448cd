//! Reverse proxies: which address counts as that of the client, and hubs that require TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use tickwire_hub::Config;

use crate::kit::{
    KeysFile, PATIENCE, TestHub, config, exchange, key_header, tls_file, upgrade_request,
};

/// A hub with keys, whose sessions show the addresses of their clients.
fn hub(trusted: &[&str]) -> (TestHub, KeysFile) {
    let file = KeysFile::new("", &[("BOT", "read", "sessions_max = 1"), ("ADMIN", "admin", "")]);
    let trusted_proxy = trusted.iter().map(|network| network.parse().unwrap()).collect();
    (TestHub::start_plain(Config { trusted_proxy, ..file.config() }), file)
}

/// Sends a request with a wrong key after a preface, and returns the status of the answer.
fn wrong_key(hub: &TestHub, preface: &[u8], headers: &str) -> u16 {
    let request = format!(
        "GET /api/status HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\
         Authorization: Bearer BOT:wrong\r\n{headers}\r\n"
    );
    exchange(hub.address, &[preface, request.as_bytes()].concat()).status
}

/// Opens a session of the key BOT. Returns its address, which the error of a second session names.
fn holder(hub: &TestHub, preface: &[u8], headers: &[(&str, &str)]) -> String {
    let (name, value) = key_header("BOT");
    let headers = [&[(name, value.as_str())], headers].concat();
    let request = upgrade_request(hub.address, "/ws", &headers);
    let open = || {
        let mut stream = TcpStream::connect(hub.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&[preface, request.as_bytes()].concat()).unwrap();
        let mut text = String::new();
        let mut buffer = [0; 1_024];
        while !text.contains("authenticated\"") && !text.contains("held by") {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        (stream, text)
    };
    let (_first, text) = open();
    assert!(text.contains("101 Switching Protocols"), "{text}");
    let (_second, text) = open();
    let (_, holder) = text.split_once("held by ").unwrap_or_else(|| panic!("{text}"));
    holder.split([' ', ',']).next().unwrap().to_owned()
}

#[test]
fn trusted_proxy_names_its_client_in_a_header() {
    let (hub, _file) = hub(&["127.0.0.0/8", "10.0.0.0/8"]);
    let forwarded = [("X-Forwarded-For", "203.0.113.9, 192.0.2.1, 10.0.0.7")];
    assert_eq!(holder(&hub, b"", &forwarded), "192.0.2.1");
    assert_eq!(wrong_key(&hub, b"", "X-Forwarded-For: 192.0.2.1\r\n"), 401);
}

#[test]
fn trusted_proxy_names_its_client_by_the_proxy_protocol() {
    let (hub, _file) = hub(&["127.0.0.1"]);
    let v1 = b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 80\r\n";
    assert_eq!(holder(&hub, v1, &[]), "192.0.2.1");
    let (hub, _file) = self::hub(&["127.0.0.1"]);
    let addresses = [192, 0, 2, 2, 198, 51, 100, 1, 0, 80, 0, 80];
    let v2 = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &addresses].concat();
    assert_eq!(holder(&hub, &v2, &[]), "192.0.2.2");
    let forwarded = [("X-Forwarded-For", "203.0.113.9")];
    let (hub, _file) = self::hub(&["127.0.0.1"]);
    assert_eq!(holder(&hub, &v2, &forwarded), "192.0.2.2", "that client is no proxy");
    assert_eq!(wrong_key(&hub, b"PROXY nonsense\r\n", ""), 0, "a malformed preface");
}

#[test]
fn statements_of_anybody_else_are_ignored_or_refused() {
    for trusted in [&[][..], &["10.0.0.0/8"]] {
        let (hub, _file) = hub(trusted);
        assert_eq!(holder(&hub, b"", &[("X-Forwarded-For", "192.0.2.1")]), "127.0.0.1");
        for preface in [
            &b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 80\r\n"[..],
            b"PROXY UNKNOWN\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
        ] {
            assert_eq!(wrong_key(&hub, preface, ""), 400, "{preface:?}");
        }
    }
}

#[test]
fn hub_with_tls_only_refuses_plain_requests() {
    let certified = |config: Config| Config {
        tls_cert: Some(tls_file("first.pem")),
        tls_key: Some(tls_file("first.key")),
        tls_only: true,
        ..config
    };
    let hub = TestHub::start_encrypted(certified(config()));
    assert_eq!(hub.get("/readyz").status, 200, "over TLS");
    let plain = |address: SocketAddr, path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        exchange(address, request.as_bytes())
    };
    for path in ["/", "/readyz", "/api/status", "/metrics", "/ws"] {
        let answer = plain(hub.direct, path);
        assert_eq!(answer.status, 426, "{path}: {answer:?}");
        assert!(answer.body.contains("https:// or wss://"), "{answer:?}");
        assert!(answer.head.contains("upgrade: tls/1.2"), "{answer:?}");
    }
}
