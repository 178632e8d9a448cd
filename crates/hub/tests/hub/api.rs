//! The read-only HTTP API that the page uses.

use serde_json::{Value, json};
use tickwire_hub::Config;
use tickwire_hub::keys::SecretHash;

use crate::kit::{Client, Publisher, TestHub, config, exchange, quote, symbols, trade, until};

#[test]
fn symbol_search_lists_prefix_matches_before_substring_matches() {
    let hub = TestHub::start(Config { feeds: vec!["main".into(), "test".into()], ..config() });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let ticks = ["GOOG", "AAPL", "AA", "SPAA"].map(|symbol| trade(symbol, 1));
    publisher.publish(&ticks);
    publisher.publish(&[quote("AAPL", 1)]);
    assert_eq!(
        hub.json("/api/symbols?q=aa"),
        json!({"feed":"main","total":4,"symbols":[
            {"symbol":"AA","channels":["trades"]},
            {"symbol":"AAPL","channels":["trades","quotes"]},
            {"symbol":"SPAA","channels":["trades"]},
        ]})
    );
    assert_eq!(hub.json("/api/symbols?feed=main&q=&limit=1")["symbols"][0]["symbol"], "AA");
    assert_eq!(hub.json("/api/symbols?q=NONE")["symbols"], json!([]));
    assert_eq!(hub.json("/api/symbols?q=%00%22%3C")["symbols"], json!([]));
    assert_eq!(hub.json("/api/symbols?feed=test"), json!({"feed":"test","total":0,"symbols":[]}));
    publisher.publish(&symbols(150).iter().map(|name| trade(name, 1)).collect::<Vec<_>>());
    let count = |query| hub.json(query)["symbols"].as_array().unwrap().len();
    assert_eq!((count("/api/symbols"), count("/api/symbols?limit=1000")), (100, 154));
    for (query, status) in
        [("limit=0", 400), ("limit=1001", 400), ("limit=x", 400), ("feed=x", 404)]
    {
        assert_eq!(hub.get(&format!("/api/symbols?{query}")).status, status, "{query}");
    }
}

#[test]
fn status_counts_sessions_ticks_and_publishers() {
    let hub = TestHub::default();
    let mut client = Client::json(&hub);
    client.subscribe(r#""trades":["AAPL","IBM"],"quotes":["*"]"#);
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    publisher.publish(&[trade("AAPL", 1), quote("IBM", 2), trade("MSFT", 3)]);
    client.take(2);
    hub.until_metric("tickwire_ticks_delivered_total", 2);
    hub.until_metric("tickwire_subscriptions", 3);
    let status = hub.json("/api/status");
    for (field, expected) in
        [("sessions", 1), ("subscriptions", 3), ("ticks_in", 3), ("ticks_delivered", 2)]
    {
        assert_eq!(status[field], expected, "{field} of {status}");
    }
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["epoch"].as_str().unwrap().len(), 16);
    assert_eq!((&status["log"]["first"], &status["log"]["head"]), (&json!(1), &json!(4)));
    assert_eq!(status["log"]["ticks"], 3);
    assert_eq!(status["feeds"][0]["publishers"], 1);
}

#[test]
fn only_files_of_the_page_are_served() {
    let hub = TestHub::default();
    let page = hub.get("/");
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-security-policy: default-src 'self'"), "{}", page.head);
    for path in [
        "/../Cargo.toml",
        "/assets/../../Cargo.toml",
        "/%2e%2e/Cargo.toml",
        "//etc/passwd",
        "/etc/passwd",
        "/index.html/",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!(exchange(hub.address, request.as_bytes()).status, 404, "{path}");
    }
    assert_eq!(hub.request("POST", "/", &[], "x").status, 405);
}

const SECRET: &str = "a secret of the tests";

/// Returns a hub with two keys: READER may read `main` only, ADMIN everything.
fn guarded(folder: &tempfile::TempDir) -> TestHub {
    let keys_file = folder.path().join("keys.toml");
    let key = |id: &str, rest: &str| {
        let secret = SecretHash::new(SECRET);
        format!("[[key]]\nid = \"{id}\"\nname = \"{id} of tests\"\nsecret = \"{secret}\"\n{rest}\n")
    };
    let reader = key("READER", "role = \"read\"\nfeeds = [\"main\"]\nsessions_max = 2");
    std::fs::write(&keys_file, reader + &key("ADMIN", "role = \"admin\"")).unwrap();
    let feeds = vec!["main".into(), "other".into()];
    TestHub::start(Config { feeds, keys: Some(keys_file), ..config() })
}

fn ask(hub: &TestHub, path: &str, key: &str) -> (u16, Value) {
    let bearer = format!("Bearer {key}:{SECRET}");
    let answer = hub.request("GET", path, &[("Authorization", &bearer)], "");
    (answer.status, serde_json::from_str(&answer.body).unwrap_or_default())
}

#[test]
fn guarded_hub_answers_within_the_rights_of_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let hub = guarded(&folder);
    for path in ["/api/status", "/api/symbols", "/api/topics", "/api/keys"] {
        assert_eq!(hub.get(path).status, 401, "{path}");
        assert_eq!(ask(&hub, path, "UNKNOWN").0, 401, "{path}");
    }
    for path in ["/healthz", "/readyz", "/"] {
        assert_eq!(hub.get(path).status, 200, "{path}");
    }
    let (status, seen) = ask(&hub, "/api/status", "READER");
    assert_eq!(
        (status, &seen["role"], &seen["may_see_keys"]),
        (200, &json!("read"), &json!(false))
    );
    assert_eq!(seen["feeds"].as_array().unwrap().len(), 1);
    assert_eq!(seen["views"], json!([{"view":"main","feed":"main","delay_ms":0}]));
    assert_eq!(ask(&hub, "/api/symbols?feed=main", "READER").0, 200);
    assert_eq!(ask(&hub, "/api/symbols?feed=other", "READER").0, 403);
    assert_eq!(ask(&hub, "/api/keys", "READER").0, 403);
    let (_, seen) = ask(&hub, "/api/status", "ADMIN");
    assert_eq!((&seen["role"], &seen["may_see_keys"]), (&json!("admin"), &json!(true)));
    assert_eq!(seen["feeds"].as_array().unwrap().len(), 2);
}

#[test]
fn administrator_sees_the_sessions_of_every_key() {
    let folder = tempfile::tempdir().unwrap();
    let hub = guarded(&folder);
    let bearer = format!("Bearer READER:{SECRET}");
    let headers = [("Authorization", bearer.as_str())];
    let mut session = Client::open(&hub, "/ws", &headers);
    assert_eq!(session.control()["msg"], "connected");
    assert_eq!(session.control()["msg"], "authenticated");
    let keys = || ask(&hub, "/api/keys", "ADMIN").1["keys"].clone();
    let reader = keys()[1].clone();
    for (field, expected) in [
        ("id", json!("READER")),
        ("name", json!("READER of tests")),
        ("role", json!("read")),
        ("sessions", json!(1)),
        ("publishers", json!(0)),
        ("sessions_max", json!(2)),
        ("refused", json!(0)),
    ] {
        assert_eq!(reader[field], expected, "{field} of {reader}");
    }
    assert!(reader["since"].as_str().unwrap().ends_with('Z'), "{reader}");
    assert_eq!(keys()[0].get("sessions_max"), None);
    assert!(!keys().to_string().contains("sha256"), "no secrets, not even hashed");
    drop(session);
    until("the session is gone", || keys()[1]["sessions"] == 0);
}

#[test]
fn open_hub_lists_sessions_without_a_key() {
    let hub = TestHub::default();
    assert_eq!(hub.json("/api/keys"), json!({"keys":[]}));
    let _session = Client::json(&hub);
    let keys = hub.json("/api/keys");
    assert_eq!((&keys["keys"][0]["id"], &keys["keys"][0]["sessions"]), (&json!(""), &json!(1)));
    assert_eq!(hub.json("/api/status")["may_see_keys"], true);
}
