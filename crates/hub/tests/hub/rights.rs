//! What a key with limited rights learns: from the HTTP API, from errors and from feed states.

use std::time::Duration;

use serde_json::{Value, json};
use tickwire_hub::{Config, ViewConfig};

use crate::kit::{
    Client, Event, KeysFile, Publisher, TestHub, config, exchange, key_header, trade, until,
    upgrade_request,
};

const LONG: Duration = Duration::from_secs(3_600);

/// A hub with the feeds `main` and `secret`, whose view `late` is `main` later. The key ALL may
/// read everything, LATE only `late`, AAPL only that symbol, and MARKET publishes to `main`.
fn hub(delay: Duration) -> (TestHub, KeysFile) {
    let file = KeysFile::new(
        "",
        &[
            ("ALL", "publish", ""),
            ("LATE", "read", "feeds = [\"late\"]"),
            ("AAPL", "read", "symbols = [\"AAPL\"]"),
            ("MARKET", "publish", "feeds = [\"main\"]"),
        ],
    );
    let late = ViewConfig { feed: "main".to_owned(), delay };
    let views = [("late".to_owned(), late)].into();
    let feeds = vec!["main".into(), "secret".into()];
    (TestHub::start(Config { feeds, views, bars: false, ..file.config() }), file)
}

/// Publishes a trade of each symbol to `main`.
fn publish(hub: &TestHub, symbols: &[&str]) {
    let mut elements = Vec::new();
    for symbol in symbols {
        let mut element = Vec::new();
        trade(symbol, 1).write_json(&mut element);
        elements.push(String::from_utf8(element).unwrap());
    }
    let (name, value) = key_header("ALL");
    let body = format!("[{}]", elements.join(","));
    let answer = hub.request("POST", "/publish", &[(name, &value)], &body);
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn names(answer: &Value) -> Vec<&str> {
    let symbols = answer["symbols"].as_array().unwrap();
    symbols.iter().map(|entry| entry["symbol"].as_str().unwrap()).collect()
}

/// The answer to the handshake of a WebSocket that is refused.
fn refused_handshake(hub: &TestHub, path: &str, key: Option<&str>) -> (u16, String) {
    let header = key.map(key_header);
    let headers: Vec<_> = header.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let request = upgrade_request(hub.address, path, &headers);
    let request = request.replace("Connection: Upgrade", "Connection: Upgrade, close");
    let answer = exchange(hub.address, request.as_bytes());
    (answer.status, answer.body)
}

#[test]
fn key_for_a_delayed_view_learns_nothing_of_the_live_market() {
    let (hub, _file) = hub(LONG);
    publish(&hub, &["AAPL", "MSFT"]);
    let (name, value) = key_header("ALL");
    let _publisher = Client::open(&hub, "/publish", &[(name, &value)]);
    until("the feed is live", || hub.json_as("ALL", "/api/status")["feeds"][0]["state"] == "live");

    let symbols = hub.json_as("LATE", "/api/symbols?feed=late&q=A");
    assert_eq!(symbols, json!({"feed":"late","total":0,"symbols":[]}));
    let topics = hub.json_as("LATE", "/api/topics");
    assert_eq!((&topics["total"], &topics["topics"]), (&json!(0), &json!([])));
    let status = hub.json_as("LATE", "/api/status");
    assert_eq!(status["feeds"], json!([]));
    assert_eq!(status["views"], json!([{"view":"late","feed":"main","delay_ms":3_600_000}]));
    for figure in ["sessions", "subscriptions", "ticks_in", "ticks_delivered", "log"] {
        assert_eq!(status.get(figure), Some(&Value::Null), "{figure} of {status}");
    }
    let (status, body) = hub.get_as("LATE", "/v2/stocks/AAPL/trades/latest?feed=late");
    assert_eq!(status, 404, "{body}");
}

#[test]
fn symbols_of_a_delayed_view_appear_once_their_first_tick_is_due() {
    let (hub, _file) = hub(Duration::from_secs(2));
    publish(&hub, &["AAPL"]);
    assert_eq!(names(&hub.json_as("ALL", "/api/symbols")), ["AAPL"]);
    until("AAPL is due", || names(&hub.json_as("LATE", "/api/symbols?feed=late")) == ["AAPL"]);
    let path = "/v2/stocks/AAPL/trades/latest?feed=late";
    until("the tick is due as well", || hub.get_as("LATE", path).0 == 200);
    assert_eq!(hub.json_as("LATE", path)["symbol"], "AAPL");
}

#[test]
fn symbol_that_ticked_shortly_before_a_restart_is_not_shown_early() {
    let folder = tempfile::tempdir().unwrap();
    let file = KeysFile::new("", &[("ALL", "publish", ""), ("LATE", "read", "feeds = [\"late\"]")]);
    let late = ViewConfig { feed: "main".to_owned(), delay: LONG };
    let views = [("late".to_owned(), late)].into();
    let data_dir = Some(folder.path().to_owned());
    let config = Config { data_dir, views, bars: false, ..file.config() };
    for _ in 0..2 {
        let hub = TestHub::start(config.clone());
        publish(&hub, &["AAPL"]);
        assert_eq!(names(&hub.json_as("ALL", "/api/symbols")), ["AAPL"]);
        assert_eq!(hub.json_as("LATE", "/api/symbols?feed=late")["total"], 0);
    }
}

#[test]
fn key_with_symbols_sees_neither_other_names_nor_totals() {
    let (hub, _file) = hub(LONG);
    publish(&hub, &["AAPL", "MSFT"]);
    let (name, value) = key_header("ALL");
    let mut publisher = Client::open(&hub, "/publish", &[(name, &value)]);
    publisher.ask(r#"{"action":"publish","publisher":"relay"}"#);
    publisher.send(r#"{"action":"report","state":"live","ticks":7}"#);
    let source = |key: &str| hub.json_as(key, "/api/status")["feeds"][0]["sources"][0].clone();
    until("the report is there", || source("ALL")["ticks"] == 7);

    let found = hub.json_as("AAPL", "/api/symbols");
    assert_eq!((&found["total"], names(&found)), (&json!(1), vec!["AAPL"]));
    let status = hub.json_as("AAPL", "/api/status");
    let feed = &status["feeds"][0];
    assert!(feed["state"].is_string() && feed["ticks_in"].is_null(), "{feed}");
    assert_eq!(source("AAPL").get("ticks"), None);
    assert_eq!((&status["ticks_in"], &status["log"]), (&Value::Null, &Value::Null), "{status}");
    let (code, body) = hub.get_as("AAPL", "/v2/stocks/snapshots?symbols=AAPL,MSFT&feed=main");
    assert_eq!(code, 403, "{body}");
    assert_eq!(hub.json_as("ALL", "/api/status")["ticks_in"], 2);
}

#[test]
fn errors_name_only_feeds_and_views_that_the_key_may_use() {
    let (hub, _file) = hub(LONG);
    let foreign = ["secret", "main", "sip", "iex"];
    for feed in ["secret", "moon"] {
        for path in ["/api/symbols?feed=", "/api/topics?feed=", "/v2/stocks/A/snapshot?feed="] {
            let (status, body) = hub.get_as("LATE", &format!("{path}{feed}"));
            assert_eq!(status, 403, "{path}{feed}: {body}");
            let expected = format!("this key is not for the feed {feed}; expected one of: late");
            assert!(body.contains(&expected), "{path}: {body}");
        }
    }
    let (status, body) = refused_handshake(&hub, "/ws?feed=moon", Some("LATE"));
    assert_eq!((status, body.as_str()), (404, "no such feed; expected one of: late\n"));
    let (status, body) = refused_handshake(&hub, "/nothing/here", Some("LATE"));
    assert!(status == 404 && body.contains(r#""streams":["/ws","/v2/late"]"#), "{body}");
    for path in ["/ws?feed=moon", "/v2/moon", "/nothing/here", "/publish?feed=moon"] {
        let (status, body) = refused_handshake(&hub, path, None);
        assert!(matches!(status, 401 | 404), "{path}: {status}");
        assert!(!foreign.iter().any(|name| body.contains(name)), "{path}: {body}");
    }
    let post = |key: &str| {
        let (name, value) = key_header(key);
        let answer = hub.request("POST", "/publish?feed=late", &[(name, &value)], "[]");
        (answer.status, answer.body)
    };
    assert_eq!(post("LATE").0, 403);
    assert_eq!(post("MARKET"), (404, "no such feed; expected one of: main\n".to_owned()));
    let all = "a view, which takes no publishers; expected one of: main, secret\n";
    assert_eq!(post("ALL"), (404, all.to_owned()));
}

/// The state in the next element about the feed.
fn feed_state(client: &mut Client) -> String {
    loop {
        if let Event::Control(element) = client.next()
            && element["T"] == "feed"
        {
            return element["state"].as_str().unwrap().to_owned();
        }
    }
}

#[test]
fn session_that_may_only_read_a_delayed_view_is_sent_the_delayed_state_of_its_feed() {
    let (hub, _file) = hub(Duration::from_secs(2));
    let open = |path: &str, key: &str| {
        let (name, value) = key_header(key);
        Client::open(&hub, path, &[(name, &value)])
    };
    let mut publisher = Publisher { client: open("/publish", "ALL"), number: 0 };
    publisher.send(&[trade("AAPL", 1)]);
    until("the feed is live", || hub.json_as("ALL", "/api/status")["feeds"][0]["state"] == "live");
    assert_eq!(feed_state(&mut open("/ws?feed=late", "ALL")), "live", "it may read main");
    let mut late = open("/ws?feed=late", "LATE");
    let mut states = vec![feed_state(&mut late)];
    while states.last().unwrap() != "live" {
        states.push(feed_state(&mut late));
    }
    assert_eq!(states[0], "down", "{states:?}");
}

#[test]
fn open_hub_names_its_views() {
    let hub = TestHub::start(config());
    let (status, body) = refused_handshake(&hub, "/ws?feed=moon", None);
    let expected = "no such feed; expected one of: delayed_sip, iex, main, sip\n";
    assert_eq!((status, body.as_str()), (404, expected));
}

#[test]
fn metrics_need_an_administrator_or_a_key_with_that_right() {
    let file = KeysFile::new(
        "anonymous = \"read\"",
        &[
            ("READER", "read", ""),
            ("MARKET", "publish", ""),
            ("ADMIN", "admin", ""),
            ("SCRAPER", "read", "feeds = []\nmetrics = true"),
        ],
    );
    let hub = TestHub::start(file.config());
    for (key, expected) in [("READER", 403), ("MARKET", 403), ("ADMIN", 200), ("SCRAPER", 200)] {
        let (status, body) = hub.get_as(key, "/metrics");
        assert_eq!(status, expected, "{key}: {body}");
        assert_eq!(body.contains("tickwire_sessions"), expected == 200, "{key}: {body}");
    }
    assert_eq!(hub.get("/metrics").status, 401);
    assert_eq!(hub.get_as("SCRAPER", "/api/symbols?feed=main").0, 403, "it reads nothing else");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(hub.get(path).status, 200, "{path}");
    }
}

#[test]
fn host_is_checked_where_no_key_is_needed() {
    let file = KeysFile::new("", &[("ADMIN", "admin", "")]);
    let allowed_hosts = vec!["hub.example".to_owned()];
    let open = TestHub::start(Config { allowed_hosts, ..config() });
    let keyed = TestHub::start(file.config());
    let ask = |hub: &TestHub, path: &str, host: &str, more: &str| {
        let text =
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n");
        exchange(hub.address, text.as_bytes()).status
    };
    let (name, value) = key_header("ADMIN");
    for path in ["/metrics", "/api/status", "/api/symbols", "/api/topics", "/api/keys"] {
        for (host, expected) in [
            ("localhost:8080", 200),
            ("LOCALHOST", 200),
            ("192.0.2.1:8080", 200),
            ("hub.example:8080", 200),
            ("Hub.Example", 200),
            ("hub:8080", 200),
            ("evil.example", 403),
            ("hub.example.evil.example", 403),
        ] {
            assert_eq!(ask(&open, path, host, ""), expected, "{host}{path}");
        }
        let fetched = "Sec-Fetch-Site: same-origin\r\n";
        assert_eq!(ask(&open, path, "prices.example", fetched), 200, "over a TLS proxy: {path}");
        let key = format!("{name}: {value}\r\n");
        assert_eq!(ask(&keyed, path, "any.example", &key), 200, "no website knows a key: {path}");
    }
    assert_eq!(ask(&open, "/readyz", "evil.example", ""), 200);
}

#[test]
fn clients_without_a_key_can_be_limited_to_views_and_symbols() {
    let head = "anonymous = \"read\"\nanonymous_feeds = [\"sip\"]\nanonymous_symbols = [\"AAPL\"]";
    let file = KeysFile::new(head, &[("ALL", "publish", "")]);
    let hub = TestHub::start(Config { bars: false, ..file.config() });
    publish(&hub, &["AAPL", "MSFT"]);
    assert_eq!(names(&hub.json("/api/symbols?feed=sip")), ["AAPL"]);
    assert_eq!(hub.json("/api/topics")["total"], 1);
    assert_eq!(hub.json("/api/status")["views"].as_array().unwrap().len(), 1);
    assert_eq!(hub.json("/api/status")["ticks_in"], Value::Null);
    for path in ["/api/symbols?feed=main", "/v2/stocks/MSFT/snapshot", "/api/topics?feed=main"] {
        let answer = hub.get(path);
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
        assert!(answer.body.contains("client without a key"), "{path}: {answer:?}");
    }
    let mut sip = Client::open(&hub, "/ws?feed=sip", &[]);
    assert_eq!(sip.control()["msg"], "connected");
    sip.subscribe(r#""trades":["AAPL"]"#);
    sip.send(r#"{"action":"subscribe","trades":["MSFT"]}"#);
    let refused = sip.answer();
    assert_eq!(refused["code"], 405, "{refused}");
    let mut main = Client::open(&hub, "/ws", &[]);
    assert_eq!(main.control()["msg"], "connected");
    main.send(r#"{"action":"subscribe","trades":["AAPL"]}"#);
    assert_eq!(main.answer()["code"], 401, "another view needs a key");
}
