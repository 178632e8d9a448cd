//! Publishing by WebSocket, with and without acknowledgements, and by POST.

use serde_json::json;
use tickwire_hub::{ByteSize, Config};
use tickwire_protocol::Encoding;

use crate::kit::{
    Client, Event, OPEN_BINARY, OPEN_TEXT, Publisher, TestHub, config, exchange, id_of, trade,
    upgrade_request,
};

const ELEMENT: &str = r#"{"T":"t","S":"AAPL","i":1,"x":"D","p":126.55,"s":100,"c":["@","I"],"t":"2026-01-02T14:30:00.123456789Z","z":"C"}"#;

/// Returns a hub, and a session that receives every trade.
fn watched(config: Config) -> (TestHub, Client) {
    let hub = TestHub::start(config);
    let mut client = Client::msgpack(&hub);
    client.subscribe(r#""trades":["*"]"#);
    (hub, client)
}

fn ids(client: &mut Client, count: usize) -> Vec<u64> {
    client.take(count).iter().map(id_of).collect()
}

#[test]
fn every_data_message_is_acknowledged() {
    let (hub, mut client) = watched(config());
    let (mut publisher, mark) = Publisher::acknowledged(&hub, "one");
    assert_eq!((publisher.number, mark), (0, None));
    publisher.send(&[trade("AAPL", 1)]);
    publisher.send(&[]);
    publisher.send(&[trade("AAPL", 2), trade("IBM", 3)]);
    publisher.settle();
    assert_eq!(publisher.number, 3);
    assert_eq!(ids(&mut client, 3), [1, 2, 3]);
}

#[test]
fn publisher_without_an_id_receives_no_acks() {
    let (hub, mut client) = watched(config());
    let mut publisher = Publisher::open(&hub);
    publisher.send(&[trade("AAPL", 1)]);
    assert_eq!(ids(&mut client, 1), [1]);
    publisher.client.send_frame(OPEN_TEXT, b"[7]");
    publisher.client.error(400); // the first element of the session
}

#[test]
fn returning_publisher_learns_its_progress_and_nothing_is_duplicated() {
    let (hub, mut client) = watched(config());
    let mut next = 1;
    for round in 0..5 {
        let (mut publisher, _) = Publisher::acknowledged(&hub, "one");
        assert_eq!(publisher.number, next - 1, "round {round}");
        for _ in 0..10 {
            publisher.send(&[trade("AAPL", publisher.number + 1)]);
        }
        // The publisher leaves without reading acks, so its last messages may be lost.
        publisher.client.send_close(1000);
        assert!(matches!(publisher.client.closed(), Event::Close(1000, _)));
        let (again, _) = Publisher::acknowledged(&hub, "one");
        next = again.number + 1;
        drop(again);
    }
    let all: Vec<u64> = (1..next).collect();
    assert_eq!(all.len(), 50, "the close follows everything sent before it");
    assert_eq!(ids(&mut client, all.len()), all);
    client.nothing_pending();
    let (other, _) = Publisher::acknowledged(&hub, "two");
    assert_eq!(other.number, 0, "each publisher has its own numbers");
}

#[test]
fn returning_publisher_receives_its_last_mark() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "one");
    publisher.send_marked(&[trade("AAPL", 1)], Some("file 1, row 1"));
    publisher.send_marked(&[], Some("file 1, row 2"));
    publisher.send(&[trade("AAPL", 2)]);
    publisher.settle();
    drop(publisher);
    let (publisher, mark) = Publisher::acknowledged(&hub, "one");
    assert_eq!((publisher.number, mark.as_deref()), (3, Some("file 1, row 2")));
}

#[test]
fn newer_session_of_a_publisher_replaces_the_older_one() {
    let (hub, mut client) = watched(config());
    let (mut older, _) = Publisher::acknowledged(&hub, "one");
    older.publish(&[trade("AAPL", 1)]);
    let (mut newer, _) = Publisher::acknowledged(&hub, "one");
    assert_eq!(newer.number, 1);
    older.client.error(409);
    let Event::Close(code, reason) = older.client.closed() else { panic!("no close") };
    assert_eq!((code, reason.as_str()), (1008, "replaced"));
    newer.publish(&[trade("AAPL", 2)]);
    assert_eq!(ids(&mut client, 2), [1, 2]);
    drop(older);
    hub.until_metric("tickwire_publishers", 1);
    newer.publish(&[trade("AAPL", 3)]);
    assert_eq!(newer.number, 3, "the end of the older session does not affect the newer one");
}

#[test]
fn messages_of_a_replaced_publisher_are_ignored() {
    let (hub, mut client) = watched(config());
    let (mut older, _) = Publisher::acknowledged(&hub, "one");
    let (mut newer, _) = Publisher::acknowledged(&hub, "one");
    let frame = crate::kit::data_message(&[trade("AAPL", 99)]);
    let frame = crate::kit::masked(OPEN_BINARY, &frame);
    while std::io::Write::write_all(&mut older.client.stream, &frame).is_ok()
        && older.client.is_connected()
    {
        newer.publish(&[trade("AAPL", 1)]);
        if newer.number == 20 {
            break;
        }
    }
    let count = usize::try_from(newer.number).unwrap();
    assert!(ids(&mut client, count).iter().all(|id| *id == 1));
    client.nothing_pending();
}

#[test]
fn malformed_message_is_refused_by_element_and_field() {
    let (hub, mut client) = watched(config());
    let (mut publisher, _) = Publisher::acknowledged(&hub, "one");
    publisher.publish(&[trade("AAPL", 1)]);
    let wrong = ELEMENT.replace("126.55", "\"much\"");
    publisher.client.send_frame(OPEN_TEXT, format!("[{ELEMENT},{wrong}]").as_bytes());
    publisher.number += 1;
    let refusal = publisher.client.answer();
    assert_eq!((&refusal["T"], &refusal["code"]), (&json!("error"), &json!(400)));
    let detail = refusal["detail"].as_str().unwrap();
    for part in ["element 1", "p"] {
        assert!(detail.contains(part), "{detail}");
    }
    publisher.send(&[trade("AAPL", 2)]);
    publisher.settle();
    assert_eq!(publisher.number, 3, "a refused message counts: both sides number it");
    assert_eq!(ids(&mut client, 2), [1, 2]);
    assert_eq!(hub.refused("syntax"), 1);
}

#[test]
fn unreadable_messages_of_a_publisher_are_answered_with_errors() {
    let (hub, mut client) = watched(config());
    let (mut publisher, _) = Publisher::acknowledged(&hub, "one");
    let deep = [0x91; 100_000];
    let nested = "[".repeat(100_000);
    let symbol = ELEMENT.replace("AAPL", "aapl");
    let many_conditions = ELEMENT.replace(r#"["@","I"]"#, &format!("{:?}", vec!["A"; 17]));
    let long = ELEMENT.replace("\"D\"", &format!("{:?}", "D".repeat(65)));
    let long_array = [&[0xdd, 0xff, 0xff, 0xff, 0xff][..], &[0x91; 100]].concat();
    let long_string = [&[0x91, 0x9a, 0xa1, b't', 0xdb, 0xff, 0xff, 0xff, 0xff][..]].concat();
    let messages: &[(u8, &[u8])] = &[
        (OPEN_BINARY, b""),
        (OPEN_BINARY, &[0xc1]),
        (OPEN_BINARY, &[0xc0]),
        (OPEN_BINARY, &deep),
        (OPEN_BINARY, &long_array),
        (OPEN_BINARY, &long_string),
        (OPEN_TEXT, b""),
        (OPEN_TEXT, b"null"),
        (OPEN_TEXT, b"[1]"),
        (OPEN_TEXT, b"[[]]"),
        (OPEN_TEXT, b"[{}]"),
        (OPEN_TEXT, nested.as_bytes()),
        (OPEN_TEXT, b"[{\"T\":\"?\"}]"),
        (OPEN_TEXT, symbol.as_bytes()),
        (OPEN_TEXT, &[b"[", many_conditions.as_bytes(), b"]"].concat()),
        (OPEN_TEXT, &[b"[", long.as_bytes(), b"]"].concat()),
        (OPEN_TEXT, br#"[{"T":"mark","mark":"x"},{"T":"mark","mark":"y"}]"#),
        (OPEN_TEXT, br#"{"action":"subscribe","trades":["AAPL"]}"#),
        (OPEN_TEXT, br#"{"action":"publish","publisher":"again"}"#),
        (OPEN_TEXT, br#"{"action":"publish"}"#),
    ];
    for (first, message) in messages {
        publisher.client.send_frame(*first, message);
        let shown = String::from_utf8_lossy(&message[..message.len().min(60)]).into_owned();
        loop {
            let answer = publisher.client.control();
            if answer["T"] == "ack" {
                continue; // a message that is lost counts
            }
            assert_eq!((&answer["T"], &answer["code"]), (&json!("error"), &json!(400)), "{shown}");
            break;
        }
    }
    publisher.send(&[trade("AAPL", 7)]);
    assert_eq!(ids(&mut client, 1), [7]);
}

#[test]
fn message_with_too_many_ticks_is_refused() {
    let (hub, mut client) = watched(Config { publish_ticks_max: 10, ..config() });
    let mut publisher = Publisher::open(&hub);
    publisher.send(&vec![trade("AAPL", 1); 11]);
    assert!(publisher.client.error(400).1.contains("10"));
    publisher.send(&vec![trade("AAPL", 2); 10]);
    assert_eq!(ids(&mut client, 10), [2; 10]);
}

#[test]
fn topics_beyond_the_limit_are_refused_and_known_ones_continue() {
    let (hub, mut client) = watched(Config { topics_max: 2, ..config() });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "one");
    publisher.publish(&[trade("A", 1), trade("B", 2)]);
    publisher.send(&[trade("A", 3), trade("C", 4), trade("D", 5)]);
    let refusal = publisher.client.control();
    assert_eq!((&refusal["code"], &refusal["T"]), (&json!(405), &json!("error")));
    assert!(refusal["detail"].as_str().unwrap().starts_with("2 ticks refused"), "{refusal}");
    publisher.settle();
    assert_eq!(ids(&mut client, 3), [1, 2, 3]);
    let posted = hub.post("/publish", &ELEMENT.replace("AAPL", "ZZZ"));
    assert_eq!((posted.status, posted.body.as_str()), (200, r#"{"accepted":0,"refused":1}"#));
    let mut unacknowledged = Publisher::open(&hub);
    unacknowledged.send(&[trade("E", 6)]);
    assert_eq!(unacknowledged.client.control()["code"], 405);
    assert_eq!(hub.refused("topic_limit"), 4);
}

#[test]
fn oldest_absent_publisher_is_forgotten_at_the_limit() {
    let hub = TestHub::start(Config { publishers_max: 2, ..config() });
    let publish = |id: &str| {
        let (mut publisher, _) = Publisher::acknowledged(&hub, id);
        let before = publisher.number;
        publisher.publish(&[trade("AAPL", 1)]);
        drop(publisher);
        hub.until_metric("tickwire_publishers", 0);
        before
    };
    assert_eq!((publish("a"), publish("b"), publish("a")), (0, 0, 1));
    assert_eq!((publish("c"), publish("a"), publish("b")), (0, 2, 0));
}

#[test]
fn same_publisher_id_on_two_feeds_is_two_publishers() {
    let hub = TestHub::start(Config { feeds: vec!["main".into(), "other".into()], ..config() });
    let (mut main, _) = Publisher::acknowledged(&hub, "relay");
    main.send_marked(&[trade("AAPL", 1)], Some("of main"));
    main.settle();
    let (mut other, mark) = Publisher::acknowledged_at(&hub, "/publish?feed=other", "relay");
    assert_eq!((other.number, mark), (0, None));
    for id in 1..=5 {
        other.publish(&[trade("AAPL", id)]);
    }
    main.publish(&[trade("AAPL", 2)]); // the other session has not replaced it
    drop((main, other));
    let (main, mark) = Publisher::acknowledged(&hub, "relay");
    assert_eq!((main.number, mark.as_deref()), (2, Some("of main")));
}

#[test]
fn close_of_a_publisher_is_answered_with_its_code() {
    let hub = TestHub::default();
    let mut publisher = Publisher::open(&hub);
    publisher.client.send_close(4321);
    assert_eq!(publisher.client.closed(), Event::Close(4321, String::new()));
    publisher.client.gone();
}

#[test]
fn publishing_requires_the_token() {
    let hub = TestHub::start(Config { publish_token: Some("open-sesame".into()), ..config() });
    for (token, status) in [
        (None, 401),
        (Some("Bearer open-sesamE"), 401),
        (Some("Bearer open-sesame and more"), 401),
        (Some("Bearer "), 401),
        (Some("Basic open-sesame"), 401),
        (Some("Bearer open-sesame"), 101),
    ] {
        let headers: Vec<_> = token.map(|token| ("Authorization", token)).into_iter().collect();
        let request = upgrade_request(hub.address, "/publish", &headers);
        let client = Client::connect(&hub, request.as_bytes());
        assert!(
            client.head.starts_with(&format!("http/1.1 {status} ")),
            "{token:?}: {}",
            client.head
        );
        let posted = hub.request("POST", "/publish", &headers, ELEMENT);
        assert_eq!(posted.status, if status == 101 { 200 } else { status }, "{token:?}");
        if status == 401 {
            assert!(posted.head.contains("www-authenticate: bearer"), "{}", posted.head);
        }
    }
    assert_eq!(hub.refused("token"), 10);
    let mut reader = Client::json(&hub);
    reader.nothing_pending(); // readers need none
}

#[test]
fn post_accepts_one_element_or_an_array() {
    let (hub, _) = watched(config());
    let mut client = Client::session(&hub, Encoding::Json);
    client.subscribe(r#""trades":["AAPL"]"#);
    let accepted = |count| format!(r#"{{"accepted":{count},"refused":0}}"#);
    let posted = hub.post("/publish", ELEMENT);
    assert_eq!((posted.status, posted.body), (200, accepted(1)));
    let two = format!("[{ELEMENT},\n{}]", ELEMENT.replace("\"i\":1", "\"i\":2"));
    assert_eq!(hub.post("/publish?feed=main", &two).body, accepted(2));
    assert_eq!(hub.post("/publish", "[]").body, accepted(0));
    let ticks = client.take(3);
    let seen: Vec<_> = ticks.iter().map(|tick| (id_of(tick), tick.seq.0)).collect();
    assert_eq!(seen, [(1, 1), (1, 2), (2, 3)]);
}

#[test]
fn invalid_post_is_refused_as_a_whole() {
    let (hub, mut client) = watched(Config { publish_size_max: ByteSize::kib(8), ..config() });
    let wrong = ELEMENT.replace("126.55", "-1e99");
    let refused = hub.post("/publish", &format!("[{ELEMENT},{wrong}]"));
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.body.contains("element 1"), "{refused:?}");
    for body in ["", "{", "7", r#"{"action":"publish","publisher":"x"}"#] {
        assert_eq!(hub.post("/publish", body).status, 400, "{body}");
    }
    assert_eq!(hub.post("/publish?feed=moon", ELEMENT).status, 404);
    let long = format!("[{ELEMENT}{}]", " ".repeat(9_000));
    assert_eq!(hub.post("/publish", &long).status, 413);
    let endless = format!(
        "POST /publish HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{}",
        format!("1000\r\n{}\r\n", " ".repeat(4096)).repeat(8)
    );
    assert_eq!(exchange(hub.address, endless.as_bytes()).status, 413);
    let headers = [("Origin", "https://evil.example"), ("Content-Type", "text/plain")];
    assert_eq!(hub.request("POST", "/publish", &headers, ELEMENT).status, 403);
    client.nothing_pending();
    assert_eq!(hub.refused("too_big"), 2);
}
