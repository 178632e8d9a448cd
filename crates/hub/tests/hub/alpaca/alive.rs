//! Pings, silence and slow readers.

use std::time::Duration;

use serde_json::json;
use tickwire_hub::Config;

use super::kit::{Bot, Codec, KeysFile, Received, secret};
use crate::kit::{Client, PATIENCE, Publisher, TestHub, config, now, trade};

fn flood() -> Vec<tickwire_protocol::Tick> {
    (0..500).map(|id| trade("AAPL", id)).collect()
}

/// R27. Clients in Go and JavaScript wait 5 s for a pong, regardless of the data in flight.
#[test]
fn pong_does_not_wait_for_the_backlog() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut bot = Bot::subscribed(&hub, Codec::Msgpack, json!({"trades": ["AAPL"]}));
    let mut published = 0;
    while hub.metric("tickwire_backlog_ticks") < 20_000 {
        publisher.publish(&flood());
        published += 500;
    }
    bot.client.send_frame(0x89, b"mine");
    let mut before_pong = 0;
    loop {
        match bot.receive() {
            Received::Message(ticks) => before_pong += ticks.len(),
            Received::Ping => {}
            Received::Pong(payload) => break assert_eq!(payload, b"mine"),
            other => panic!("{other:?}"),
        }
    }
    assert!(before_pong < published, "{before_pong} of {published} ticks preceded the pong");
    bot.take(published - before_pong);
    bot.nothing_pending();
}

/// R28.
#[test]
fn silent_alpaca_session_is_dropped_and_frees_its_place() {
    let limits = Config::default();
    assert!(
        limits.ping_interval + Duration::from_secs(1) <= Duration::from_secs(20),
        "sweeps come a second apart"
    );
    assert!((60..=90).contains(&limits.idle_timeout.as_secs()));
    let file = KeysFile::new("").with("TWBOT", "sessions_max = 1");
    let impatient = Config {
        ping_interval: Duration::from_millis(100),
        idle_timeout: Duration::from_secs(4),
        ..file.config()
    };
    let hub = TestHub::start(impatient);
    let mut bot = Bot::welcomed(&hub, Codec::Msgpack);
    bot.log_in("TWBOT", &secret("TWBOT"));
    for _ in 0..3 {
        assert_eq!(bot.receive(), Received::Ping);
    }
    let mut silent = bot;
    silent.answers_pings = false;
    while silent.receive() != Received::Gone {}
    assert_eq!(hub.closes("silent"), 1);
    Bot::welcomed(&hub, Codec::Json).log_in("TWBOT", &secret("TWBOT"));
}

/// R29.
#[test]
fn slow_alpaca_session_is_closed_with_error_407_and_others_lose_nothing() {
    let hub = TestHub::start(Config {
        backlog_ticks_max: 2_000,
        slow_grace: Duration::from_secs(60),
        ..config()
    });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let names = json!({"trades": ["AAPL"]});
    let mut stalled = Bot::subscribed(&hub, Codec::Msgpack, names.clone());
    let mut others = Codec::BOTH.map(|codec| Bot::subscribed(&hub, codec, names.clone()));
    hub.until_metric("tickwire_subscriptions", 9);
    let deadline = now() + PATIENCE;
    let mut published = 0;
    while hub.metric("tickwire_subscriptions") == 9 {
        assert!(now() < deadline, "never slow");
        publisher.publish(&flood());
        published += 500;
        for other in &mut others {
            assert_eq!(other.take(500)[499]["seq"], published);
        }
    }
    let mut last = 0;
    let error = loop {
        let elements = stalled.message();
        if elements[0]["T"] == "error" {
            break elements[0].clone();
        }
        for tick in elements {
            assert_eq!(tick["seq"], last + 1, "no gap before the error");
            last += 1;
        }
    };
    assert_eq!((&error["code"], &error["msg"]), (&json!(407), &json!("slow client")));
    assert_eq!(stalled.closed(), (1008, "slow_client".to_owned()));
    assert!(last < published);
    for other in &mut others {
        other.nothing_pending();
    }
}

/// R29. A session that does not read its error is cut, and its place at the key is released.
#[test]
fn alpaca_session_that_never_reads_is_cut_and_frees_its_place() {
    let file = KeysFile::new("").with("TWBOT", "sessions_max = 1");
    let hub = TestHub::start(Config {
        backlog_ticks_max: 2_000,
        slow_grace: Duration::from_millis(200),
        publish_token: Some("publish-token".to_owned()),
        ..file.config()
    });
    let bearer = [("Authorization", "Bearer publish-token")];
    let publisher = Client::open(&hub, "/publish", &bearer);
    let mut publisher = Publisher { client: publisher, number: 0 };
    let mut bot = Bot::welcomed(&hub, Codec::Msgpack);
    bot.log_in("TWBOT", &secret("TWBOT"));
    bot.subscribe(json!({"trades": ["AAPL"]}));
    let deadline = now() + PATIENCE;
    while hub.closes("slow_client") == 0 {
        assert!(now() < deadline, "never cut");
        publisher.send(&flood());
    }
    Bot::welcomed(&hub, Codec::Json).log_in("TWBOT", &secret("TWBOT"));
}

#[test]
fn shutdown_tells_alpaca_sessions_when_to_return() {
    let mut hub = TestHub::start(Config {
        drain_duration: Duration::ZERO,
        slow_grace: Duration::from_secs(60),
        ..config()
    });
    let mut bot = Bot::subscribed(&hub, Codec::Json, json!({"trades": ["AAPL"]}));
    let mut newcomer = Bot::welcomed(&hub, Codec::Json);
    let ended = hub.begin_shutdown();
    for bot in [&mut bot, &mut newcomer] {
        let (code, reason) = bot.closed();
        assert_eq!(code, 1001);
        assert!(reason.starts_with("shutdown retry_ms="), "{reason}");
        bot.client.send_close(1001);
    }
    hub.block_on(ended).unwrap();
}
