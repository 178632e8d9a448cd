//! `docs/protocol.md` shows what is on the wire: its examples, dumps and tables are the golden ones.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tickwire_protocol::{Channel, ErrorCode};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn manual() -> String {
    read("../../docs/protocol.md")
}

fn golden(file: &str) -> String {
    read(&format!("tests/golden/{file}"))
}

/// Fenced blocks: what stands behind the fence, and the text.
fn blocks(manual: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut lines = manual.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let text: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((info.to_owned(), text.join("\n")));
        }
    }
    blocks
}

/// The bytes of an annotated dump: pairs of digits up to the first gap of two spaces.
fn dumped(text: &str) -> Vec<&str> {
    text.lines().flat_map(|line| line.split("  ").next().unwrap().split(' ')).collect()
}

#[test]
fn examples_and_dumps_are_the_golden_ones() {
    let mut found = BTreeMap::<String, usize>::new();
    for (info, text) in blocks(&manual()) {
        match info.split_once(' ') {
            Some(("json", file)) => assert_eq!(text, golden(file).trim_end(), "{file}"),
            Some(("hex", file)) => {
                let golden = golden(file);
                let golden: Vec<_> = golden.split_ascii_whitespace().collect();
                assert_eq!(dumped(&text), golden, "{file}");
            }
            _ => {
                assert!(!["json", "hex"].contains(&info.as_str()), "names no golden file:\n{text}");
                continue;
            }
        }
        *found.entry(info.split(' ').next().unwrap().to_owned()).or_default() += 1;
    }
    assert!(found["json"] >= 20 && found["hex"] >= 5, "{found:?}");
}

#[test]
fn the_session_in_short_shows_golden_messages() {
    let manual = manual();
    let (_, session) = blocks(&manual).swap_remove(0);
    for file in ["connected", "feed", "subscribe", "subscription", "live"] {
        let message = golden(&format!("{file}.json"));
        assert!(session.contains(message.trim_end()), "{file}");
    }
}

/// Keys of the table behind a heading, without those that all kinds share.
fn table<'a>(manual: &'a str, heading: &str) -> Vec<(usize, &'a str)> {
    let (_, section) = manual.split_once(heading).unwrap_or_else(|| panic!("{heading}"));
    let rows = section.lines().skip(1).skip_while(|line| !line.starts_with("| "));
    let rows = rows.take_while(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let number = cells.next()?.parse().ok()?;
        Some((number, cells.next()?.trim_matches('`')))
    });
    cells.collect()
}

#[test]
fn tables_list_the_fields_in_their_order_on_the_wire() {
    let manual = manual();
    let shared = table(&manual, "## Ticks\n");
    assert_eq!(shared, [(0, "T"), (1, "S"), (2, "seq"), (3, "t")]);
    let files = [
        ("trade", "### `t` trade"),
        ("quote", "### `q` quote"),
        ("bar", "### `b` minute bar"),
        ("updated_bar", "### `b` minute bar"),
        ("daily_bar", "### `b` minute bar"),
        ("status", "### `s` trading status"),
        ("luld", "### `l` limit-up"),
        ("imbalance", "### `i` order imbalance"),
        ("correction", "### `c` trade correction"),
        ("cancel_error", "### `x` trade cancelled"),
    ];
    assert_eq!(files.len(), Channel::COUNT);
    for (file, heading) in files {
        let fields = [shared.clone(), table(&manual, heading)].concat();
        let message = golden(&format!("{file}.json"));
        let value: serde_json::Value = serde_json::from_str(&message).unwrap();
        assert_eq!(fields.len(), value[0].as_object().unwrap().len(), "{file}");
        let mut behind = 0;
        for (index, (number, key)) in fields.into_iter().enumerate() {
            assert_eq!(number, index, "{file}, {key}");
            let spelled = format!("\"{key}\":");
            let at = message[behind..].find(&spelled);
            behind += at.unwrap_or_else(|| panic!("{file}: {key} is not next")) + spelled.len();
        }
    }
}

#[test]
fn the_table_of_errors_has_every_code_with_its_text() {
    let manual = manual();
    for code in ErrorCode::ALL {
        let row = format!("| {} | `{}` |", code.code(), code.msg());
        assert!(manual.contains(&row), "{row}");
    }
}
