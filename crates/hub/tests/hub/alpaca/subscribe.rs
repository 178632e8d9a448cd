//! Subscriptions and their answers.

use serde_json::{Value, json};
use tickwire_hub::Config;

use super::kit::{Bot, Codec, Heard, KeysFile, secret, set, sorted};
use crate::kit::{Publisher, TestHub, cancel, config, correction, masked, quote, symbols, trade};

/// R13. Python's clients send every subscribe in pieces, the last of them empty.
#[test]
fn a_subscribe_in_pieces_that_ends_with_an_empty_one_is_understood() {
    let hub = TestHub::default();
    for codec in Codec::BOTH {
        let mut bot = Bot::open(&hub, codec);
        let command =
            codec.spell(&json!({"action": "subscribe", "trades": ["AAPL"], "bars": ["*"]}));
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
        let command = codec.spell(&json!({"action": "subscribe", "trades": names}));
        assert!(command.len() > 50_000);
        bot.say_in_pieces(&command, 32_768);
        let ack = sorted(bot.ack());
        for channel in ["trades", "corrections", "cancelErrors"] {
            assert_eq!(ack[channel], json!(names), "{channel}");
        }
    }
}

/// R13. The stock client of C# sends its JSON in binary frames, and sometimes two documents in one.
#[test]
fn json_is_understood_in_binary_frames_and_glued_together() {
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

/// Each document is answered with the whole set: the answers are not all made at once.
#[test]
fn many_commands_in_one_message_wait_for_their_answers_to_be_read() {
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

/// R14. Clients in Go send every channel they know, of this stream and of others.
#[test]
fn channels_without_names_are_as_if_they_were_not_there() {
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
fn names_of_a_channel_of_another_stream_are_refused_and_nothing_is_changed() {
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

/// R15, R23. The kit reads no message in which something stands beside an ack.
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
            let Heard::Message(elements) = bot.hear() else { panic!("no message") };
            assert_eq!(elements, [set(expected)]);
        }
        bot.nothing_pending(); // above all no last values
        publisher.publish(&[trade("AAPL", 3), quote("AAPL", 4)]);
        assert_eq!(bot.take(1)[0]["bs"], 4);
        bot.nothing_pending();
    }
}

/// R15. Subscribes in the middle of a flood: the first tick of a name is behind the ack that has it.
#[test]
fn an_ack_comes_before_the_data_it_is_about_whatever_flows() {
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
fn corrections_and_cancels_follow_trades_both_ways() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    for codec in Codec::BOTH {
        let mut bot = Bot::open(&hub, codec);
        let ack = bot.subscribe(json!({"trades": ["AAPL", "MSFT"], "quotes": ["AAPL"]}));
        assert_eq!(sorted(ack), set(json!({"trades": ["AAPL", "MSFT"], "quotes": ["AAPL"]})));
        publisher.publish(&[correction("AAPL", 1), cancel("MSFT", 2), correction("TSLA", 3)]);
        let heard: Vec<Value> = bot.take(2).iter().map(|tick| tick["T"].clone()).collect();
        assert_eq!(heard, ["c", "x"]);
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

/// Requests may name them; they are what trades are all the same.
#[test]
fn corrections_and_cancels_cannot_be_asked_for_by_themselves() {
    let hub = TestHub::default();
    let mut bot = Bot::open(&hub, Codec::Json);
    let ack = bot.subscribe(json!({"corrections": ["A"], "cancelErrors": ["*"], "trades": ["B"]}));
    assert_eq!(ack, set(json!({"trades": ["B"]})));
    let ack = bot.unsubscribe(json!({"corrections": ["B"], "cancelErrors": ["B"]}));
    assert_eq!(ack, set(json!({"trades": ["B"]})));
}

/// R17. JavaScript's clients repeat a subscribe, Python's send their whole set each time.
#[test]
fn what_is_asked_for_twice_is_there_once() {
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
fn a_name_beside_the_star_is_delivered_once_and_outlives_it() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let both = [trade("AAPL", 1), trade("MSFT", 2)];
    for codec in Codec::BOTH {
        let mut bot = Bot::open(&hub, codec);
        let ack = bot.subscribe(json!({"trades": ["AAPL", "*"]}));
        assert_eq!(sorted(ack), set(json!({"trades": ["*", "AAPL"]})));
        publisher.publish(&both);
        let heard: Vec<_> = bot.take(2).into_iter().map(|tick| tick["S"].clone()).collect();
        assert_eq!(heard, ["AAPL", "MSFT"]);
        bot.nothing_pending();
        assert_eq!(bot.unsubscribe(json!({"trades": ["*"]})), set(json!({"trades": ["AAPL"]})));
        publisher.publish(&both);
        assert_eq!(bot.take(1)[0]["S"], "AAPL");
        bot.nothing_pending();
    }
}

/// R18.
#[test]
fn a_request_beyond_a_limit_changes_nothing() {
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

/// R18, R24. The whole set has to fit into a message that every client takes.
#[test]
fn a_set_whose_answer_would_be_too_large_is_refused() {
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
        let largest = codec.spell(&before).len();
        assert!((850_000..1_000_000).contains(&largest), "{largest}");
    }
}

/// R18.
#[test]
fn what_cannot_be_understood_is_an_error_and_the_session_goes_on() {
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

/// A bot that goes away leaves nothing behind.
#[test]
fn what_a_session_wanted_goes_with_it() {
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
