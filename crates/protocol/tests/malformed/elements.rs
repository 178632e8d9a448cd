//! Malformed elements in messages of publishers and of the hub.

use tickwire_protocol::{Control, Element, Encoding, decode_message, decode_publish};

#[test]
fn errors_in_published_messages_are_named() {
    let tick = r#"{"T":"i","S":"A","t":"2026-01-02T14:30:00Z","p":1,"z":""}"#;
    let mark = r#"{"T":"mark","mark":"m"}"#;
    let error =
        |text: &str| decode_publish(text.as_bytes(), Encoding::Json, 2).unwrap_err().to_string();
    assert!(
        decode_publish(tick.as_bytes(), Encoding::Json, 2).is_ok(),
        "one element outside an array"
    );
    let after_mark = "element 1: not allowed here: ticks precede the mark and lost elements, and there is one mark";
    assert_eq!(error(&format!("[{mark},{tick}]")), after_mark);
    assert_eq!(error(&format!("[{mark},{mark}]")), after_mark);
    let lost = r#"{"T":"lost","ticks":3}"#;
    assert_eq!(error(&format!("[{lost},{tick}]")), after_mark);
    assert!(decode_publish(format!("[{lost},{mark}]").as_bytes(), Encoding::Json, 2).is_ok());
    assert_eq!(error(r#"[{"T":"lost"}]"#), "element 0 (lost), field ticks: missing");
    assert_eq!(error(r#"[{"T":"p","pos":3}]"#), "element 0, field T: unknown element type \"p\"");
    assert_eq!(
        error(&format!("[{tick},{tick},{tick}]")),
        "element 2: 3 ticks given, at most 2 allowed"
    );
    assert_eq!(error(r#"[{"T":"mark"}]"#), "element 0 (mark), field mark: missing");
    assert_eq!(
        error(r#"[{"T":"mark","mark":""}]"#),
        "element 0, field mark: empty: expected 1 to 64 bytes"
    );
    assert_eq!(error(r#"[{"T":"live"}]"#), "element 0, field T: unknown element type \"live\"");
}

#[test]
fn errors_in_control_elements_are_named_and_unknown_elements_are_ignored() {
    let error =
        |text: &str| decode_message(text.as_bytes(), Encoding::Json).unwrap_err().to_string();
    assert_eq!(error(r#"[{"T":"ack"}]"#), "element 0 (ack), field up_to: missing");
    assert!(
        error(r#"[{"T":"ack","up_to":-1}]"#).starts_with("element 0, field up_to: invalid value")
    );
    assert!(
        error(r#"[{"T":"feed","feed":"main","state":"dead","since":""}]"#).starts_with(
            "element 0, field state: \"dead\": expected \"live\", \"stale\" or \"down\""
        )
    );
    assert_eq!(error(r#"[{"msg":"?"}]"#), "element 0, field T: missing");
    let gap = |rest: &str| error(&format!(r#"[{{"T":"gap"{rest}}}]"#));
    let named = r#","S":"A","channel":"trades""#;
    assert_eq!(gap(r#","S":"A""#), "element 0 (gap), field channel: missing");
    assert_eq!(gap(r#","channel":"trades""#), "element 0 (gap), field S: missing");
    assert!(gap(r#","S":"a","channel":"trades""#).contains("field S: symbol \"a\": expected"));
    assert_eq!(
        gap(r#","S":"A","channel":"orderbooks""#),
        "element 0 (gap), field channel: unknown channel \"orderbooks\""
    );
    assert_eq!(
        gap(&format!(r#"{named},"from":"7""#)),
        "element 0 (gap), field from: expected an unsigned integer"
    );
    for from in ["-7", "7.5", "true", "[7]", r#"{"a":7}"#] {
        let error = gap(&format!(r#"{named},"from":{from}"#));
        assert!(error.starts_with("element 0, field from: invalid"), "{from}: {error}");
    }
    let position_error = error(r#"[{"T":"p","pos":true}]"#);
    assert_eq!(position_error, "element 0 (p), field pos: expected an unsigned integer");
    assert_eq!(error(r#"[{"T":"p"}]"#), "element 0 (p), field pos: missing");
    assert_eq!(
        gap(&format!(r#"{named},"from":7,"to":6"#)),
        "element 0 (gap), field to: 6 is less than from, which is 7"
    );
    let with_unknown = br#"[{"T":"weather","sky":"clear"},{"T":"live"}]"#;
    assert_eq!(
        decode_message(with_unknown, Encoding::Json).unwrap(),
        vec![Element::Control(Control::Live)]
    );
}

#[test]
fn modes_need_a_delivery_and_are_limited_in_number() {
    let error = |modes: &str| {
        let text = format!(r#"[{{"T":"subscription","modes":{modes}}}]"#);
        decode_message(text.as_bytes(), Encoding::Json).unwrap_err().to_string()
    };
    let prefix = "element 0, field modes: ";
    assert!(
        error(r#"[{"trades":["A"]}]"#).starts_with(&format!("{prefix}missing field `delivery`"))
    );
    assert!(
        error(r#"[{"delivery":"every","max_rate":4}]"#)
            .starts_with(&format!("{prefix}max_rate: allowed only with delivery"))
    );
    let many = vec![r#"{"delivery":"latest"}"#; 65].join(",");
    assert!(error(&format!("[{many}]")).starts_with(&format!("{prefix}at most 64 groups allowed")));
}
