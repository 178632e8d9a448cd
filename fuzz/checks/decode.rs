//! What must hold for any bytes. Shared by the fuzz target and by the test that replays its corpus.

use tickwire_protocol::{
    Command, Element, Encoding, MessageBuf, Published, Tick, decode_message, decode_publish,
};

const ENCODINGS: [Encoding; 2] = [Encoding::Json, Encoding::MsgpackArray];
/// More ticks than an input has room for.
const TICKS_MAX: usize = 10_000;

/// No decoder panics, and what decodes is the same after it was encoded and decoded again.
pub(crate) fn decode(bytes: &[u8]) {
    for encoding in ENCODINGS {
        for element in decode_message(bytes, encoding).into_iter().flatten() {
            element_round_trips(&element);
        }
        if let Ok(published) = decode_publish(bytes, encoding, TICKS_MAX) {
            published_round_trips(&published);
        }
    }
    if let Ok(tick) = Tick::from_json(bytes) {
        element_round_trips(&Element::Tick(tick));
    }
    for command in [Command::from_json(bytes), Command::from_msgpack(bytes)].iter().flatten() {
        command_round_trips(command);
    }
}

fn element_round_trips(element: &Element) {
    for encoding in ENCODINGS {
        let mut message = Vec::new();
        match element {
            Element::Tick(tick) => {
                let mut ticks = MessageBuf::new(encoding);
                ticks.push(tick);
                message.extend_from_slice(ticks.finish());
            }
            Element::Control(control) => control.write_message(encoding, &mut message),
        }
        let again = decode_message(&message, encoding);
        assert_eq!(again.as_deref(), Ok(std::slice::from_ref(element)));
    }
}

fn published_round_trips(published: &Published) {
    for encoding in ENCODINGS {
        let mut message = MessageBuf::new(encoding);
        published.ticks.iter().for_each(|tick| message.push(tick));
        if let Some(mark) = &published.mark {
            message.push_mark(mark);
        }
        if published.lost > 0 {
            message.push_lost(published.lost);
        }
        let again = decode_publish(message.finish(), encoding, TICKS_MAX);
        assert_eq!(again.as_ref(), Ok(published));
    }
}

fn command_round_trips(command: &Command) {
    let (mut json, mut msgpack) = (Vec::new(), Vec::new());
    command.write_json(&mut json);
    command.write_msgpack(&mut msgpack);
    assert_eq!(Command::from_json(&json).as_ref(), Ok(command));
    assert_eq!(Command::from_msgpack(&msgpack).as_ref(), Ok(command));
}
