//! Commands with missing fields, wrong types or options that are not allowed.

use tickwire_protocol::{Command, SubscribeRequest};

#[test]
fn rejected_commands_name_the_field_and_keep_the_id() {
    let cases = [
        (
            r#"{"action":"subscribe","trades":"AAPL","id":5}"#,
            "field trades: invalid type: string \"AAPL\", expected an array of symbols",
            Some(5),
        ),
        (
            r#"{"id":5,"action":"subscribe","bars":["A","aapl"]}"#,
            "field bars: symbol \"aapl\": expected 1 to 24 of",
            Some(5),
        ),
        (
            r#"{"action":"subscribe","quotes":[7],"id":5}"#,
            "field quotes: invalid type: integer `7`, expected a symbol or \"*\"",
            Some(5),
        ),
        (
            r#"{"action":7,"id":5}"#,
            "field action: invalid type: integer `7`, expected a string",
            Some(5),
        ),
        (
            r#"{"action":"list","id":"5"}"#,
            "field id: invalid type: string \"5\", expected u64",
            None,
        ),
        (r#"{"id":5}"#, "field action: missing", Some(5)),
        (
            r#"{"action":"buy","id":5}"#,
            "field action: unknown action \"buy\": expected subscribe",
            Some(5),
        ),
        (r#"{"action":"publish","id":5}"#, "field publisher: missing", Some(5)),
        (
            r#"{"action":"publish","publisher":""}"#,
            "field publisher: empty: expected 1 to 64 bytes",
            None,
        ),
        (r#"["list"]"#, "invalid type: sequence, expected a map", None),
        ("", "EOF while parsing a value", None),
        (r#"{"action":"list"} {}"#, "trailing characters", None),
    ];
    for (text, expected, id) in cases {
        let error = Command::from_json(text.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{text}: {error}");
        assert_eq!(error.id, id, "{text}");
        let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else { continue };
        let error = Command::from_msgpack(&rmp_serde::to_vec(&value).unwrap()).unwrap_err();
        assert_eq!(error.id, id, "{text} in MessagePack");
    }
}

#[test]
fn errors_in_history_options_name_the_field_and_what_is_allowed() {
    let cases = [
        (r#""pos":7"#, "field pos: expected true or false"),
        (r#""pos":"yes""#, "field pos: "),
        (r#""resume":true"#, "field resume: "),
        (r#""resume":{}"#, "field resume: missing field `epoch`"),
        (r#""resume":{"epoch":"e"}"#, "field resume: expected either pos or after"),
        (r#""resume":{"epoch":"e","pos":7,"after":{}}"#, "resume: expected either pos or after"),
        (r#""resume":{"epoch":"e","pos":-7}"#, "field resume: "),
        (r#""resume":{"epoch":"e","after":{"trades":{"a":1}}}"#, "resume: symbol \"a\": expected"),
        (r#""resume":{"epoch":"e","after":{"trades":{"A":"1"}}}"#, "field resume: "),
        (r#""resume":{"epoch":"e","after":{"trades":["A"]}}"#, "field resume: "),
        (
            r#""resume":{"epoch":"e","pos":7},"delivery":"latest""#,
            r#"field resume: allowed only with delivery "every""#,
        ),
        (
            r#""resume":{"epoch":"e","pos":7},"from":"-5m""#,
            "from: not allowed together with resume",
        ),
        (r#""from":7"#, r#"field from: "7": expected a time such as"#),
        (r#""from":"yesterday""#, r#"field from: "yesterday": expected a time such as"#),
        (r#""from":"-5m","delivery":"latest""#, r#"from: allowed only with delivery "every""#),
        (r#""speed":20"#, "field speed: allowed only with from"),
        (r#""from":"-5m","speed":0"#, "field speed: 0: expected \"max\" or a number from 0.01"),
        (r#""from":"-5m","speed":"fast""#, "field speed: "),
    ];
    for (options, expected) in cases {
        let text = format!(r#"{{"action":"subscribe","trades":["A"],{options},"id":9}}"#);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let msgpack = rmp_serde::to_vec(&value).unwrap();
        for error in [Command::from_json(text.as_bytes()), Command::from_msgpack(&msgpack)] {
            let error = error.unwrap_err();
            assert!(error.to_string().contains(expected), "{options}: {error}");
            assert_eq!(error.id, Some(9));
        }
    }
    for twice in [r#"{"A":1,"A":1}"#, r#"{"A":1,"B":1,"A":2}"#] {
        let text = format!(
            r#"{{"action":"subscribe","resume":{{"epoch":"e","after":{{"trades":{twice}}}}}}}"#
        );
        let error = Command::from_json(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("A is given twice"), "{error}");
    }
    let defaults = br#"{"action":"subscribe","trades":["A"],"delivery":"every","on_lag":"close","pos":false,"resume":null,"from":null}"#;
    assert!(Command::from_json(defaults).is_ok());
}

#[test]
fn errors_in_delivery_options_name_the_field_and_what_is_allowed() {
    let cases = [
        (r#""delivery":"newest""#, r#"delivery: "newest": expected "every" or "latest""#),
        (r#""delivery":7"#, "delivery: "),
        (r#""on_lag":"drop""#, r#"on_lag: "drop": expected "close" or "latest""#),
        (r#""max_rate":10"#, "max_rate: allowed only with delivery \"latest\""),
        (r#""delivery":"every","max_rate":10"#, "max_rate: allowed only with delivery \"latest\""),
        (r#""delivery":"latest","max_rate":0"#, "max_rate: 0 a second: expected 0.1 to 1000"),
        (r#""delivery":"latest","max_rate":1000.1"#, "max_rate: 1000.1 a second: expected"),
        (r#""delivery":"latest","max_rate":-1"#, "max_rate: -1 a second: expected"),
        (r#""delivery":"latest","max_rate":"4""#, "max_rate: invalid type: string \"4\""),
    ];
    for (option, expected) in cases {
        let text = format!(r#"{{"action":"subscribe","trades":["A"],{option},"id":9}}"#);
        let error = Command::from_json(text.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with(&format!("field {expected}")), "{text}: {error}");
        assert_eq!(error.id, Some(9));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let error = Command::from_msgpack(&rmp_serde::to_vec(&value).unwrap()).unwrap_err();
        assert!(expected.starts_with(error.problem.field), "{text} in MessagePack: {error}");
        assert_eq!(error.id, Some(9));
    }
    let not_a_number =
        b"\x83\xa6action\xa9subscribe\xa8delivery\xa6latest\xa8max_rate\xcb\x7f\xf8\0\0\0\0\0\0";
    let error = Command::from_msgpack(not_a_number).unwrap_err();
    assert_eq!(error.to_string(), "field max_rate: NaN a second: expected 0.1 to 1000");
}

#[test]
fn unsubscribe_ignores_the_options_of_a_subscribe() {
    let text = br#"{"action":"unsubscribe","trades":["A"],"delivery":"latest","max_rate":4,"on_lag":"latest","snapshot":true}"#;
    let Ok(Command::Unsubscribe(request)) = Command::from_json(text) else {
        panic!("an unsubscribe")
    };
    assert_eq!(
        request,
        SubscribeRequest { names: request.names.clone(), ..SubscribeRequest::default() }
    );
    assert_eq!(request.names.total(), 1);
}

#[test]
fn null_and_empty_lists_of_names_are_equivalent() {
    let command =
        Command::from_json(br#"{"action":"subscribe","trades":null,"bars":[],"orderbooks":null}"#);
    let Ok(Command::Subscribe(subscription)) = command else { panic!("{command:?}") };
    assert_eq!(subscription.names.total(), 0);
}
