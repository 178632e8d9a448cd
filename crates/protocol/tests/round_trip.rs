//! What is written is read back, and hand-written MessagePack is what serde would write.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use tickwire_protocol::{
    Bar, CONDITIONS_MAX, CancelError, Channel, Command, Conditions, Control, Correction,
    Credentials, Delivery, DeliveryGroup, Element, Encoding, ErrorCode, Feed, FeedState, Imbalance,
    Luld, MaxRate, MessageBuf, OnLag, PerChannel, Price, PublishRequest, PublishedMessage, Quote,
    REPORT_TEXT_BYTES_MAX, Replay, ReplaySpeed, ReplayStart, Resume, ResumeOutcome, ResumePoint,
    Selection, Seq, SourceReport, Status, SubscribeRequest, SubscriptionSet, Symbol,
    TEXT_BYTES_MAX, TICK_BYTES_MAX, Text, Tick, TickData, Trade, UnixNanos, decode_alpaca_stream,
    decode_message, decode_publish, decode_ticks, write_alpaca_subscription,
};

const ENCODINGS: [Encoding; 3] = [Encoding::Json, Encoding::MsgpackArray, Encoding::MsgpackMap];

fn symbol() -> impl Strategy<Value = Symbol> {
    "[A-Z0-9._/-]{1,24}".prop_map(|name| Symbol::new(&name).unwrap())
}

/// Any string up to `bytes_max`, with what needs escapes more often than chance has it.
fn string(bytes_max: usize) -> impl Strategy<Value = String> {
    let char = prop_oneof![
        4 => proptest::char::range(' ', '~'),
        1 => proptest::char::range('\0', '\u{1f}'),
        1 => prop::sample::select(vec!['"', '\\', '/', '\u{7f}', 'é', '\u{2028}', '\u{1f4c8}']),
        1 => any::<char>(),
    ];
    vec(char, 0..=bytes_max).prop_map(move |chars| {
        let mut text = String::new();
        for char in chars {
            if text.len() + char.len_utf8() > bytes_max {
                break;
            }
            text.push(char);
        }
        text
    })
}

/// Boxed, like the kinds of ticks: as plain values these strategies overflow the stack of a test.
fn text() -> BoxedStrategy<Text> {
    prop_oneof![
        3 => "[A-Z]?".prop_map(|code| Text::new(&code).unwrap()),
        1 => string(TEXT_BYTES_MAX).prop_map(|text| Text::new(&text).unwrap()),
    ]
    .boxed()
}

fn conditions() -> impl Strategy<Value = Conditions> {
    vec(text(), 0..=CONDITIONS_MAX)
        .prop_map(|codes| Conditions::new(codes.iter().map(Text::as_str)).unwrap())
}

fn price() -> impl Strategy<Value = Price> {
    let top = Price::MAX.nanos();
    let cents = (-400_000_000..=400_000_000_i64).prop_map(|cents| cents * 10_000_000);
    let nanos = prop_oneof![-top..=top, top - 5000..=top, -5000..=5000_i64, cents];
    nanos.prop_map(|nanos| Price::from_nanos(nanos).unwrap())
}

fn uint() -> impl Strategy<Value = u64> {
    // As many numbers of each width as of any other.
    (any::<u64>(), 0..64_u32).prop_map(|(value, shift)| value >> shift)
}

fn time() -> impl Strategy<Value = UnixNanos> {
    prop_oneof![
        (0..=UnixNanos::MAX.0).prop_map(UnixNanos),
        (0..=UnixNanos::MAX.0 / 1_000_000_000).prop_map(|s| UnixNanos(s * 1_000_000_000)),
    ]
}

fn bar() -> impl Strategy<Value = Bar> {
    (price(), price(), price(), price(), uint(), uint(), price()).prop_map(
        |(open, high, low, close, volume, trades, vwap)| Bar {
            open,
            high,
            low,
            close,
            volume,
            trades,
            vwap,
        },
    )
}

fn trade() -> impl Strategy<Value = Trade> {
    (uint(), text(), price(), uint(), conditions(), text()).prop_map(
        |(id, exchange, price, size, conditions, tape)| Trade {
            id,
            exchange,
            price,
            size,
            conditions,
            tape,
        },
    )
}

fn quote() -> impl Strategy<Value = Quote> {
    (text(), price(), uint(), text(), price(), uint(), conditions(), text()).prop_map(
        |(bid_exchange, bid, bid_size, ask_exchange, ask, ask_size, conditions, tape)| Quote {
            bid_exchange,
            bid,
            bid_size,
            ask_exchange,
            ask,
            ask_size,
            conditions,
            tape,
        },
    )
}

fn status() -> impl Strategy<Value = Status> {
    (text(), text(), text(), text(), text()).prop_map(
        |(code, message, reason_code, reason, tape)| Status {
            code,
            message,
            reason_code,
            reason,
            tape,
        },
    )
}

fn correction() -> impl Strategy<Value = Correction> {
    let side = || (uint(), price(), uint(), conditions());
    (text(), side(), side(), text()).prop_map(|(exchange, original, corrected, tape)| Correction {
        exchange,
        original_id: original.0,
        original_price: original.1,
        original_size: original.2,
        original_conditions: original.3,
        corrected_id: corrected.0,
        corrected_price: corrected.1,
        corrected_size: corrected.2,
        corrected_conditions: corrected.3,
        tape,
    })
}

fn cancel_error() -> impl Strategy<Value = CancelError> {
    (uint(), text(), price(), uint(), text(), text()).prop_map(
        |(id, exchange, price, size, action, tape)| CancelError {
            id,
            exchange,
            price,
            size,
            action,
            tape,
        },
    )
}

fn data() -> impl Strategy<Value = TickData> {
    prop_oneof![
        3 => trade().prop_map(TickData::Trade),
        3 => quote().prop_map(TickData::Quote),
        1 => bar().prop_map(TickData::Bar),
        1 => bar().prop_map(TickData::UpdatedBar),
        1 => bar().prop_map(TickData::DailyBar),
        1 => status().prop_map(|status| TickData::Status(Box::new(status))),
        1 => (price(), price(), text(), text()).prop_map(|(limit_up, limit_down, indicator, tape)| {
            TickData::Luld(Luld { limit_up, limit_down, indicator, tape })
        }),
        1 => (price(), text())
            .prop_map(|(price, tape)| TickData::Imbalance(Imbalance { price, tape })),
        1 => correction().prop_map(|correction| TickData::Correction(Box::new(correction))),
        1 => cancel_error().prop_map(|cancel| TickData::CancelError(Box::new(cancel))),
    ]
}

fn tick() -> BoxedStrategy<Tick> {
    (symbol(), uint(), time(), data())
        .prop_map(|(symbol, seq, time, data)| Tick { symbol, seq: Seq(seq), time, data })
        .boxed()
}

/// Corrections around the size limit: many conditions of characters that JSON escapes or does not.
fn long_correction() -> impl Strategy<Value = Tick> {
    let char = prop::sample::select(vec!['x', '"', '\0']);
    (tick(), correction(), char, 0..=TEXT_BYTES_MAX, 0..=CONDITIONS_MAX).prop_map(
        |(mut tick, mut correction, char, bytes, count)| {
            let code = char.to_string().repeat(bytes);
            let codes = Conditions::new(std::iter::repeat_n(code.as_str(), count)).unwrap();
            correction.original_conditions = codes.clone();
            correction.corrected_conditions = codes;
            tick.data = TickData::Correction(Box::new(correction));
            tick
        },
    )
}

fn names() -> impl Strategy<Value = SubscriptionSet> {
    let selection =
        (any::<bool>(), vec(symbol(), 0..4)).prop_map(|(all, symbols)| Selection { all, symbols });
    vec(selection, Channel::COUNT).prop_map(|selections| {
        let mut names = SubscriptionSet::default();
        for (channel, selection) in Channel::ALL.into_iter().zip(selections) {
            names[channel] = selection;
        }
        names
    })
}

fn error_code() -> impl Strategy<Value = ErrorCode> {
    prop::sample::select(ErrorCode::ALL.to_vec())
}

fn delivery() -> impl Strategy<Value = Delivery> {
    let rate = prop_oneof![100..=1_000_000_u32, (1..=1000_u32).prop_map(|whole| whole * 1000)];
    let max_rate =
        rate.prop_map(|thousandths| MaxRate::per_second(f64::from(thousandths) / 1000.0).unwrap());
    prop_oneof![
        Just(Delivery::Every),
        option::of(max_rate).prop_map(|max_rate| Delivery::Latest { max_rate }),
    ]
}

fn on_lag() -> impl Strategy<Value = OnLag> {
    prop::sample::select(vec![OnLag::Close, OnLag::Latest])
}

fn mode() -> impl Strategy<Value = DeliveryGroup> {
    (delivery(), names()).prop_map(|(delivery, names)| DeliveryGroup { delivery, names })
}

fn subscription_ack() -> impl Strategy<Value = Control> {
    let counts = vec(uint(), Channel::COUNT);
    let resumed = prop::sample::select(vec![
        ResumeOutcome::Complete,
        ResumeOutcome::Gap,
        ResumeOutcome::NewEpoch,
    ]);
    let history = (option::of(uint()), option::of(resumed), option::of(time()));
    let modes = vec(mode(), 0..3);
    (option::of(any::<u64>()), names(), counts, delivery(), on_lag(), modes, history).prop_map(
        |(id, names, counts, delivery, on_lag, modes, (pos, resumed, from))| {
            let mut total = PerChannel::default();
            for (channel, count) in Channel::ALL.into_iter().zip(counts) {
                total[channel] = count;
            }
            let names = Box::new(names);
            Control::Subscription { id, names, total, delivery, on_lag, modes, pos, resumed, from }
        },
    )
}

fn gap() -> impl Strategy<Value = Control> {
    let channel = prop::sample::select(Channel::ALL.to_vec());
    (channel, symbol(), option::of(uint()), option::of(uint()), any::<bool>()).prop_map(
        |(channel, symbol, from, to, lagged)| {
            let to = to.map(|to| to.max(from.unwrap_or(0)));
            Control::Gap { channel, symbol, from, to, lagged }
        },
    )
}

fn control() -> impl Strategy<Value = Control> {
    let state = prop::sample::select(vec![FeedState::Live, FeedState::Stale, FeedState::Down]);
    let feed = "[a-z0-9_-]{1,24}".prop_map(|name| Feed::new(&name).unwrap());
    prop_oneof![
        option::of(string(40)).prop_map(|epoch| Control::Connected { epoch }),
        Just(Control::Authenticated),
        ("[a-z0-9_-]{1,24}", names(), names()).prop_map(|(feed, added, removed)| Control::Demand {
            feed: Feed::new(&feed).unwrap(),
            added: Box::new(added),
            removed: Box::new(removed),
        }),
        subscription_ack(),
        gap(),
        uint().prop_map(|ticks| Control::Snapshot { ticks }),
        Just(Control::Live),
        (error_code(), option::of(string(300)), option::of(uint()))
            .prop_map(|(code, detail, id)| Control::Error { code, detail, id }),
        (feed, state, time(), uint()).prop_map(|(feed, state, since, lost)| Control::Feed {
            feed,
            state,
            since,
            lost
        }),
        (time(), option::of(uint())).prop_map(|(time, pos)| Control::Heartbeat { time, pos }),
        uint().prop_map(|pos| Control::Position { pos }),
        uint().prop_map(|ticks| Control::Lost { ticks }),
        (uint(), option::of(string(64)))
            .prop_map(|(last, mark)| Control::Publishing { last, mark }),
        (uint(), any::<bool>()).prop_map(|(up_to, durable)| Control::Ack { up_to, durable }),
    ]
}

/// 1 to 64 bytes.
fn publisher() -> impl Strategy<Value = String> {
    string(64).prop_filter("not empty", |id| !id.is_empty())
}

fn resume() -> impl Strategy<Value = Resume> {
    let topics = btree_map(symbol(), uint().prop_map(Seq), 0..4);
    let after = vec(topics, Channel::COUNT).prop_map(|channels| {
        let mut after = Box::<PerChannel<Vec<_>>>::default();
        for (channel, topics) in Channel::ALL.into_iter().zip(channels) {
            after[channel] = topics.into_iter().collect();
        }
        ResumePoint::After(after)
    });
    let point = prop_oneof![uint().prop_map(ResumePoint::Position), after];
    (string(40), point).prop_map(|(epoch, point)| Resume { epoch, point })
}

fn replay() -> impl Strategy<Value = Replay> {
    let from = prop_oneof![
        time().prop_map(ReplayStart::At),
        any::<u64>().prop_map(|ms| ReplayStart::Ago(Duration::from_millis(ms))),
    ];
    let times = 10..=100_000_000_u32;
    let speed = prop_oneof![
        Just(ReplaySpeed::Max),
        times.prop_map(|times| ReplaySpeed::factor(f64::from(times) / 1000.0).unwrap()),
    ];
    (from, speed).prop_map(|(from, speed)| Replay { from, speed })
}

/// What a subscribe may ask for, in combinations that are allowed.
fn subscription() -> BoxedStrategy<SubscribeRequest> {
    let delivered = prop_oneof![
        delivery().prop_map(|delivery| (delivery, None, None)),
        resume().prop_map(|resume| (Delivery::Every, Some(resume), None)),
        replay().prop_map(|replay| (Delivery::Every, None, Some(replay))),
    ];
    let (id, snapshot) = (option::of(uint()), option::of(any::<bool>()));
    (names(), snapshot, delivered, option::of(on_lag()), any::<bool>(), id)
        .prop_map(|(names, snapshot, (delivery, resume, replay), on_lag, pos, id)| {
            SubscribeRequest { names, snapshot, delivery, on_lag, pos, resume, replay, id }
        })
        .boxed()
}

fn report() -> impl Strategy<Value = SourceReport> {
    let text = || option::of(string(REPORT_TEXT_BYTES_MAX));
    let state = prop::sample::select(vec![FeedState::Live, FeedState::Stale, FeedState::Down]);
    (state, text(), text(), uint(), uint(), uint(), any::<bool>()).prop_map(
        |(state, detail, upstream, connects, errors, ticks, no_bars)| SourceReport {
            state,
            detail,
            upstream,
            connects,
            errors,
            ticks,
            no_bars,
        },
    )
}

fn command() -> impl Strategy<Value = Command> {
    let id = || option::of(uint());
    prop_oneof![
        subscription().prop_map(Command::Subscribe),
        (names(), id()).prop_map(|(names, id)| {
            Command::Unsubscribe(SubscribeRequest { names, id, ..SubscribeRequest::default() })
        }),
        id().prop_map(|id| Command::List { id }),
        (string(40), string(40))
            .prop_map(|(key, secret)| Command::Auth(Credentials::from_pair(key, secret))),
        report().prop_map(Command::Report),
        (publisher(), any::<bool>())
            .prop_map(|(publisher, demand)| Command::Publish(PublishRequest { publisher, demand })),
    ]
}

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
    fn a_stream_of_ticks_round_trips(ticks in vec(tick(), 0..20)) {
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
    fn an_ack_names_the_whole_set(names in names()) {
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
    fn lines_of_json_round_trip(tick in tick()) {
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
    fn a_message_buffer_is_as_new_after_clear(first in tick(), second in tick()) {
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
    fn check_size_allows_exactly_what_fits(tick in prop_oneof![tick(), long_correction()]) {
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
    fn positions_behind_ticks_round_trip(ticks in vec(tick(), 0..5), pos in uint()) {
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
    fn msgpack_by_hand_equals_serde(tick in tick()) {
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
    fn unknown_trailing_fields_and_keys_are_passed_over(tick in tick()) {
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
    fn unknown_keys_of_maps_are_passed_over(command in command()) {
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
