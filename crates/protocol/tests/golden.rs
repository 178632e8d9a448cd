//! Compares the bytes of every element and command with golden files, so that a change of the wire
//! format shows in the diff of a commit.
//!
//! `GOLDEN=write cargo test -p tickwire-protocol --test golden` updates the files and then fails,
//! so that the differences are reviewed before they are committed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod samples;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use samples::{Sample, samples};
use tickwire_protocol::{
    Command, Control, Element, Encoding, PerChannel, PublishedMessage, decode_message,
    decode_publish, decode_ticks,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn file_of(name: &str, encoding: Encoding) -> String {
    match encoding {
        Encoding::Json => format!("{name}.json"),
        Encoding::MsgpackArray => format!("{name}.hex"),
        Encoding::MsgpackMap => format!("{name}.map.hex"),
    }
}

/// Returns the contents of a golden file: JSON unchanged, MessagePack as rows of 16 bytes in hex.
fn format_golden(bytes: &[u8], encoding: Encoding) -> String {
    let mut text = match encoding {
        Encoding::Json => String::from_utf8(bytes.to_vec()).unwrap(),
        Encoding::MsgpackArray | Encoding::MsgpackMap => {
            let row =
                |row: &[u8]| row.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
            bytes.chunks(16).map(row).collect::<Vec<_>>().join("\n")
        }
    };
    text.push('\n');
    text
}

/// Returns the bytes of a message from the contents of its golden file.
fn parse_golden(text: &str, encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Json => text.trim_end_matches('\n').as_bytes().to_vec(),
        Encoding::MsgpackArray | Encoding::MsgpackMap => text
            .split_ascii_whitespace()
            .map(|pair| u8::from_str_radix(pair, 16).expect("pairs of hex digits"))
            .collect(),
    }
}

fn update_golden_files() {
    for (name, sample) in samples() {
        for &encoding in sample.encodings() {
            let text = format_golden(&sample.encode(encoding), encoding);
            fs::write(folder().join(file_of(name, encoding)), text).unwrap();
        }
    }
    panic!("the golden files were updated: review the differences, then run without GOLDEN");
}

#[test]
fn encoders_produce_the_golden_bytes() {
    if env::var_os("GOLDEN").is_some_and(|value| value == "write") {
        update_golden_files();
    }
    let mut problems = String::new();
    for (name, sample) in samples() {
        for &encoding in sample.encodings() {
            let file = file_of(name, encoding);
            let golden = fs::read_to_string(folder().join(&file)).unwrap_or_default();
            let written = format_golden(&sample.encode(encoding), encoding);
            if written != golden {
                problems += &format!("{file}\n--- golden\n{golden}--- written\n{written}\n");
            }
        }
    }
    assert!(problems.is_empty(), "the wire has changed:\n\n{problems}");
}

#[test]
fn decoders_accept_the_golden_bytes() {
    for (name, sample) in samples() {
        for &encoding in sample.encodings() {
            let file = file_of(name, encoding);
            let bytes = parse_golden(&fs::read_to_string(folder().join(&file)).unwrap(), encoding);
            match sample {
                Sample::Ticks(ref ticks) => {
                    assert_eq!(&decode_ticks(&bytes, encoding).unwrap(), ticks, "{file}");
                }
                Sample::Published { ref ticks, mark, lost } => {
                    let mark = Some(mark.to_owned());
                    let expected = PublishedMessage { ticks: ticks.clone(), mark, lost };
                    assert_eq!(decode_publish(&bytes, encoding, 10).unwrap(), expected, "{file}");
                }
                Sample::Positioned { ref ticks, pos } => {
                    let mut expected: Vec<_> = ticks.iter().cloned().map(Element::Tick).collect();
                    expected.push(Element::Control(Control::Position { pos }));
                    assert_eq!(decode_message(&bytes, encoding).unwrap(), expected, "{file}");
                }
                Sample::Control(ref control) => {
                    let expected = vec![Element::Control(control.clone())];
                    assert_eq!(decode_message(&bytes, encoding).unwrap(), expected, "{file}");
                }
                Sample::AlpacaSubscription(ref expected) => {
                    let [Element::Control(Control::Subscription { names, total, .. })] =
                        &decode_message(&bytes, encoding).unwrap()[..]
                    else {
                        panic!("{file} holds a subscription element")
                    };
                    assert_eq!(names, expected, "{file}");
                    assert_eq!(*total, PerChannel::default(), "{file} has no totals");
                }
                Sample::Command(ref command) => {
                    let found = match encoding {
                        Encoding::Json => Command::from_json(&bytes),
                        _ => Command::from_msgpack(&bytes),
                    };
                    assert_eq!(&found.unwrap(), command.as_ref(), "{file}");
                }
            }
        }
    }
}

#[test]
fn every_golden_file_belongs_to_a_sample() {
    let expected: BTreeSet<_> = samples()
        .iter()
        .flat_map(|(name, sample)| sample.encodings().iter().map(|e| file_of(name, *e)))
        .collect();
    let found: BTreeSet<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn tick_maps_begin_with_their_type_and_have_the_keys_of_json() {
    for (name, sample) in samples() {
        let Sample::Ticks(ticks) = sample else { continue };
        for tick in ticks {
            let mut map = Vec::new();
            let mut json = Vec::new();
            Encoding::MsgpackMap.write_tick(&tick, &mut map);
            assert_eq!(map[1..3], *b"\xa1T", "{name}");
            tick.write_json(&mut json);
            let json: serde_json::Map<_, _> = serde_json::from_slice(&json).unwrap();
            assert_eq!(usize::from(map[0] & 0x0f), json.len(), "{name}");
            for key in json.keys() {
                let encoded = rmp_serde::to_vec(key).unwrap();
                let found = map.windows(encoded.len()).any(|window| window == encoded);
                assert!(found, "{name} has no {key}");
            }
        }
    }
}

#[test]
fn control_elements_are_identical_in_both_messagepack_encodings() {
    for (name, sample) in samples() {
        if let Sample::Control(_) | Sample::AlpacaSubscription(_) = sample {
            let [array, map] =
                [Encoding::MsgpackArray, Encoding::MsgpackMap].map(|e| sample.encode(e));
            assert_eq!(array, map, "{name}");
        }
    }
}
