//! WebSocket handshakes, accepted and refused.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tickwire_hub::Config;

use crate::kit::{
    Client, Event, OPEN_TEXT, Publisher, TestHub, config, exchange, masked, read_response, trade,
    until, upgrade_request,
};

#[test]
fn first_messages_are_the_epoch_and_the_feed_state() {
    let hub = TestHub::default();
    let mut client = Client::open(&hub, "/ws", &[]);
    assert!(!client.head.contains("sec-websocket-protocol"), "none was offered: {}", client.head);
    let connected = client.next().control();
    assert_eq!((&connected["T"], &connected["msg"]), (&"success".into(), &"connected".into()));
    let epoch = connected["epoch"].as_str().unwrap();
    assert!(epoch.len() == 16 && epoch.bytes().all(|b| b.is_ascii_hexdigit()), "{epoch}");
    let feed = client.next().control();
    assert_eq!((&feed["T"], &feed["feed"]), (&"feed".into(), &"main".into()));
    assert_eq!(feed["state"], "down");
    let since = feed["since"].as_str().unwrap();
    assert!(since.starts_with("20") && since.ends_with('Z'), "{since}");
}

#[test]
fn first_known_subprotocol_of_the_offer_is_chosen() {
    let hub = TestHub::default();
    for (offered, chosen) in [
        ("tickwire.v1.msgpack", "tickwire.v1.msgpack"),
        ("tickwire.v1.json", "tickwire.v1.json"),
        ("mqtt, tickwire.v1.json , tickwire.v1.msgpack", "tickwire.v1.json"),
    ] {
        let client = Client::open(&hub, "/ws", &[("Sec-WebSocket-Protocol", offered)]);
        let line = format!("sec-websocket-protocol: {chosen}\r\n");
        assert!(client.head.contains(&line), "{offered}: {}", client.head);
        assert!(client.head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="));
    }
}

#[test]
fn command_sent_with_the_handshake_is_read() {
    let hub = TestHub::default();
    let mut request = upgrade_request(hub.address, "/ws", &[]).into_bytes();
    request.extend(masked(OPEN_TEXT, br#"{"action":"list","id":7}"#));
    let mut client = Client::connect(&hub, &request);
    assert_eq!(client.control()["T"], "success");
    assert_eq!(client.control()["id"], 7);
}

#[test]
fn commands_sent_with_the_handshake_are_all_answered() {
    let hub = TestHub::default();
    let mut request = upgrade_request(hub.address, "/ws", &[]).into_bytes();
    for id in 0..3_000 {
        request.extend(masked(OPEN_TEXT, format!(r#"{{"action":"list","id":{id}}}"#).as_bytes()));
    }
    let mut client = Client::connect(&hub, &request);
    assert_eq!(client.control()["T"], "success");
    for id in 0..3_000 {
        assert_eq!(client.control()["id"], id);
    }
}

#[test]
fn handshake_may_follow_another_request() {
    let hub = TestHub::default();
    let request = upgrade_request(hub.address, "/ws", &[]);
    let both = format!("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n{request}");
    let mut client = Client::connect(&hub, both.as_bytes());
    assert!(client.head.starts_with("http/1.1 200"), "{}", client.head);
    client.skip(2); // "ok"
    client.read_head();
    assert!(client.head.starts_with("http/1.1 101"), "{}", client.head);
    assert_eq!(client.control()["T"], "success");
    client.nothing_pending();
}

#[test]
fn unusual_handshake_requests_are_refused() {
    let hub = TestHub::default();
    let good = upgrade_request(hub.address, "/ws", &[])
        .replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    for (change, to, status) in [
        ("GET /ws ", "GET /ws?feed= ", 404),
        ("GET /ws ", "GET /ws?feed=%00 ", 404),
        ("GET /ws ", "GET /ws?feed=main&feed=main ", 400),
        ("GET /ws ", "POST /ws ", 405),
        ("GET /ws ", "HEAD /ws ", 405),
        ("GET /ws ", "GET /ws/ ", 404),
        ("GET /ws ", "GET //ws ", 404),
    ] {
        let answer = Client::connect(&hub, good.replace(change, to).as_bytes());
        let expected = format!(" {status} ");
        assert!(answer.head.contains(&expected), "{to}: {}", answer.head);
    }
}

#[test]
fn handshake_may_arrive_byte_by_byte() {
    let hub = TestHub::default();
    let mut client = Client::connect(&hub, b"");
    assert!(client.head.is_empty());
    for byte in upgrade_request(hub.address, "/ws", &[]).bytes() {
        client.send_raw(&[byte]);
    }
    client.read_head();
    assert!(client.head.starts_with("http/1.1 101"), "{}", client.head);
    assert_eq!(client.control()["T"], "success");
}

#[test]
fn invalid_handshake_is_refused_with_the_expected_value() {
    let hub = TestHub::default();
    let good = upgrade_request(hub.address, "/ws", &[])
        .replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    for (change, to, status, text) in [
        ("Upgrade: websocket\r\n", "", 426, "expected Connection: Upgrade and Upgrade: websocket"),
        ("Upgrade: websocket", "Upgrade: h2c", 426, "expected Connection: Upgrade"),
        ("Version: 13", "Version: 8", 426, "expected Sec-WebSocket-Version: 13"),
        ("Sec-WebSocket-Version: 13\r\n", "", 426, "expected Sec-WebSocket-Version: 13"),
        ("Key: dGhl", "Key: ", 400, "expected Sec-WebSocket-Key: 16 bytes in base64"),
        ("Key: dGhl", "Key: !!!!", 400, "expected Sec-WebSocket-Key: 16 bytes in base64"),
        (
            "GET /ws",
            "GET /ws?feed=moon",
            404,
            "no such feed; expected one of: delayed_sip, iex, main, sip",
        ),
        // An answer with the page would show up as "HTTP 200" in bots.
        ("GET /ws", "GET /", 404, r#""streams":["/ws","/v2/delayed_sip","/v2/iex""#),
        ("GET /ws", "GET /v3/sip/x", 404, r#"{"message":"no such path: /v3/sip/x; this hub has"#),
    ] {
        let answer = exchange(hub.address, good.replace(change, to).as_bytes());
        assert_eq!(answer.status, status, "{change}: {answer:?}");
        assert!(answer.body.contains(text), "{change}: {answer:?}");
        if status == 426 {
            assert!(answer.head.contains("sec-websocket-version: 13"), "{answer:?}");
        }
    }
    assert_eq!(hub.get("/ws").status, 426);
    assert_eq!(hub.get("/publish").status, 426);
    assert_eq!(hub.request("DELETE", "/ws", &[], "").status, 405);
    assert_eq!(hub.get("/nothing").status, 404);
    assert_eq!(hub.refused("handshake"), 12);
}

#[test]
fn bytes_that_are_not_http_end_the_connection() {
    let hub = TestHub::default();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"GET /ws HTTP/9.9\r\n\r\n",
        b"GET \xff\xfe HTTP/1.1\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nno colon\r\n\r\n",
    ] {
        let answer = exchange(hub.address, garbage);
        assert!(matches!(answer.status, 0 | 400), "{garbage:?}: {answer:?}");
    }
    let long = format!("GET /ws HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    assert_eq!(exchange(hub.address, long.as_bytes()).status, 431);
    let many = format!("GET /ws HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1_000));
    assert_eq!(exchange(hub.address, many.as_bytes()).status, 431);
    assert_eq!(hub.get("/healthz").body, "ok");
}

#[test]
fn incomplete_request_is_cut_after_the_timeout() {
    let hub = TestHub::start(Config { handshake_timeout: Duration::from_secs(1), ..config() });
    for beginning in ["", "GET /ws HT", "GET /ws HTTP/1.1\r\nHost: x\r\n"] {
        let mut stream = TcpStream::connect(hub.address).unwrap();
        stream.write_all(beginning.as_bytes()).unwrap();
        let answer = read_response(&mut stream);
        assert!(matches!(answer.status, 0 | 408), "{beginning}: {answer:?}");
    }
}

#[test]
fn incomplete_body_is_cut_after_the_timeout() {
    let hub = TestHub::start(Config { handshake_timeout: Duration::from_secs(1), ..config() });
    let mut stream = TcpStream::connect(hub.address).unwrap();
    stream.write_all(b"POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[").unwrap();
    assert_eq!(read_response(&mut stream).status, 408);
}

#[test]
fn client_that_reads_no_answers_loses_its_connection() {
    let hub = TestHub::start(Config {
        handshake_timeout: Duration::from_secs(2),
        http_connections_max: 1,
        ..config()
    });
    let mut greedy = TcpStream::connect(hub.address).unwrap();
    greedy.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let requests = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1_000);
    while greedy.write_all(requests.as_bytes()).is_ok() {} // until nothing more fits anywhere
    assert_eq!(hub.get("/healthz").status, 200);
}

#[test]
fn half_open_connections_do_not_block_other_clients() {
    let hub = TestHub::start(Config {
        handshake_timeout: Duration::from_secs(2),
        http_connections_max: 4,
        ..config()
    });
    let half_open: Vec<_> = (0..12).map(|_| TcpStream::connect(hub.address).unwrap()).collect();
    let mut client = Client::json(&hub);
    client.nothing_pending();
    drop(half_open);
}

#[test]
fn sessions_and_publishers_do_not_count_as_http_connections() {
    let hub = TestHub::start(Config { http_connections_max: 1, ..config() });
    let _sessions: Vec<_> = (0..5).map(|_| Client::json(&hub)).collect();
    let _publishers: Vec<_> = (0..5).map(|_| Client::open(&hub, "/publish", &[])).collect();
    assert_eq!(hub.get("/healthz").status, 200);
}

#[test]
fn session_limit_refuses_until_a_session_ends() {
    let hub = TestHub::start(Config { sessions_max: 2, ..config() });
    let first = Client::json(&hub);
    let _second = Client::json(&hub);
    let request = upgrade_request(hub.address, "/ws", &[]);
    let refused = Client::connect(&hub, request.as_bytes());
    assert!(refused.head.starts_with("http/1.1 503"), "{}", refused.head);
    assert_eq!(hub.refused("session_limit"), 1);
    drop(first);
    hub.until_metric("tickwire_sessions", 1);
    Client::json(&hub);
}

#[test]
fn publisher_limit_refuses_until_a_publisher_ends() {
    let hub = TestHub::start(Config { publishers_max: 2, ..config() });
    let (first, _) = Publisher::acknowledged(&hub, "first");
    let _second = Publisher::acknowledged(&hub, "second");
    let request = upgrade_request(hub.address, "/publish", &[]);
    let refused = Client::connect(&hub, request.as_bytes());
    assert!(refused.head.starts_with("http/1.1 503"), "{}", refused.head);
    drop(first);
    hub.until_metric("tickwire_publishers", 1);
    Client::open(&hub, "/publish", &[]);
}

#[test]
fn publishers_that_send_nothing_make_room_for_others() {
    let hub = TestHub::start(Config { publishers_max: 2, ..config() });
    let mut silent = Client::open(&hub, "/publish", &[]);
    let (mut active, _) = Publisher::acknowledged(&hub, "active");
    let _new = Client::open(&hub, "/publish", &[]);
    assert_eq!(silent.closed(), Event::Close(1013, "too_many_publishers".into()));
    active.publish(&[trade("AAPL", 1)]);
    hub.until_metric("tickwire_publishers", 2);
}

#[test]
fn post_with_an_unfinished_body_makes_room_for_publishers() {
    let hub = TestHub::start(Config { publishers_max: 1, ..config() });
    let mut unfinished = TcpStream::connect(hub.address).unwrap();
    let head = "POST /publish HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n";
    unfinished.write_all(format!("{head}Content-Length: 9\r\n\r\n").as_bytes()).unwrap();
    let mut first = [0; 25];
    unfinished.read_exact(&mut first).unwrap(); // "100 Continue": the body is being read
    Publisher::acknowledged(&hub, "market");
    assert_eq!(read_response(&mut unfinished).status, 503);
}

#[test]
fn concurrent_publishers_stay_within_the_limit() {
    let hub = TestHub::start(Config { publishers_max: 3, ..config() });
    let mut request = upgrade_request(hub.address, "/publish", &[]).into_bytes();
    request.extend(masked(OPEN_TEXT, br#"{"action":"publish","publisher":"one"}"#));
    let mut clients: Vec<_> = (0..40).map(|_| Client::connect(&hub, b"")).collect();
    for client in &mut clients {
        client.send_raw(&request);
    }
    for client in &mut clients {
        client.read_head();
    }
    let accepted = clients.iter().filter(|client| client.head.starts_with("http/1.1 101"));
    assert!(accepted.count() >= 3);
    // Those that made room for others end soon.
    until("at most three remain", || hub.metric("tickwire_publishers") <= 3);
}

#[test]
fn foreign_origins_are_refused() {
    let hub =
        TestHub::start(Config { allow_origins: vec!["https://shop.example".into()], ..config() });
    let own = format!("http://{}", hub.address);
    for path in ["/ws", "/publish"] {
        for (origin, status) in [
            ("https://evil.example", 403),
            ("null", 403),
            ("http://127.0.0.1:1", 403),
            ("https://shop.example", 101),
            (&own, 101),
        ] {
            let request = upgrade_request(hub.address, path, &[("Origin", origin)]);
            let client = Client::connect(&hub, request.as_bytes());
            let expected = format!("http/1.1 {status} ");
            assert!(client.head.starts_with(&expected), "{path} {origin}: {}", client.head);
        }
    }
    assert_eq!(hub.refused("origin"), 6);
}

#[test]
fn own_page_is_accepted_under_names_that_no_website_can_have() {
    let hub = TestHub::start(Config { allowed_hosts: vec!["hub.lan".into()], ..config() });
    let open = |path: &str, host: &str, origin: &str| {
        let request = upgrade_request(host, path, &[("Origin", origin)]);
        Client::connect(&hub, request.as_bytes()).head
    };
    let ask = |host: &str, origin: &str| {
        let text = format!(
            "OPTIONS /ws HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n"
        );
        exchange(hub.address, text.as_bytes())
    };
    for (host, origin, expected) in [
        ("vm:8080", "http://vm:8080", 101),
        ("hub.lan:8080", "http://hub.lan:8080", 101),
        ("prices.example", "https://prices.example", 101),
        ("evil.example:8080", "http://evil.example:8080", 403),
        ("127.0.0.1:8080", "https://prices.example", 403),
    ] {
        for path in ["/ws", "/v2/sip", "/publish"] {
            let head = open(path, host, origin);
            let status = format!("http/1.1 {expected} ");
            assert!(head.starts_with(&status), "{path} {host} {origin}: {head}");
        }
        let answer = ask(host, origin);
        assert_eq!(answer.status, if expected == 101 { 204 } else { 403 }, "{host} {origin}");
        assert_eq!(answer.body.contains("not allowed"), expected == 403, "{answer:?}");
    }
}
