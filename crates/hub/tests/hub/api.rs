//! The read-only HTTP API, for the page and for curl.

use serde_json::{Value, json};
use tickwire_hub::Config;

use crate::kit::{Client, Publisher, TestHub, config, exchange, quote, symbols, trade};

fn json(hub: &TestHub, path: &str) -> Value {
    let answer = hub.get(path);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    serde_json::from_str(&answer.body).unwrap()
}

#[test]
fn symbols_are_found_by_prefix_first_then_by_what_they_contain() {
    let hub = TestHub::start(Config { feeds: vec!["main".into(), "test".into()], ..config() });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let ticks = ["GOOG", "AAPL", "AA", "SPAA"].map(|symbol| trade(symbol, 1));
    publisher.publish(&ticks);
    publisher.publish(&[quote("AAPL", 1)]);
    assert_eq!(
        json(&hub, "/api/symbols?q=aa"),
        json!({"feed":"main","total":4,"symbols":[
            {"symbol":"AA","channels":["trades"]},
            {"symbol":"AAPL","channels":["trades","quotes"]},
            {"symbol":"SPAA","channels":["trades"]},
        ]})
    );
    assert_eq!(json(&hub, "/api/symbols?feed=main&q=&limit=1")["symbols"][0]["symbol"], "AA");
    assert_eq!(json(&hub, "/api/symbols?q=NONE")["symbols"], json!([]));
    assert_eq!(json(&hub, "/api/symbols?q=%00%22%3C")["symbols"], json!([]));
    assert_eq!(json(&hub, "/api/symbols?feed=test"), json!({"feed":"test","total":0,"symbols":[]}));
    publisher.publish(&symbols(150).iter().map(|name| trade(name, 1)).collect::<Vec<_>>());
    let count = |query| json(&hub, query)["symbols"].as_array().unwrap().len();
    assert_eq!((count("/api/symbols"), count("/api/symbols?limit=1000")), (100, 154));
    for (query, status) in
        [("limit=0", 400), ("limit=1001", 400), ("limit=x", 400), ("feed=x", 404)]
    {
        assert_eq!(hub.get(&format!("/api/symbols?{query}")).status, status, "{query}");
    }
}

#[test]
fn the_status_counts_what_is_there() {
    let hub = TestHub::default();
    let mut client = Client::json(&hub);
    client.subscribe(r#""trades":["AAPL","IBM"],"quotes":["*"]"#);
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    publisher.publish(&[trade("AAPL", 1), quote("IBM", 2), trade("MSFT", 3)]);
    client.take(2);
    hub.until_metric("tickwire_ticks_delivered_total", 2);
    hub.until_metric("tickwire_subscriptions", 3);
    let status = json(&hub, "/api/status");
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
fn nothing_outside_of_the_page_is_served() {
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
