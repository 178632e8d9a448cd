//! Properties of the decoders that hold for any input. The fuzz target and the test that replays
//! its corpus share them.

use tickwire_protocol::{
    AlpacaCommand, Command, Element, Encoding, MessageBuf, PublishedMessage, Tick,
    decode_alpaca_stream, decode_message, decode_publish,
};

const ENCODINGS: [Encoding; 3] = [Encoding::Json, Encoding::MsgpackArray, Encoding::MsgpackMap];
/// A limit on ticks per message that no input reaches.
const TICKS_MAX: usize = 10_000;

/// Passes the bytes to every decoder. No decoder panics, and every value that is decoded survives
/// encoding and decoding again.
pub(crate) fn decode(bytes: &[u8]) {
    for encoding in ENCODINGS {
        for element in decode_message(bytes, encoding).into_iter().flatten() {
            element_round_trips(&element);
        }
        if let Ok(published) = decode_publish(bytes, encoding, TICKS_MAX) {
            published_round_trips(&published);
        }
    }
    for encoding in ENCODINGS {
        lenient_decoder(bytes, encoding);
        alpaca_commands(bytes, encoding);
    }
    if let Ok(tick) = Tick::from_json(bytes) {
        element_round_trips(&Element::Tick(tick));
    }
    for command in [Command::from_json(bytes), Command::from_msgpack(bytes)].iter().flatten() {
        command_round_trips(command);
    }
}

/// Checks the lenient decoder: its elements round-trip, and it finds the same ticks as the strict
/// one.
fn lenient_decoder(bytes: &[u8], encoding: Encoding) {
    let Ok(found) = decode_alpaca_stream(bytes, encoding) else { return };
    let found: Vec<_> = found.into_iter().flatten().collect();
    found.iter().for_each(element_round_trips);
    // With MsgpackArray, the strict decoder ignores maps, which the lenient one may decode as
    // ticks.
    if encoding != Encoding::MsgpackArray
        && let Ok(strict) = decode_message(bytes, encoding)
    {
        let fits =
            |element: &Element| matches!(element, Element::Tick(tick) if tick.check_size().is_ok());
        assert!(strict.iter().filter(|e| fits(e)).eq(found.iter().filter(|e| fits(e))));
    }
}

/// Checks that each Alpaca command but the last consumes a part of the message, and that the hub's
/// own command decoder finds the same credentials.
fn alpaca_commands(bytes: &[u8], encoding: Encoding) {
    let mut commands = AlpacaCommand::decode_all(bytes, encoding);
    let mut left = bytes.len() + 1;
    while let Some(command) = commands.next() {
        assert!(commands.rest().len() < left, "a command consumed nothing");
        left = commands.rest().len();
        if let Ok(AlpacaCommand::Auth(credentials)) = command
            && encoding == Encoding::Json
            && let Ok(Command::Auth(same)) = Command::from_json(bytes)
        {
            assert_eq!(credentials, same);
        }
    }
    assert_eq!(left, 0, "the end of the message was not consumed");
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

fn published_round_trips(published: &PublishedMessage) {
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
    let mut json = Vec::new();
    let mut msgpack = Vec::new();
    command.write_json(&mut json);
    command.write_msgpack(&mut msgpack);
    assert_eq!(Command::from_json(&json).as_ref(), Ok(command));
    assert_eq!(Command::from_msgpack(&msgpack).as_ref(), Ok(command));
}
