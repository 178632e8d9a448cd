//! Allocations of the codecs. These tests are a separate program, because linking
//! `allocation_counter` replaces the global allocator with one that counts.

mod samples;

use allocation_counter::measure;
use samples::{Sample, samples};
use tickwire_protocol::{
    AlpacaCommand, Command, Encoding, MessageBuf, Tick, decode_alpaca_stream, decode_message,
    decode_publish, decode_ticks,
};

const ENCODINGS: [Encoding; 3] = [Encoding::Json, Encoding::MsgpackArray, Encoding::MsgpackMap];

fn ticks() -> Vec<(&'static str, Tick)> {
    let ticks = samples().into_iter().filter_map(|(name, sample)| match sample {
        Sample::Ticks(mut ticks) => Some((name, ticks.remove(0))),
        _ => None,
    });
    ticks.collect()
}

/// Control elements and commands are not covered: they are rare, and are encoded through owned
/// strings.
#[test]
fn tick_encoders_allocate_only_the_output() {
    let mut checked = 0;
    for (name, sample) in samples() {
        let Sample::Ticks(ticks) = &sample else { continue };
        for &encoding in sample.encodings() {
            let mut out = Vec::with_capacity(1024);
            let used = measure(|| encoding.write_tick(&ticks[0], &mut out));
            assert_eq!(used.count_total, 0, "{name} in {encoding:?}");
            assert!(!out.is_empty());
            checked += 1;
        }
    }
    assert!(checked >= 30, "every kind of tick in every encoding");
}

#[test]
fn cleared_message_buffer_reuses_its_memory() {
    let ticks = ticks();
    for encoding in ENCODINGS {
        let mut message = MessageBuf::new(encoding);
        let fill = |message: &mut MessageBuf| {
            message.clear();
            ticks.iter().for_each(|(_, tick)| message.push(tick));
            message.finish().len()
        };
        let bytes = fill(&mut message);
        let used = measure(|| assert_eq!(fill(&mut message), bytes));
        assert_eq!(used.count_total, 0, "{encoding:?}");
    }
}

#[test]
fn size_check_of_a_tick_allocates_nothing() {
    for (name, tick) in ticks() {
        let used = measure(|| assert_eq!(tick.check_size(), Ok(())));
        assert_eq!(used.count_total, 0, "{name}");
    }
}

#[test]
fn decoding_common_ticks_from_msgpack_arrays_allocates_only_the_list() {
    for (name, sample) in samples() {
        if !["trade", "quote", "bar", "luld", "imbalance"].contains(&name) {
            continue;
        }
        let bytes = sample.encode(Encoding::MsgpackArray);
        let used = measure(|| drop(decode_ticks(&bytes, Encoding::MsgpackArray).unwrap()));
        assert_eq!(used.count_total, 1, "{name}");
    }
}

#[test]
fn decoding_common_ticks_from_msgpack_maps_allocates_only_the_lists_of_ticks_and_keys() {
    for (name, sample) in samples() {
        if !["trade", "quote", "bar", "luld", "imbalance"].contains(&name) {
            continue;
        }
        let Sample::Ticks(mut ticks) = sample else { unreachable!("those are ticks") };
        ticks.resize(50, ticks[0].clone());
        let bytes = Sample::Ticks(ticks).encode(Encoding::MsgpackMap);
        let used = measure(|| drop(decode_alpaca_stream(&bytes, Encoding::MsgpackMap).unwrap()));
        assert!(used.count_total <= 10, "{name}: {}", used.count_total); // the two lists grow
    }
}

#[test]
fn decoders_do_not_allocate_claimed_lengths() {
    let names = b"\x82\xa6action\xa9subscribe\xa6trades".as_slice();
    let unknown_key = b"\x81\xa1k".as_slice();
    let keys = b"\x91\x82\xa1T\xa1t\xa1S".as_slice();
    for prefix in [&[], &[0x91][..], b"\x91\x9a\xa1t", names, unknown_key, keys] {
        for marker in [0xdd, 0xdf, 0xdb, 0xc6, 0xc9] {
            let bomb = [prefix, &[marker, 0xff, 0xff, 0xff, 0xff]].concat();
            let used = measure(|| {
                drop(decode_message(&bomb, Encoding::MsgpackArray));
                drop(decode_publish(&bomb, Encoding::MsgpackArray, usize::MAX));
                drop(Command::from_msgpack(&bomb));
                drop(decode_alpaca_stream(&bomb, Encoding::MsgpackMap));
                AlpacaCommand::decode_all(&bomb, Encoding::MsgpackMap).for_each(drop);
            });
            assert!(used.bytes_max < 4096, "{bomb:02x?} takes {} bytes", used.bytes_max);
        }
    }
}
