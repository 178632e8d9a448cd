//! Compares the examples, hex dumps and tables in `docs/protocol` with the golden files.
//!
//! A fenced block names its golden file: ```` ```json trade.json ```` or ```` ```hex trade.hex
//! ````.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tickwire_protocol::{Channel, ErrorCode};

/// The documents, and how many JSON examples and hex dumps each has at least.
const DOCUMENTS: [(&str, usize, usize); 3] =
    [("subscriber.md", 29, 0), ("publisher.md", 10, 0), ("ticks.md", 9, 7)];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn document(name: &str) -> String {
    read(&format!("../../docs/protocol/{name}"))
}

fn golden(file: &str) -> String {
    read(&format!("tests/golden/{file}"))
}

/// Returns the fenced blocks of a document: the text after the opening fence, and the contents.
fn blocks(document: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let text: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((info.to_owned(), text.join("\n")));
        }
    }
    blocks
}

/// Returns the bytes of an annotated dump: pairs of digits up to the first two spaces of each line.
fn dumped_bytes(text: &str) -> Vec<&str> {
    text.lines().flat_map(|line| line.split("  ").next().unwrap().split(' ')).collect()
}

#[test]
fn examples_and_dumps_equal_the_golden_files() {
    for (name, json_min, hex_min) in DOCUMENTS {
        let mut found = BTreeMap::<String, usize>::new();
        for (info, text) in blocks(&document(name)) {
            match info.split_once(' ') {
                Some(("json", file)) => {
                    assert_eq!(text, golden(file).trim_end(), "{name}: {file}");
                }
                Some(("hex", file)) => {
                    let golden = golden(file);
                    let golden: Vec<_> = golden.split_ascii_whitespace().collect();
                    assert_eq!(dumped_bytes(&text), golden, "{name}: {file}");
                }
                _ => {
                    let is_unchecked = ["json", "hex"].contains(&info.as_str());
                    assert!(!is_unchecked, "{name}: a block names no golden file:\n{text}");
                    continue;
                }
            }
            *found.entry(info.split(' ').next().unwrap().to_owned()).or_default() += 1;
        }
        let count = |kind: &str| found.get(kind).copied().unwrap_or_default();
        assert!(count("json") >= json_min && count("hex") >= hex_min, "{name}: {found:?}");
    }
}

#[test]
fn first_session_shows_golden_messages() {
    let (_, session) = blocks(&document("subscriber.md")).swap_remove(0);
    for file in ["connected", "feed", "subscribe", "subscription", "live"] {
        let message = golden(&format!("{file}.json"));
        assert!(session.contains(message.trim_end()), "{file}");
    }
}

/// Returns the numbered rows of the table after a heading: the number and the key of a field.
fn table<'a>(document: &'a str, heading: &str) -> Vec<(usize, &'a str)> {
    let (_, section) = document.split_once(heading).unwrap_or_else(|| panic!("{heading}"));
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
    let document = document("ticks.md");
    let shared = table(&document, "## Fields and types\n");
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
        let fields = [shared.clone(), table(&document, heading)].concat();
        let message = golden(&format!("{file}.json"));
        let value: serde_json::Value = serde_json::from_str(&message).unwrap();
        assert_eq!(fields.len(), value[0].as_object().unwrap().len(), "{file}");
        let mut end = 0;
        for (index, (number, key)) in fields.into_iter().enumerate() {
            assert_eq!(number, index, "{file}, {key}");
            let quoted = format!("\"{key}\":");
            let at = message[end..].find(&quoted);
            end += at.unwrap_or_else(|| panic!("{file}: {key} is not next")) + quoted.len();
        }
    }
}

#[test]
fn error_table_has_every_code_with_its_text() {
    let document = document("subscriber.md");
    for code in ErrorCode::ALL {
        let row = format!("| {} | `{}` |", code.code(), code.msg());
        assert!(document.contains(&row), "{row}");
    }
}
