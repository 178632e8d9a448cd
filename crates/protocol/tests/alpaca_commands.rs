//! Commands in Alpaca's protocol, as SDKs send them, and malformed ones.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};
use tickwire_protocol::{
    AlpacaCommand, AlpacaCommandError, Channel, Encoding, ErrorCode, SubscriptionSet,
    write_alpaca_subscription,
};
use tickwire_testkit::seeds;

const ENCODINGS: [Encoding; 2] = [Encoding::Json, Encoding::MsgpackMap];

type Commands = Vec<Result<AlpacaCommand, AlpacaCommandError>>;

fn decode_json(text: &str) -> Commands {
    AlpacaCommand::decode_all(text.as_bytes(), Encoding::Json).collect()
}

fn encode(command: &Value, encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Json => command.to_string().into_bytes(),
        _ => {
            let mut bytes = Vec::new();
            command.serialize(&mut rmp_serde::Serializer::new(&mut bytes)).unwrap();
            bytes
        }
    }
}

/// Decodes a command from both encodings, which must agree.
fn decode_both(command: &Value) -> Result<AlpacaCommand, AlpacaCommandError> {
    let [json, msgpack] = ENCODINGS.map(|encoding| {
        let bytes = encode(command, encoding);
        let mut commands = AlpacaCommand::decode_all(&bytes, encoding);
        let found = commands.next().unwrap();
        assert_eq!((commands.rest(), commands.next()), (&[][..], None), "{command}");
        found
    });
    let code = |error: AlpacaCommandError| error.code; // the two parsers word their errors differently
    assert_eq!(json.clone().map_err(code), msgpack.map_err(code), "{command}");
    json
}

fn names(lists: &[(Channel, &[&str])]) -> SubscriptionSet {
    let mut names = SubscriptionSet::default();
    for (channel, list) in lists {
        list.iter().for_each(|name| names[*channel].add(name).unwrap());
    }
    names
}

fn rejection(command: &Value) -> (ErrorCode, String) {
    let AlpacaCommandError { code, detail } = decode_both(command).unwrap_err();
    (code, detail)
}

#[test]
fn auth_carries_a_key_and_a_secret_or_a_token() {
    for (key, secret, id) in [("PK1", "s3", "PK1"), ("oauth", "PK1:s3", "PK1")] {
        let command = json!({ "secret": secret, "key": key, "action": "auth" });
        let AlpacaCommand::Auth(credentials) = decode_both(&command).unwrap() else {
            panic!("{command}")
        };
        assert_eq!((credentials.id.as_str(), credentials.secret.as_str()), (id, "s3"));
    }
    for (missing, command) in [
        ("key", json!({ "action": "auth", "secret": "s" })),
        ("secret", json!({ "action": "auth", "key": "k", "secret": null })),
    ] {
        let (code, detail) = rejection(&command);
        assert_eq!((code, detail), (ErrorCode::InvalidSyntax, format!("field {missing}: missing")));
    }
}

/// R14.
#[test]
fn null_empty_and_absent_lists_are_equivalent() {
    let expected = AlpacaCommand::Subscribe(names(&[(Channel::Trades, &["AAPL"])]));
    for command in [
        json!({ "action": "subscribe", "trades": ["AAPL"] }),
        json!({ "trades": ["AAPL"], "quotes": null, "bars": [], "imbalances": null,
                "orderbooks": null, "news": [], "pricing": null, "action": "subscribe" }),
    ] {
        assert_eq!(decode_both(&command), Ok(expected.clone()));
    }
    let unsubscribe = AlpacaCommand::Unsubscribe(SubscriptionSet::default());
    assert_eq!(decode_both(&json!({ "action": "unsubscribe" })), Ok(unsubscribe));
}

#[test]
fn lists_of_corrections_and_cancels_are_ignored() {
    let command = json!({ "action": "unsubscribe", "trades": ["*", "A"],
                          "corrections": ["B"], "cancelErrors": "whatever" });
    let expected = names(&[(Channel::Trades, &["*", "A"])]);
    assert_eq!(decode_both(&command), Ok(AlpacaCommand::Unsubscribe(expected)));
}

/// R14.
#[test]
fn channels_of_other_streams_are_rejected_by_name() {
    for action in ["subscribe", "unsubscribe"] {
        let (code, detail) =
            rejection(&json!({ "action": action, "trades": ["A"], "news": ["*"] }));
        assert_eq!(code, ErrorCode::InvalidAction);
        assert!(detail.contains("\"news\"") && detail.contains("updatedBars"), "{detail}");
    }
    // Unknown keys without a list of strings are ignored.
    let harmless = json!({ "action": "subscribe", "id": 7, "x": { "y": ["z"] }, "n": [1, [2.5]],
                           "b": true, "s": "text", "f": -0.5, "deep": [["A"]] });
    assert_eq!(decode_both(&harmless), Ok(AlpacaCommand::Subscribe(SubscriptionSet::default())));
}

#[test]
fn errors_name_the_field() {
    for (command, expected) in [
        (json!({ "trades": ["A"] }), "field action: missing"),
        (json!({ "action": 7 }), "field action: invalid type: integer `7`, expected a string"),
        (json!({ "action": "auth", "key": {} }), "field key: invalid type: map, expected a string"),
        (
            json!({ "action": "auth", "key": "k", "secret": [] }),
            "field secret: invalid type: sequence, expected a string",
        ),
        (
            json!({ "action": "listen" }),
            "field action: unknown action \"listen\": expected auth, subscribe or unsubscribe",
        ),
        (
            json!({ "action": "subscribe", "quotes": ["A", "aapl"] }),
            "field quotes: symbol \"aapl\": expected 1 to 24 of A-Z 0-9 . _ / -",
        ),
        (
            json!({ "action": "subscribe", "bars": "A" }),
            "field bars: invalid type: string \"A\", expected an array of symbols",
        ),
    ] {
        let (code, detail) = rejection(&command);
        assert_eq!(code, ErrorCode::InvalidSyntax);
        assert!(detail.starts_with(expected), "{detail}");
    }
    let twice = decode_json(r#"{"action":"subscribe","trades":["A"],"trades":["B"]}"#);
    assert!(twice[0].as_ref().unwrap_err().detail.starts_with("field trades: given twice"));
    for text in ["", " \n", "garbage", "7", "[]", "\"subscribe\"", "{", "null"] {
        let [Err(error)] = &decode_json(text)[..] else { panic!("{text:?}") };
        assert_eq!(error.code, ErrorCode::InvalidSyntax, "{text:?}");
    }
}

/// R13.
#[test]
fn concatenated_documents_are_decoded_one_by_one() {
    let concatenated = r#" {"action":"subscribe","trades":["A"]}{"action":"subscribe","trades":["a"]}
                    {"action":"subscribe","trades":["B"]} "#;
    let commands = decode_json(concatenated);
    let subscribe = |name| Ok(AlpacaCommand::Subscribe(names(&[(Channel::Trades, &[name])])));
    assert_eq!(commands.len(), 3, "{commands:?}");
    assert_eq!((&commands[0], &commands[2]), (&subscribe("A"), &subscribe("B")));
    assert!(commands[1].is_err(), "a malformed command does not affect the others");

    let mut reading = AlpacaCommand::decode_all(concatenated.as_bytes(), Encoding::Json);
    assert_eq!(reading.rest().len(), concatenated.len());
    assert_eq!(reading.next(), Some(subscribe("A")));
    let rest = std::str::from_utf8(reading.rest()).unwrap();
    assert_eq!(decode_json(rest), commands[1..]);

    let broken = decode_json(r#"{"action":"subscribe"} { {"action":"subscribe"}"#);
    assert_eq!(broken.len(), 2, "the text after malformed JSON is dropped: {broken:?}");
    assert!(broken[1].is_err());
}

#[test]
fn messagepack_message_is_exactly_one_map() {
    let whole = encode(&json!({ "action": "subscribe" }), Encoding::MsgpackMap);
    let twice = whole.repeat(2);
    let [Err(error)] =
        &AlpacaCommand::decode_all(&twice, Encoding::MsgpackMap).collect::<Commands>()[..]
    else {
        panic!("one error")
    };
    assert_eq!(error.detail, format!("{} bytes follow the command", whole.len()));
    for end in 0..whole.len() {
        let found: Commands =
            AlpacaCommand::decode_all(&whole[..end], Encoding::MsgpackMap).collect();
        assert!(matches!(found[..], [Err(_)]), "{end} bytes of it");
    }
    // An extension under an unknown key.
    let extension = b"\x82\xa6action\xa9subscribe\xa1k\xd6\xff\0\0\0\0";
    let found: Commands = AlpacaCommand::decode_all(extension, Encoding::MsgpackMap).collect();
    assert_eq!(found, [Ok(AlpacaCommand::Subscribe(SubscriptionSet::default()))]);
}

#[test]
fn truncated_json_ends_in_an_error() {
    let text = r#"{"action":"subscribe","trades":["A"]}{"action":"auth","key":"k","secret":"s"}"#;
    let first = text.find("}{").unwrap() + 1;
    for end in 0..text.len() {
        let found = decode_json(&text[..end]);
        let complete = usize::from(end >= first);
        assert_eq!(found.iter().filter(|command| command.is_ok()).count(), complete, "{end}");
        assert_eq!(found.last().unwrap().is_err(), end != first, "{end}");
    }
}

#[test]
fn deep_nesting_is_rejected_without_a_stack_overflow() {
    const DEPTH: usize = 500_000;
    let deep =
        format!(r#"{{"action":"subscribe","k":{}{}}}"#, "[".repeat(DEPTH), "]".repeat(DEPTH));
    assert!(decode_json(&deep)[0].is_err());
    let mut deep = b"\x82\xa6action\xa9subscribe\xa1k".to_vec();
    deep.extend_from_slice(&[0x91].repeat(DEPTH));
    deep.push(0xc0);
    let found: Commands = AlpacaCommand::decode_all(&deep, Encoding::MsgpackMap).collect();
    assert!(matches!(found[..], [Err(_)]));
}

/// R15.
#[test]
fn subscription_answer_has_ten_lists_and_no_null() {
    let mut answer = Vec::new();
    write_alpaca_subscription(&SubscriptionSet::default(), Encoding::Json, &mut answer);
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let element = answer[0].as_object().unwrap();
    assert_eq!(answer.as_array().unwrap().len(), 1);
    assert_eq!(element.len(), 11);
    for channel in Channel::ALL {
        assert_eq!(element[channel.name()], json!([]), "{channel}");
    }
}

proptest! {
    #![proptest_config(seeds!().proptest(256))]

    #[test]
    fn any_bytes_decode_to_commands_or_errors_until_all_are_consumed(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            r#"[{}\[\]":,a-z*0-9 ]{0,200}"#.prop_map(String::into_bytes),
        ],
    ) {
        for encoding in ENCODINGS {
            let mut commands = AlpacaCommand::decode_all(&bytes, encoding);
            let mut left = bytes.len() + 1;
            prop_assert!(commands.next().is_some());
            while commands.next().is_some() {
                prop_assert!(commands.rest().len() < left);
                left = commands.rest().len();
            }
            prop_assert!(commands.rest().is_empty());
        }
    }
}
