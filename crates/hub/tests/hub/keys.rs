//! The keys file: the rights it gives over HTTP and to publishers, and its changes while a hub
//! runs.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tickwire_hub::keys::{Anonymous, Key, KeyList, KeysEditor, Role, SecretHash, WhenFull};
use tickwire_hub::{Config, Hub};

use crate::kit::{Client, Event, Publisher, TestHub, config, exchange, now, trade, until};

const ELEMENT: &str = r#"[{"T":"t","S":"AAPL","i":1,"x":"D","p":1.5,"s":1,"c":[],"t":"2026-01-02T14:30:00Z","z":"C"}]"#;

/// A keys file in a temporary folder.
struct File {
    _folder: TempDir,
    path: PathBuf,
}

impl File {
    fn new(anonymous: Anonymous) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        let text = if anonymous == Anonymous::Read { "anonymous = \"read\"\n" } else { "" };
        std::fs::write(&path, text).unwrap();
        Self { _folder: folder, path }
    }

    /// Adds a key.
    fn with(self, id: &str, role: Role) -> Self {
        self.add(key(id, role));
        self
    }

    fn add(&self, key: Key) {
        KeysEditor::open(&self.path, Anonymous::None).unwrap().append(key).unwrap();
    }

    fn remove(&self, id: &str) {
        assert!(KeysEditor::open(&self.path, Anonymous::None).unwrap().remove(id).unwrap());
    }

    fn config(&self) -> Config {
        Config { keys: Some(self.path.clone()), ..config() }
    }

    fn hub(&self) -> TestHub {
        TestHub::start(self.config())
    }
}

fn key(id: &str, role: Role) -> Key {
    Key {
        id: id.to_owned(),
        name: format!("name-of-{id}"),
        secret: SecretHash::new(&secret(id)),
        role,
        feeds: None,
        symbols: None,
        symbols_max: None,
        sessions_max: None,
        when_full: WhenFull::Refuse,
        metrics: false,
    }
}

fn secret(id: &str) -> String {
    format!("secret-of-{id}-0123456789")
}

fn bearer(id: &str) -> String {
    format!("Bearer {id}:{}", secret(id))
}

fn post(hub: &TestHub, path: &str, authorization: Option<&str>) -> u16 {
    let headers: Vec<_> = authorization.map(|value| ("Authorization", value)).into_iter().collect();
    hub.request("POST", path, &headers, ELEMENT).status
}

fn publisher(hub: &TestHub, id: &str) -> Publisher {
    let client = Client::open(hub, "/publish", &[("Authorization", &bearer(id))]);
    Publisher { client, number: 0 }
}

/// Returns an authenticated session of a subscriber.
fn subscriber(hub: &TestHub, id: &str) -> Client {
    let mut client = Client::open(hub, "/ws", &[("Authorization", &bearer(id))]);
    for expected in ["connected", "authenticated"] {
        assert_eq!(client.next().control()["msg"], expected);
    }
    assert_eq!(client.next().control()["T"], "feed");
    client
}

#[test]
fn publishing_and_draining_need_a_key_with_that_role() {
    let file = File::new(Anonymous::Read)
        .with("reader", Role::Read)
        .with("market", Role::Publish)
        .with("boss", Role::Admin);
    let hub = file.hub();
    let wrong = format!("Bearer market:{}", secret("boss"));
    for (authorization, publishing, draining) in [
        (None, 401, 401),
        (Some(wrong.as_str()), 401, 401),
        (Some(bearer("reader").as_str()), 403, 403),
        (Some(bearer("market").as_str()), 200, 403),
        (Some(bearer("boss").as_str()), 200, 202),
    ] {
        assert_eq!(post(&hub, "/publish", authorization), publishing, "{authorization:?}");
        assert_eq!(post(&hub, "/api/drain", authorization), draining, "{authorization:?}");
    }
    hub.drain_requested();
    assert_eq!(hub.refused("token"), 7);
}

/// R10.
#[test]
fn key_is_accepted_in_every_supported_header() {
    let file = File::new(Anonymous::None).with("market", Role::Publish);
    let hub = file.hub();
    // printf 'market:secret-of-market-0123456789' | base64
    let basic = "Basic bWFya2V0OnNlY3JldC1vZi1tYXJrZXQtMDEyMzQ1Njc4OQ==";
    let secret = secret("market");
    let apca: [(&str, &str); 2] = [("APCA-API-KEY-ID", "market"), ("APCA-API-SECRET-KEY", &secret)];
    for headers in [&[("Authorization", basic)][..], &apca] {
        assert_eq!(hub.request("POST", "/publish", headers, ELEMENT).status, 200, "{headers:?}");
    }
    let half = hub.request("POST", "/publish", &apca[..1], ELEMENT);
    assert_eq!(half.status, 401);
    assert!(half.body.contains("APCA-API-SECRET-KEY"), "{half:?}");
}

/// DNS rebinding: a website whose name resolves to loopback sends requests like the hub's own page,
/// without an `Origin`.
#[test]
fn unknown_host_name_reads_nothing_from_a_hub_on_loopback() {
    let file = File::new(Anonymous::Read).with("bot", Role::Read);
    let allow_origins = vec!["https://shop.example".to_owned()];
    let open = TestHub::start(Config { allow_origins: allow_origins.clone(), ..config() });
    let guarded = TestHub::start(Config { allow_origins, ..file.config() });
    let key = format!("Authorization: {}\r\n", bearer("bot"));
    for path in ["/v2/stocks/trades/latest?symbols=A", "/api/status", "/api/symbols", "/api/topics"]
    {
        let ask = |hub: &TestHub, host: &str, more: &str| {
            let text =
                format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n");
            exchange(hub.address, text.as_bytes()).status
        };
        for hub in [&open, &guarded] {
            for host in ["localhost:8080", "127.0.0.1", "[::1]:8080", "shop.example"] {
                assert_eq!(ask(hub, host, ""), 200, "{host}{path}");
            }
            for host in ["evil.example", "evil.example:8080", "localhost.evil.example"] {
                assert_eq!(ask(hub, host, ""), 403, "{host}{path}");
            }
        }
        assert_eq!(
            ask(&open, "evil.example", &key),
            403,
            "an open hub accepts any key, so a key proves nothing"
        );
        assert_eq!(ask(&guarded, "bots.example", &key), 200);
    }
    let text = "GET /healthz HTTP/1.1\r\nHost: hub.example\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(open.address, text.as_bytes()).status, 200);
}

#[test]
fn key_of_one_feed_publishes_to_no_other() {
    let file = File::new(Anonymous::None);
    let feeds = Some(vec!["crypto".parse().unwrap()]);
    file.add(Key { feeds, ..key("coins", Role::Publish) });
    let names = vec!["main".to_owned(), "crypto".to_owned()];
    let hub = TestHub::start(Config { feeds: names, ..file.config() });
    let authorization = bearer("coins");
    assert_eq!(post(&hub, "/publish?feed=crypto", Some(&authorization)), 200);
    assert_eq!(post(&hub, "/publish?feed=main", Some(&authorization)), 403);
}

#[test]
fn tokens_of_the_command_line_work_beside_a_keys_file() {
    let file = File::new(Anonymous::None);
    let publish_token = Some("let-me-publish".to_owned());
    let admin_token = Some("let-me-drain".to_owned());
    let hub = TestHub::start(Config { publish_token, admin_token, ..file.config() });
    assert_eq!(post(&hub, "/publish", Some("Bearer let-me-publish")), 200);
    assert_eq!(post(&hub, "/api/drain", Some("Bearer let-me-publish")), 401);
    assert_eq!(post(&hub, "/api/drain", Some("Bearer let-me-drain")), 202);
}

/// R30.
#[test]
fn each_wrong_key_is_answered_later_and_a_right_key_at_once() {
    let file = File::new(Anonymous::None).with("market", Role::Publish);
    let hub = file.hub();
    let began = now();
    for _ in 0..4 {
        assert_eq!(post(&hub, "/publish", Some("Bearer market:not-the-secret")), 401);
    }
    let delays = Duration::from_millis(100 + 200 + 400 + 800);
    assert!(began.elapsed() >= delays, "{:?}", began.elapsed());
    assert_eq!(hub.metric(r#"tickwire_logins_total{result="wrong"}"#), 4);
    let right = || hub.metric(r#"tickwire_logins_total{result="right"}"#);
    let before = right();
    assert_eq!(post(&hub, "/publish", Some(&bearer("market"))), 200);
    assert_eq!(right(), before + 2, "the POST, and the request of the metrics");
    assert_eq!(post(&hub, "/publish", None), 401);
    assert_eq!(
        hub.metric(r#"tickwire_logins_total{result="wrong"}"#),
        4,
        "a request without a key is not a wrong key"
    );
}

#[test]
fn revoking_a_key_closes_its_sessions_and_no_others() {
    let file = File::new(Anonymous::None)
        .with("gone", Role::Publish)
        .with("market", Role::Publish)
        .with("reader", Role::Read);
    let hub = file.hub();
    let mut revoked_sessions = (publisher(&hub, "gone"), subscriber(&hub, "gone"));
    let mut staying = (publisher(&hub, "market"), subscriber(&hub, "reader"));
    file.remove("gone");
    let revoked = Event::Close(1008, "revoked".to_owned());
    assert_eq!(revoked_sessions.0.client.closed(), revoked);
    assert_eq!(revoked_sessions.1.closed(), revoked);
    assert_eq!(post(&hub, "/publish", Some(&bearer("gone"))), 401);
    staying.1.subscribe(r#""trades":["AAPL"]"#);
    staying.0.send(&[trade("AAPL", 7)]);
    staying.1.take(1);
}

#[test]
fn key_added_while_the_hub_runs_is_accepted() {
    let file = File::new(Anonymous::None);
    let hub = file.hub();
    file.add(key("market", Role::Publish));
    until("the key is known", || post(&hub, "/publish", Some(&bearer("market"))) == 200);
}

#[test]
fn unusable_file_leaves_the_previous_keys_in_force() {
    let file = File::new(Anonymous::None).with("one", Role::Publish).with("two", Role::Publish);
    let hub = file.hub();
    let mut session = subscriber(&hub, "one");
    let text = std::fs::read_to_string(&file.path).unwrap();
    let texts = [Some("[[key]]\nid = \"one\"\n"), Some("no TOML at all"), None];
    for (number, broken) in (1..).zip(texts) {
        match broken {
            Some(broken) => std::fs::write(&file.path, broken).unwrap(),
            None => std::fs::remove_file(&file.path).unwrap(),
        }
        assert!(KeyList::from_file(&file.path).is_err());
        hub.until_metric("tickwire_keys_file_errors_total", number);
        assert_eq!(post(&hub, "/publish", Some(&bearer("one"))), 200);
    }
    let without_two = text.split("\n[[key]]").next().unwrap();
    std::fs::write(&file.path, without_two).unwrap();
    until("the second key is gone", || post(&hub, "/publish", Some(&bearer("two"))) == 401);
    session.nothing_pending();
}

#[test]
fn hub_does_not_start_with_an_unusable_keys_file() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let start = |text: Option<&str>| {
        let file = File::new(Anonymous::None);
        match text {
            Some(text) => std::fs::write(&file.path, text).unwrap(),
            None => std::fs::remove_file(&file.path).unwrap(),
        }
        let error = runtime.block_on(Hub::start(file.config())).unwrap_err().to_string();
        assert!(error.contains(&file.path.display().to_string()), "{error}");
        error
    };
    assert!(start(None).starts_with("cannot read keys file "));
    assert!(start(Some("\n[[key]]\nid = 7\n")).contains("line 3: "));
}
