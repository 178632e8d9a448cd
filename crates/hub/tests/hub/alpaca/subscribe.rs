//! Subscriptions of Alpaca sessions and their acks.

use serde_json::{Value, json};
use tickwire_hub::Config;

use super::kit::{Bot, Codec, KeysFile, Received, secret, set, sorted};
use crate::kit::{
    Client, Publisher, TestHub, cancel, config, correction, masked, quote, symbols, trade,
};

/// R13. Clients in Python send every subscribe in fragments, the last one empty.
#[test]
fn fragmented_subscribe_with_an_empty_last_fragment_is_understood() {
    let hub = TestHub::default();
    for codec in Codec::BOTH {
        let mut bot = Bot::open(&hub, codec);
        let command =
            codec.encode(&json!({"action": "subscribe", "trades": ["AAPL"], "bars": ["*"]}));
        for piece in [32_768, 7, 1] {
            bot.say_in_pieces(&command, piece);
            assert_eq!(bot.ack(), set(json!({"trades": ["AAPL"], "bars": ["*"]})));
        }
    }
}

/// R13.
#[test]
fn nine_thousand_symbols_in_one_subscribe_are_acknowledged_in_one_message() {
    let hub = TestHub::default();
    let names: Vec<String> = (0..9_000).map(|number| format!("S{number:04}")).collect();
    for codec in Codec::BOTH {
        let mut bot = Bot::open(&hub, codec);
        let command = codec.encode(&json!({"action": "subscribe", "trades": names}));
        assert!(command.len() > 50_000);
        bot.say_in_pieces(&command, 32_768);
        let ack = sorted(bot.ack());
        for channel in ["trades", "corrections", "cancelErrors"] {
            assert_eq!(ack[channel], json!(names), "{channel}");
        }
    }
}

/// R13. The stock client in C# sends JSON in binary frames, sometimes two documents in one.
#[test]
fn json_is_accepted_in_binary_frames_and_concatenated() {
    let hub = TestHub::default();
    let mut bot = Bot::open(&hub, Codec::Json);
    bot.client.send_frame(0x82, br#"{"action":"subscribe","trades":["A"]}"#);
    assert_eq!(bot.ack(), set(json!({"trades": ["A"]})));
    let glued = br#"{"action":"subscribe","quotes":["B"]}{"action":"subscribe","quotes":["A"]}
        {"action":"unsubscribe","trades":["A"]}"#;
    for first in [0x81, 0x82] {
        bot.client.send_frame(first, glued);
        assert!(bot.ack()["quotes"].as_array().unwrap().contains(&json!("B")));
        assert_eq!(sorted(bot.ack())["quotes"], json!(["A", "B"]));
        assert_eq!(bot.ack()["trades"], json!([]));
    }
    let in_text = rmp_serde::to_vec(&json!({"action": "subscribe", "bars": ["A"]})).unwrap();
    assert!(in_text.is_ascii() || std::str::from_utf8(&in_text).is_err());
    bot.client.send_frame(0x82, &in_text);
    bot.error(400, "invalid syntax");
    bot.nothing_pending();
}

/// Each document is answered with the whole set of names, so the answers are made one by one.
#[test]
fn commands_in_one_message_wait_until_answers_are_read() {
    let hub = TestHub::default();
    let mut bot = Bot::open(&hub, Codec::Json);
    bot.subscribe(json!({"bars": symbols(1_000)}));
    let many = r#"{"action":"subscribe"}"#.repeat(1_000);
    bot.client.send_frame(0x81, many.as_bytes());
    let ack = bot.ack();
    for _ in 1..1_000 {
        assert_eq!(bot.ack(), ack);
    }
    bot.nothing_pending();
}

/// R14. Clients in Go send every channel they know, including those of other streams.
#[test]
fn channels_without_names_are_ignored() {
    let hub = TestHub::default();
    for codec in Codec::BOTH {
        let mut bot = Bot::open(&hub, codec);
        let ack = bot.subscribe(json!({
            "trades": ["AAPL"], "quotes": null, "bars": [], "updatedBars": null, "dailyBars": null,
            "statuses": null, "imbalances": null, "lulds": null, "cancelErrors": null,
            "corrections": null, "orderbooks": null, "news": null, "pricing": []
        }));
        assert_eq!(ack, set(json!({"trades": ["AAPL"]})));
        for nothing in [json!({}), json!({"trades": null}), json!({"trades": [], "news": []})] {
            assert_eq!(bot.subscribe(nothing.clone()), ack, "unchanged");
            assert_eq!(bot.unsubscribe(nothing), ack, "unchanged");
        }
    }
}

/// R14.
#[test]
fn channels_of_other_streams_are_refused() {
    let hub = TestHub::default();
    for codec in Codec::BOTH {
        let mut bot = Bot::subscribed(&hub, codec, json!({"quotes": ["AAPL"]}));
        for channel in ["news", "orderbooks", "pricing"] {
            let mut asked = json!({"quotes": ["MSFT"]});
            asked[channel] = json!(["*"]);
            bot.request("subscribe", asked);
            let detail = bot.error(410, "invalid subscribe action for this feed");
            assert!(detail.contains(channel), "{detail}");
        }
        assert_eq!(bot.subscribe(json!({})), set(json!({"quotes": ["AAPL"]})));
    }
}

/// R15, R23. The test client rejects messages with an ack and other elements.
#[test]
fn each_request_is_answered_once_with_the_whole_set_before_its_data() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    publisher.publish(&[trade("AAPL", 1), quote("AAPL", 2)]);
    for codec in Codec::BOTH {
        let mut bot = Bot::open(&hub, codec);
        bot.request("subscribe", json!({"trades": ["AAPL"]}));
        bot.request("subscribe", json!({"quotes": ["AAPL"], "imbalances": ["*"]}));
        bot.request("unsubscribe", json!({"trades": ["AAPL"]}));
        let both = json!({"trades": ["AAPL"], "quotes": ["AAPL"], "imbalances": ["*"]});
        let left = json!({"quotes": ["AAPL"], "imbalances": ["*"]});
        for expected in [json!({"trades": ["AAPL"]}), both, left] {
            let Received::Message(elements) = bot.receive() else { panic!("no message") };
            assert_eq!(elements, [set(expected)]);
        }
        bot.nothing_pending(); // above all no last values
        publisher.publish(&[trade("AAPL", 3), quote("AAPL", 4)]);
        assert_eq!(bot.take(1)[0]["bs"], 4);
        bot.nothing_pending();
    }
}

/// R15. During a flood, the first tick of a name follows the ack that contains it.
#[test]
fn ack_precedes_the_data_it_enables() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut bot = Bot::subscribed(&hub, Codec::Msgpack, json!({"quotes": ["*"]}));
    let ticks: Vec<_> = (0..250).flat_map(|n| [trade("AAPL", n), quote("AAPL", n)]).collect();
    for round in 0..20 {
        publisher.send(&ticks);
        bot.request("subscribe", json!({"trades": ["AAPL"]}));
        publisher.send(&ticks);
        publisher.settle();
        let mut acknowledged = false;
        while !acknowledged {
            for element in bot.message() {
                assert_ne!(element["T"], "t", "round {round}: a trade before its ack");
                acknowledged |= element["T"] == "subscription";
            }
        }
        bot.unsubscribe(json!({"trades": ["AAPL"]}));
    }
}

/// R16.
#[test]
fn corrections_and_cancels_follow_subscribe_and_unsubscribe_of_trades() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    for codec in Codec::BOTH {
        let mut bot = Bot::open(&hub, codec);
        let ack = bot.subscribe(json!({"trades": ["AAPL", "MSFT"], "quotes": ["AAPL"]}));
        assert_eq!(sorted(ack), set(json!({"trades": ["AAPL", "MSFT"], "quotes": ["AAPL"]})));
        publisher.publish(&[correction("AAPL", 1), cancel("MSFT", 2), correction("TSLA", 3)]);
        let received: Vec<Value> = bot.take(2).iter().map(|tick| tick["T"].clone()).collect();
        assert_eq!(received, ["c", "x"]);
        let ack = bot.unsubscribe(json!({"trades": ["AAPL"]}));
        assert_eq!(ack, set(json!({"trades": ["MSFT"], "quotes": ["AAPL"]})));
        publisher.publish(&[correction("AAPL", 4), cancel("AAPL", 5), cancel("MSFT", 6)]);
        assert_eq!(bot.take(1)[0]["i"], 6);
        let all = bot.subscribe(json!({"trades": ["*"]}));
        assert_eq!(all["corrections"], all["trades"]);
        assert_eq!(bot.unsubscribe(json!({"trades": ["*", "MSFT"]}))["cancelErrors"], json!([]));
        bot.nothing_pending();
    }
}

/// Some clients cannot decode corrections and cancels, and lose the message that holds one.
#[test]
fn corrections_and_cancels_travel_in_messages_of_their_own() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut bots = Codec::BOTH.map(|codec| {
        let channels = json!({"trades": ["AAPL", "MSFT"], "quotes": ["AAPL"]});
        Bot::subscribed(&hub, codec, channels)
    });
    let mut own = Client::json(&hub);
    own.subscribe(r#""trades":["*"],"quotes":["*"],"corrections":["*"],"cancelErrors":["*"]"#);
    publisher.publish(&[
        trade("AAPL", 1),
        trade("MSFT", 2),
        correction("AAPL", 3),
        cancel("MSFT", 4),
        trade("MSFT", 5),
        quote("AAPL", 6),
        cancel("AAPL", 7),
    ]);
    for bot in &mut bots {
        let mut messages: Vec<String> = Vec::new();
        while messages.concat().len() < 7 {
            let message = bot.message();
            messages.push(message.iter().map(|tick| tick["T"].as_str().unwrap()).collect());
        }
        assert_eq!(messages, ["tt", "cx", "tq", "x"], "{:?}", bot.codec);
    }
    assert_eq!(own.data().len(), 7, "other protocols have no such messages");
}

/// Requests may name these channels, but they always follow trades.
#[test]
fn corrections_and_cancels_cannot_be_subscribed_alone() {
    let hub = TestHub::default();
    let mut bot = Bot::open(&hub, Codec::Json);
    let ack = bot.subscribe(json!({"corrections": ["A"], "cancelErrors": ["*"], "trades": ["B"]}));
    assert_eq!(ack, set(json!({"trades": ["B"]})));
    let ack = bot.unsubscribe(json!({"corrections": ["B"], "cancelErrors": ["B"]}));
    assert_eq!(ack, set(json!({"trades": ["B"]})));
}

/// R17. Clients in JavaScript repeat a subscribe; those in Python send their whole set each time.
#[test]
fn repeated_names_are_subscribed_once() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    for codec in Codec::BOTH {
        let mut bot = Bot::open(&hub, codec);
        let set = set(json!({"trades": ["AAPL"], "bars": ["*"]}));
        for _ in 0..3 {
            assert_eq!(bot.subscribe(json!({"trades": ["AAPL", "AAPL"], "bars": ["*"]})), set);
        }
        publisher.publish(&[trade("AAPL", 1), trade("AAPL", 2)]);
        assert_eq!(bot.take(2).iter().map(|tick| &tick["i"]).collect::<Vec<_>>(), [1, 2]);
        for _ in 0..2 {
            bot.unsubscribe(json!({"trades": ["AAPL"], "quotes": ["NEVER"]}));
        }
        bot.nothing_pending();
    }
}

/// R17.
#[test]
fn name_beside_the_alpaca_wildcard_is_delivered_once() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let both = [trade("AAPL", 1), trade("MSFT", 2)];
    for codec in Codec::BOTH {
        let mut bot = Bot::open(&hub, codec);
        let ack = bot.subscribe(json!({"trades": ["AAPL", "*"]}));
        assert_eq!(sorted(ack), set(json!({"trades": ["*", "AAPL"]})));
        publisher.publish(&both);
        let received: Vec<_> = bot.take(2).into_iter().map(|tick| tick["S"].clone()).collect();
        assert_eq!(received, ["AAPL", "MSFT"]);
        bot.nothing_pending();
        assert_eq!(bot.unsubscribe(json!({"trades": ["*"]})), set(json!({"trades": ["AAPL"]})));
        publisher.publish(&both);
        assert_eq!(bot.take(1)[0]["S"], "AAPL");
        bot.nothing_pending();
    }
}

/// R18.
#[test]
fn request_beyond_a_limit_changes_nothing() {
    let file = KeysFile::new("").with("TWFEW", "symbols_max = 2");
    let hub = TestHub::start(Config { subscriptions_per_session_max: 10, ..file.config() });
    for codec in Codec::BOTH {
        let mut bot = Bot::welcomed(&hub, codec);
        bot.log_in("TWFEW", &secret("TWFEW"));
        let ack = bot.subscribe(json!({"trades": ["A"], "quotes": ["A"]}));
        bot.request("subscribe", json!({"trades": ["B"], "bars": ["A"]}));
        assert!(bot.error(405, "symbol limit exceeded").contains("TWFEW"), "the key's limit");
        let names: Vec<_> = symbols(10);
        bot.request("subscribe", json!({"bars": names}));
        bot.error(405, "symbol limit exceeded");
        assert_eq!(bot.subscribe(json!({"trades": ["A"]})), ack);
    }
}

/// R18, R24. The ack with the whole set must fit into a message that every client accepts.
#[test]
fn subscription_whose_ack_would_be_too_large_is_refused() {
    let hub = TestHub::default();
    let name = |number: usize| format!("A-RATHER-LONG-NAME-{number:05}");
    for codec in Codec::BOTH {
        let mut bot = Bot::open(&hub, codec);
        let names: Vec<_> = (0..12_000).map(name).collect();
        let channels = ["quotes", "bars", "updatedBars"];
        for channel in channels {
            bot.subscribe(json!({ channel: names }));
        }
        let before = sorted(bot.subscribe(json!({})));
        bot.request("subscribe", json!({"statuses": (0..3_000).map(name).collect::<Vec<_>>()}));
        assert!(bot.error(405, "symbol limit exceeded").contains("1000000"));
        assert_eq!(sorted(bot.subscribe(json!({}))), before);
        let largest = codec.encode(&before).len();
        assert!((850_000..1_000_000).contains(&largest), "{largest}");
    }
}

/// R18.
#[test]
fn unreadable_alpaca_message_is_an_error_and_the_session_continues() {
    let hub = TestHub::default();
    for codec in Codec::BOTH {
        let mut bot = Bot::subscribed(&hub, codec, json!({"trades": ["AAPL"]}));
        for wrong in [
            json!({"action": "dance"}),
            json!({"trades": ["A"]}),
            json!({"action": "subscribe", "trades": "A"}),
            json!({"action": "subscribe", "trades": ["A", 7]}),
            json!({"action": "subscribe", "trades": ["MSFT", "no symbol"]}),
            json!({"action": "subscribe", "trades": ["lower"]}),
            json!({"action": "auth", "key": "k"}),
            json!([]),
            json!(null),
            json!(7),
        ] {
            bot.say(&wrong);
            bot.error(400, "invalid syntax");
        }
        for garbage in [&b""[..], b"\xc1\xff\x00", b"{\"action\":", b"\x9f\xff"] {
            bot.client.send_raw(&masked(0x82, garbage));
            bot.error(400, "invalid syntax");
        }
        assert_eq!(bot.subscribe(json!({})), set(json!({"trades": ["AAPL"]})));
    }
}

/// The end of a session removes its subscriptions.
#[test]
fn subscriptions_end_with_their_session() {
    let hub = TestHub::start(config());
    let mut bot = Bot::subscribed(&hub, Codec::Msgpack, json!({"trades": ["A", "*"]}));
    hub.until_metric("tickwire_subscriptions", 6);
    bot.client.send_close(1000);
    assert_eq!(bot.closed().0, 1000);
    hub.until_metric("tickwire_subscriptions", 0);
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    publisher.publish(&[trade("A", 1)]);
    assert_eq!(hub.metric("tickwire_ticks_delivered_total"), 0);
}
