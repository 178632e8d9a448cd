//! Handshakes and first messages.

use std::time::Duration;

use serde_json::json;
use tickwire_hub::Config;
use tickwire_protocol::Encoding;

use super::kit::{Bot, Codec, Received};
use crate::kit::{Client, Publisher, TestHub, config, masked, trade, upgrade_request};

fn head(hub: &TestHub, path: &str) -> String {
    Client::connect(hub, upgrade_request(hub.address, path, &[]).as_bytes()).head
}

/// R1.
#[test]
fn only_documented_paths_reach_a_view() {
    let hub = TestHub::default();
    for path in [
        "/v2/iex",
        "/v2/sip",
        "/v2/delayed_sip",
        "/v2/main",
        "/iex",
        "/sip",
        "/v2/sip/",
        "/sip/",
        "//v2/sip",
        "/v2//sip",
    ] {
        let mut bot = Bot::connect(&hub, path, Codec::Json);
        assert_eq!(bot.message(), [json!({"T": "success", "msg": "connected"})], "{path}");
    }
    for path in ["/v2/nope", "/nope", "/v2/", "/v1beta1/boats", "/v2/sip/more", "/v2/SIP"] {
        assert!(head(&hub, path).starts_with("http/1.1 404"), "{path}");
    }
    for path in ["/v2/nope", "/v2/nope/"] {
        let answer = hub.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.body.contains(r#""/v2/delayed_sip","/v2/iex","#), "{}", answer.body);
    }
    assert_eq!(hub.get("/v2/sip").status, 426);
    assert_eq!(hub.post("/v2/sip", "x").status, 405);
    assert_eq!(hub.request("HEAD", "/v2/sip", &[], "").status, 405);
}

/// R1. Clients in Go treat any 4xx as final.
#[test]
fn hub_that_is_full_or_goes_away_says_503() {
    let mut hub = TestHub::start(Config {
        sessions_max: 1,
        drain_duration: Duration::from_secs(30),
        slow_grace: Duration::from_secs(60),
        ..config()
    });
    let bot = Bot::open(&hub, Codec::Json);
    assert!(head(&hub, "/v2/sip").starts_with("http/1.1 503"), "full");
    let ended = hub.begin_shutdown();
    crate::kit::until("draining", || {
        let answer = hub.get("/readyz");
        answer.status == 503
    });
    let refused = head(&hub, "/v2/sip");
    assert!(refused.starts_with("http/1.1 503") && refused.contains("retry-after"), "{refused}");
    drop(bot);
    hub.block_on(ended).unwrap();
}

/// R2. The test client checks every frame of every test against the negotiated encoding.
#[test]
fn content_type_selects_the_encoding() {
    let hub = TestHub::default();
    for (kind, first) in [
        (None, 0x81),
        (Some("application/json"), 0x81),
        (Some("text/plain"), 0x81),
        (Some("application/msgpack"), 0x82),
        (Some("Application/MsgPack; charset=binary"), 0x82),
    ] {
        let headers: Vec<_> = kind.map(|kind| ("Content-Type", kind)).into_iter().collect();
        let mut client = Client::open(&hub, "/v2/sip", &headers);
        assert_eq!(client.frame().unwrap().0, first, "{kind:?}");
    }
}

/// R5. Clients in JavaScript send their key before they have read the welcome.
#[test]
fn welcome_precedes_the_answer_to_an_early_key() {
    let hub = TestHub::default();
    let mut request = upgrade_request(hub.address, "/v2/sip", &[]).into_bytes();
    request.extend(masked(0x81, br#"{"action":"auth","key":"k","secret":"s"}"#));
    let mut client = Client::connect(&hub, &request);
    assert_eq!(client.frame().unwrap().1, br#"[{"T":"success","msg":"connected"}]"#);
    assert_eq!(client.frame().unwrap().1, br#"[{"T":"success","msg":"authenticated"}]"#);
}

/// R12. Feed states, heartbeats and ticks are not sent to a session before its first subscription.
#[test]
fn only_answers_precede_the_first_ack() {
    let hub = TestHub::start(Config {
        heartbeat_interval: Duration::from_millis(100),
        feed_stale_after: Duration::from_millis(100),
        ..config()
    });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut others = Client::json(&hub);
    let mut bots: Vec<_> = Codec::BOTH.map(|codec| Bot::welcomed(&hub, codec)).into();
    for bot in &mut bots {
        bot.log_in("any", "thing");
    }
    let mut heartbeats = 0;
    while heartbeats < 3 {
        publisher.publish(&vec![trade("AAPL", 1); 500]);
        if others.next().control()["T"] == "heartbeat" {
            heartbeats += 1;
        }
    }
    for bot in &mut bots {
        bot.request("subscribe", json!({"trades": ["*"]}));
    }
    for bot in &mut bots {
        let Received::Message(first) = bot.receive() else { panic!("no message") };
        assert_eq!(first[0]["T"], "subscription", "{first:?}");
    }
    publisher.publish(&vec![trade("AAPL", 2); 500]);
    for bot in &mut bots {
        bot.take(500);
    }
}

#[test]
fn both_protocols_receive_the_same_ticks() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut own = Client::session(&hub, Encoding::Json);
    own.subscribe(r#""trades":["AAPL"]"#);
    let mut bot = Bot::subscribed(&hub, Codec::Json, json!({"trades": ["AAPL"]}));
    publisher.publish(&[trade("AAPL", 1), trade("AAPL", 2)]);
    let own = loop {
        let (_, payload) = own.frame().unwrap();
        let elements: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        if elements[0]["T"] != "feed" {
            break elements; // the state of the feed may have changed meanwhile
        }
    };
    assert_eq!(serde_json::Value::Array(bot.take(2)), own, "identical elements");
}
