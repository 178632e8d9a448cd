//! Whatever is encoded is decoded to the same value, in every encoding.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod controls;
mod ticks;

use controls::{command, control, names, publisher};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use ticks::{long_correction, tick, uint};
use tickwire_protocol::{
    Command, Control, Element, Encoding, MessageBuf, PublishedMessage, TICK_BYTES_MAX, Tick,
    TickData, decode_alpaca_stream, decode_message, decode_publish, decode_ticks,
    write_alpaca_subscription,
};
use tickwire_testkit::seeds;

const ENCODINGS: [Encoding; 3] = [Encoding::Json, Encoding::MsgpackArray, Encoding::MsgpackMap];

fn published(ticks: &[Tick], mark: Option<&str>, lost: u64, encoding: Encoding) -> Vec<u8> {
    let mut message = MessageBuf::new(encoding);
    ticks.iter().for_each(|tick| message.push(tick));
    if lost > 0 {
        message.push_lost(lost);
    }
    if let Some(mark) = mark {
        message.push_mark(mark);
    }
    message.finish().to_vec()
}

fn message(ticks: &[Tick], encoding: Encoding) -> Vec<u8> {
    let mut message = MessageBuf::new(encoding);
    ticks.iter().for_each(|tick| message.push(tick));
    message.finish().to_vec()
}

proptest! {
    #![proptest_config(seeds!().proptest(256))]

    #[test]
    fn ticks_round_trip(ticks in vec(tick(), 0..20)) {
        for encoding in ENCODINGS {
            let bytes = message(&ticks, encoding);
            prop_assert_eq!(&decode_ticks(&bytes, encoding).unwrap(), &ticks);
            let elements: Vec<_> = ticks.iter().cloned().map(Element::Tick).collect();
            prop_assert_eq!(decode_message(&bytes, encoding).unwrap(), elements);
        }
    }

    #[test]
    fn ticks_round_trip_through_the_lenient_decoder(ticks in vec(tick(), 0..20)) {
        for encoding in ENCODINGS {
            let read = decode_alpaca_stream(&message(&ticks, encoding), encoding).unwrap();
            prop_assert_eq!(read.len(), ticks.len());
            for (read, tick) in read.into_iter().zip(&ticks) {
                match tick.check_size() {
                    Ok(()) => prop_assert_eq!(read.unwrap(), Element::Tick(tick.clone())),
                    Err(_) => prop_assert!(read.is_err()),
                }
            }
        }
    }

    #[test]
    fn alpaca_subscription_answer_round_trips(names in names()) {
        for encoding in ENCODINGS {
            let mut message = Vec::new();
            write_alpaca_subscription(&names, encoding, &mut message);
            let read = decode_message(&message, encoding).unwrap();
            let [Element::Control(Control::Subscription { names: found, .. })] = &read[..] else {
                panic!("one element: {read:?}")
            };
            prop_assert_eq!(found.as_ref(), &names);
        }
    }

    #[test]
    fn ticks_round_trip_as_lines_of_json(tick in tick()) {
        let mut line = Vec::new();
        tick.write_json(&mut line);
        prop_assert!(!line.contains(&b'\n'), "NDJSON puts one element on a line");
        prop_assert_eq!(Tick::from_json(&line).unwrap(), tick);
    }

    #[test]
    fn published_messages_round_trip(
        ticks in vec(tick(), 0..20),
        mark in option::of(publisher()),
        lost in uint(),
    ) {
        let ticks: Vec<_> = ticks.into_iter().filter(|tick| tick.check_size().is_ok()).collect();
        for encoding in ENCODINGS {
            let bytes = published(&ticks, mark.as_deref(), lost, encoding);
            let expected = PublishedMessage { ticks: ticks.clone(), mark: mark.clone(), lost };
            prop_assert_eq!(decode_publish(&bytes, encoding, 20).unwrap(), expected);
            if !ticks.is_empty() {
                prop_assert!(decode_publish(&bytes, encoding, ticks.len() - 1).is_err());
            }
        }
    }

    #[test]
    fn cleared_message_buffer_equals_a_new_one(first in tick(), second in tick()) {
        for encoding in ENCODINGS {
            let mut reused = MessageBuf::new(encoding);
            reused.push(&first);
            reused.finish();
            reused.clear();
            reused.push(&second);
            prop_assert_eq!(reused.len(), 1);
            prop_assert_eq!(reused.finish(), message(std::slice::from_ref(&second), encoding));
        }
    }

    #[test]
    fn check_size_accepts_exactly_the_ticks_that_fit(tick in prop_oneof![tick(), long_correction()]) {
        let lengths = ENCODINGS.map(|encoding| {
            let mut bytes = Vec::new();
            encoding.write_tick(&tick, &mut bytes);
            bytes.len()
        });
        let fits = lengths.into_iter().all(|length| length <= TICK_BYTES_MAX);
        prop_assert_eq!(tick.check_size().is_ok(), fits, "{:?}", lengths);
        let message = message(std::slice::from_ref(&tick), Encoding::Json);
        prop_assert_eq!(decode_publish(&message, Encoding::Json, 1).is_ok(), fits);
    }

    #[test]
    fn positions_after_ticks_round_trip(ticks in vec(tick(), 0..5), pos in uint()) {
        for encoding in ENCODINGS {
            let mut message = MessageBuf::new(encoding);
            ticks.iter().for_each(|tick| message.push(tick));
            message.push_position(pos);
            let mut expected: Vec<_> = ticks.iter().cloned().map(Element::Tick).collect();
            expected.push(Element::Control(Control::Position { pos }));
            prop_assert_eq!(decode_message(message.finish(), encoding).unwrap(), expected);
            prop_assert!(decode_ticks(message.finish(), encoding).is_err());
            prop_assert!(decode_publish(message.finish(), encoding, 5).is_err());
        }
    }

    #[test]
    fn control_elements_round_trip(control in control()) {
        for encoding in ENCODINGS {
            let mut bytes = Vec::new();
            control.write_message(encoding, &mut bytes);
            let expected = vec![Element::Control(control.clone())];
            prop_assert_eq!(decode_message(&bytes, encoding).unwrap(), expected);
        }
    }

    #[test]
    fn commands_round_trip(command in command()) {
        let mut json = Vec::new();
        command.write_json(&mut json);
        prop_assert_eq!(&Command::from_json(&json).unwrap(), &command);
        let mut msgpack = Vec::new();
        command.write_msgpack(&mut msgpack);
        prop_assert_eq!(&Command::from_msgpack(&msgpack).unwrap(), &command);
    }

    #[test]
    fn hand_written_msgpack_equals_that_of_serde(tick in tick()) {
        let mut by_hand = Vec::new();
        Encoding::MsgpackArray.write_tick(&tick, &mut by_hand);
        let by_serde = match &tick.data {
            TickData::Trade(trade) => rmp_serde::to_vec(&(
                "t",
                tick.symbol.as_str(),
                tick.seq.0,
                tick.time.0,
                trade.id,
                trade.exchange.as_str(),
                trade.price.as_f64(),
                trade.size,
                trade.conditions.iter().collect::<Vec<_>>(),
                trade.tape.as_str(),
            )),
            TickData::Quote(quote) => rmp_serde::to_vec(&(
                "q",
                tick.symbol.as_str(),
                tick.seq.0,
                tick.time.0,
                quote.bid_exchange.as_str(),
                quote.bid.as_f64(),
                quote.bid_size,
                quote.ask_exchange.as_str(),
                quote.ask.as_f64(),
                quote.ask_size,
                quote.conditions.iter().collect::<Vec<_>>(),
                quote.tape.as_str(),
            )),
            _ => return Ok(()),
        };
        prop_assert_eq!(by_hand, by_serde.unwrap());
    }

    #[test]
    fn unknown_trailing_fields_and_keys_of_ticks_are_ignored(tick in tick()) {
        let mut array = Vec::new();
        Encoding::MsgpackArray.write_tick(&tick, &mut array);
        let unknown = rmp_serde::to_vec(&("new", 1.5, [[1], [2]])).unwrap();
        let mut message = vec![0x91, 0x90 + (array[0] & 0x0f) + 1];
        if array[0] == 0x9f {
            message = vec![0x91, 0xdc, 0, 16];
        }
        message.extend_from_slice(&array[1..]);
        message.extend_from_slice(&unknown);
        prop_assert_eq!(
            decode_ticks(&message, Encoding::MsgpackArray).unwrap(),
            vec![tick.clone()]
        );

        let mut object = Vec::new();
        tick.write_json(&mut object);
        object.pop();
        object.extend_from_slice(br#","new":{"nested":[1,null]}}"#);
        prop_assert_eq!(Tick::from_json(&object).unwrap(), tick);
    }

    #[test]
    fn unknown_keys_of_commands_are_ignored(command in command()) {
        let mut json = Vec::new();
        command.write_json(&mut json);
        json.pop();
        json.extend_from_slice(br#","new":{"nested":[1,null]}}"#);
        prop_assert_eq!(&Command::from_json(&json).unwrap(), &command);

        let mut msgpack = Vec::new();
        command.write_msgpack(&mut msgpack);
        let keys = u16::from(msgpack[0] & 0x0f);
        prop_assume!(msgpack[0] & 0xf0 == 0x80);
        let mut longer = vec![0xde];
        longer.extend_from_slice(&(keys + 1).to_be_bytes());
        longer.extend_from_slice(&msgpack[1..]);
        longer.extend_from_slice(&rmp_serde::to_vec(&"new").unwrap());
        longer.extend_from_slice(&rmp_serde::to_vec(&(1, [[1], [2]])).unwrap());
        prop_assert_eq!(Command::from_msgpack(&longer).unwrap(), command);
    }
}
