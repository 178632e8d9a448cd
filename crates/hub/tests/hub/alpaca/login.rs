//! Authentication of Alpaca sessions.

use std::time::Duration;

use serde_json::json;
use tickwire_hub::Config;

use super::kit::{Bot, Codec, KeysFile, Received, secret};
use crate::kit::{Client, Publisher, TestHub, config, masked, now, trade, upgrade_request};

fn guarded(more: &str) -> (KeysFile, TestHub) {
    let file = KeysFile::new("").with("TWBOT", more);
    let hub = TestHub::start(file.config());
    (file, hub)
}

/// R6.
#[test]
fn right_key_is_confirmed_and_wrong_key_is_refused_and_closed() {
    let (_file, hub) = guarded("");
    for codec in Codec::BOTH {
        let mut bot = Bot::welcomed(&hub, codec);
        bot.log_in("TWBOT", &secret("TWBOT"));
        bot.nothing_pending();
        for (key, secret) in
            [("TWBOT", "not-the-secret-0123"), ("", ""), ("TWBOTS", &secret("TWBOT"))]
        {
            let mut bot = Bot::welcomed(&hub, codec);
            bot.say_auth(key, secret);
            assert!(!bot.error(402, "auth failed").contains("0123"));
            assert_eq!(bot.closed(), (1008, "auth_failed".to_owned()));
        }
    }
    crate::kit::until("six wrong keys", || hub.closes("auth_failed") == 6);
}

#[test]
fn hub_without_keys_accepts_any_key_but_requires_one() {
    let hub = TestHub::default();
    let mut bot = Bot::welcomed(&hub, Codec::Msgpack);
    bot.request("subscribe", json!({"trades": ["AAPL"]}));
    bot.error(401, "not authenticated");
    bot.log_in("", "");
}

/// R7.
#[test]
fn session_without_a_key_in_time_is_closed() {
    assert_eq!(Config::default().auth_timeout, Duration::from_secs(10));
    let hub = TestHub::start(Config { auth_timeout: Duration::from_secs(2), ..config() });
    for codec in Codec::BOTH {
        let began = now();
        let mut bot = Bot::welcomed(&hub, codec);
        bot.request("subscribe", json!({}));
        bot.error(401, "not authenticated");
        bot.error(404, "auth timeout");
        assert!(began.elapsed() >= Duration::from_secs(2));
        assert_eq!(bot.closed(), (1008, "auth_timeout".to_owned()));
    }
    let mut in_time = Bot::open(&hub, Codec::Json);
    crate::kit::until("two timeouts", || hub.closes("auth_timeout") == 2);
    in_time.nothing_pending();
}

/// R8.
#[test]
fn second_key_is_an_error_and_data_continues() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    for codec in Codec::BOTH {
        let mut bot = Bot::subscribed(&hub, codec, json!({"trades": ["AAPL"]}));
        bot.say_auth("another", "one");
        bot.error(403, "already authenticated");
        publisher.publish(&[trade("AAPL", 1)]);
        assert_eq!(bot.take(1)[0]["i"], 1);
    }
}

/// R9.
#[test]
fn command_before_the_key_is_refused_and_the_key_still_accepted() {
    let hub = TestHub::default();
    for codec in Codec::BOTH {
        let mut bot = Bot::welcomed(&hub, codec);
        for action in ["subscribe", "unsubscribe"] {
            bot.request(action, json!({"trades": ["AAPL"]}));
            bot.error(401, "not authenticated");
        }
        bot.log_in("any", "thing");
        let ack = bot.subscribe(json!({"quotes": ["AAPL"]}));
        assert_eq!(ack["trades"], json!([]), "a refused command has no effect");
    }
}

#[test]
fn repeated_commands_before_the_key_end_the_session() {
    let (_file, hub) = guarded("");
    for codec in Codec::BOTH {
        let mut bot = Bot::welcomed(&hub, codec);
        for _ in 0..16 {
            bot.request("subscribe", json!({"trades": ["AAPL"]}));
            bot.error(401, "not authenticated");
        }
        assert_eq!(bot.closed(), (1008, "auth_failed".to_owned()));
    }
    let mut bot = Bot::welcomed(&hub, Codec::Json);
    bot.client.send_frame(Codec::Json.first_byte(), "1 ".repeat(2_000).as_bytes());
    for _ in 0..16 {
        bot.error(400, "invalid syntax");
    }
    assert_eq!(bot.closed(), (1008, "auth_failed".to_owned()));
}

/// A session without a key may make the hub store little: short messages, and few pongs.
#[test]
fn message_size_is_limited_until_the_key() {
    let (_file, hub) = guarded("");
    let many: Vec<_> = (0..2_000).map(|number| format!("SYM{number}")).collect();
    for codec in Codec::BOTH {
        let mut bot = Bot::welcomed(&hub, codec);
        bot.request("subscribe", json!({"trades": many}));
        assert_eq!(bot.closed(), (1009, "too_big".to_owned()));
        let mut bot = Bot::welcomed(&hub, codec);
        let payload = codec.encode(&json!({"action": "subscribe", "trades": many}));
        bot.say_in_pieces(&payload, 1_000);
        assert_eq!(bot.closed(), (1009, "too_big".to_owned()));
        // The large message is sent together with the key.
        let mut bot = Bot::welcomed(&hub, codec);
        let auth = json!({"action": "auth", "key": "TWBOT", "secret": secret("TWBOT")});
        let auth = masked(codec.first_byte(), &codec.encode(&auth));
        bot.client.send_raw(&[auth, masked(codec.first_byte(), &payload)].concat());
        assert_eq!(bot.message()[0]["msg"], "authenticated");
        assert_eq!(bot.ack()["trades"].as_array().unwrap().len(), 2_000);
    }
}

/// R10.
#[test]
fn key_in_the_handshake_authenticates() {
    let (_file, hub) = guarded("");
    let secret = secret("TWBOT");
    let pair = format!("TWBOT:{secret}");
    let basic = format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes()));
    let bearer = format!("Bearer {pair}");
    for headers in [
        &[("APCA-API-KEY-ID", "TWBOT"), ("APCA-API-SECRET-KEY", secret.as_str())][..],
        &[("authorization", &bearer)],
        &[("Authorization", &basic)],
    ] {
        let mut bot = Bot::connect_with(&hub, "/v2/sip", Codec::Msgpack, headers);
        assert_eq!(bot.message(), [json!({"T": "success", "msg": "connected"})]);
        assert_eq!(bot.message(), [json!({"T": "success", "msg": "authenticated"})]);
        bot.subscribe(json!({"trades": ["AAPL"]}));
        bot.say_auth("TWBOT", &secret);
        bot.error(403, "already authenticated");
    }
    let wrong = [("Authorization", "Bearer TWBOT:not-the-secret-0123")];
    let mut bot = Bot::connect_with(&hub, "/v2/sip", Codec::Json, &wrong);
    assert_eq!(bot.message()[0]["msg"], "connected");
    bot.error(402, "auth failed");
    assert_eq!(bot.closed().0, 1008);
    let broken = upgrade_request(hub.address, "/v2/sip", &[("Authorization", "Digest x")]);
    assert!(Client::connect(&hub, broken.as_bytes()).head.starts_with("http/1.1 401"));
}

/// OAuth clients send their token under these names.
#[test]
fn token_replaces_key_and_secret() {
    let (_file, hub) = guarded("");
    let token = format!("TWBOT:{}", secret("TWBOT"));
    for word in ["oauth", "access_token"] {
        let mut bot = Bot::welcomed(&hub, Codec::Json);
        bot.log_in(word, &token);
    }
}

/// R11.
#[test]
fn session_beyond_the_key_limit_may_retry_until_another_ends() {
    let (_file, hub) = guarded("sessions_max = 1");
    let mut first = Bot::welcomed(&hub, Codec::Msgpack);
    first.log_in("TWBOT", &secret("TWBOT"));
    for codec in Codec::BOTH {
        let mut second = Bot::welcomed(&hub, codec);
        for _ in 0..3 {
            second.say_auth("TWBOT", &secret("TWBOT"));
            let detail = second.error(406, "connection limit exceeded");
            assert!(detail.contains("127.0.0.1") && detail.contains("since 20"), "{detail}");
        }
        first.client.send_close(1000);
        hub.until_metric("tickwire_sessions", 1);
        second.log_in("TWBOT", &secret("TWBOT"));
        second.subscribe(json!({"trades": ["AAPL"]}));
        first = second;
    }
}

/// The client in Go repeats its key on the same connection for 48 s. Those in JavaScript and Java
/// stop permanently after a 404.
#[test]
fn retries_at_the_key_limit_extend_the_deadline_and_end_without_404() {
    let file = KeysFile::new("").with("TWBOT", "sessions_max = 1");
    let hub = TestHub::start(Config { auth_timeout: Duration::from_secs(3), ..file.config() });
    let mut first = Bot::welcomed(&hub, Codec::Json);
    first.log_in("TWBOT", &secret("TWBOT"));
    let began = now();
    let mut second = Bot::welcomed(&hub, Codec::Json);
    while began.elapsed() < Duration::from_secs(5) {
        second.say_auth("TWBOT", &secret("TWBOT"));
        second.error(406, "connection limit exceeded");
    }
    let last = now();
    assert_eq!(second.closed(), (1008, "auth_timeout".to_owned()));
    assert!(last.elapsed() >= Duration::from_millis(1_500), "{:?}", last.elapsed());
    first.nothing_pending();
}

/// R11.
#[test]
fn feed_outside_the_key_is_refused_and_closed() {
    let (_file, hub) = guarded("feeds = [\"iex\"]");
    for codec in Codec::BOTH {
        let mut bot = Bot::welcomed(&hub, codec);
        bot.say_auth("TWBOT", &secret("TWBOT"));
        assert!(bot.error(409, "insufficient subscription").contains("sip"));
        assert_eq!(bot.closed(), (1008, "not_allowed".to_owned()));
        let mut bot = Bot::connect(&hub, "/v2/iex", codec);
        assert_eq!(bot.message()[0]["msg"], "connected");
        bot.log_in("TWBOT", &secret("TWBOT"));
    }
}

#[test]
fn when_full_replace_ends_the_oldest_session() {
    let (_file, hub) = guarded("sessions_max = 2\nwhen_full = \"replace\"");
    let mut bots: Vec<_> = (0..4)
        .map(|_| {
            let mut bot = Bot::welcomed(&hub, Codec::Msgpack);
            bot.log_in("TWBOT", &secret("TWBOT"));
            bot
        })
        .collect();
    for replaced in &mut bots[..2] {
        assert_eq!(replaced.closed(), (1008, "replaced".to_owned()));
    }
    for stays in &mut bots[2..] {
        stays.nothing_pending();
    }
}

#[test]
fn replaced_session_receives_nothing_more() {
    const TOKEN: &str = "token-of-publishers";
    let file = KeysFile::new("").with("TWBOT", "sessions_max = 1\nwhen_full = \"replace\"");
    let publish_token = Some(TOKEN.to_owned());
    let hub = TestHub::start(Config { publish_token, shards: 2, ..file.config() });
    let tick = r#"{"T":"t","S":"AAPL","i":1,"x":"V","p":1,"s":1,"c":[],"t":"2026-01-02T14:30:00Z","z":"C"}"#;
    let authorization = format!("Bearer {TOKEN}");
    let mut replaced: Option<Bot> = None;
    for _ in 0..5 {
        let mut newest = Bot::welcomed(&hub, Codec::Json);
        newest.log_in("TWBOT", &secret("TWBOT"));
        newest.subscribe(json!({"trades": ["*"]}));
        for _ in 0..20 {
            let headers = [("Authorization", authorization.as_str())];
            assert_eq!(hub.request("POST", "/publish", &headers, tick).status, 200);
        }
        newest.take(20);
        if let Some(mut replaced) = replaced.replace(newest) {
            assert_eq!(replaced.closed(), (1008, "replaced".to_owned()));
        }
    }
}

#[test]
fn sessions_of_a_revoked_or_changed_key_end() {
    let mut file = KeysFile::new("").with("TWBOT", "sessions_max = 2").with("TWSAFE", "");
    let hub = TestHub::start(file.config());
    let log_in = |id: &str| {
        let mut bot = Bot::welcomed(&hub, Codec::Json);
        bot.log_in(id, &secret(id));
        bot
    };
    let mut changed = log_in("TWBOT");
    let mut safe = log_in("TWSAFE");
    file.change("sessions_max = 2", "sessions_max = 3");
    assert_eq!(changed.closed(), (1008, "revoked".to_owned()));
    let mut gone = log_in("TWBOT");
    file.change("id = \"TWBOT\"", "id = \"TWOTHER\"");
    assert_eq!(gone.closed(), (1008, "revoked".to_owned()));
    safe.nothing_pending();
    let mut late = Bot::welcomed(&hub, Codec::Json);
    late.say_auth("TWBOT", &secret("TWBOT"));
    late.error(402, "auth failed");
}

/// R30. Clients in JavaScript 3 reconnect without a pause.
#[test]
fn wrong_keys_in_a_loop_are_delayed_and_right_keys_are_not() {
    let (_file, hub) = guarded("");
    let [mut patient, mut fifth] = [(); 2].map(|()| Bot::welcomed(&hub, Codec::Msgpack));
    let began = now();
    for _ in 0..4 {
        let mut bot = Bot::welcomed(&hub, Codec::Msgpack);
        bot.say_auth("TWBOT", "not-the-secret-0123");
        bot.error(402, "auth failed");
    }
    // The answers are delayed by 100, 200, 400 and 800 ms, and so is each following handshake.
    assert!(began.elapsed() >= Duration::from_millis(1_500 + 700), "{:?}", began.elapsed());
    // While the fifth waits 1.6 s for its refusal, a right key is accepted and resets the delay.
    let waiting = now();
    fifth.say_auth("TWBOT", "not-the-secret-0123");
    hub.until_metric("tickwire_logins_total{result=\"wrong\"}", 5);
    patient.log_in("TWBOT", &secret("TWBOT"));
    Bot::welcomed(&hub, Codec::Msgpack);
    let refused = hub.closes("auth_failed");
    let is_over = waiting.elapsed() >= Duration::from_millis(1_600);
    assert!(refused == 4 || is_over, "{refused} refused");
    fifth.error(402, "auth failed");
}

/// The answer to a wrong key is delayed. Other sessions are not, and the session's input is
/// ignored.
#[test]
fn session_awaiting_its_refusal_delays_no_other() {
    let file = KeysFile::new("").with("TWBOT", "");
    let hub = TestHub::start(Config { shards: 1, ..file.config() });
    let mut right = Bot::welcomed(&hub, Codec::Json);
    right.log_in("TWBOT", &secret("TWBOT"));
    let mut wrong = Bot::welcomed(&hub, Codec::Json);
    for _ in 0..100 {
        wrong.say_auth("TWBOT", "not-the-secret-0123");
    }
    right.nothing_pending();
    wrong.error(402, "auth failed");
    assert_eq!(wrong.receive(), Received::Close(1008, "auth_failed".to_owned()));
    assert_eq!(hub.metric("tickwire_logins_total{result=\"wrong\"}"), 1);
}
