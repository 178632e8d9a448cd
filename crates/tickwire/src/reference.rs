//! Generates `docs/configuration.md` and `docs/cli.md`, and fails when they are stale.
//!
//! `GOLDEN=write cargo test -p tickwire reference` updates the documents and then fails, so that
//! the differences are reviewed before they are committed.

mod cli;
mod configuration;

use std::env;
use std::path::Path;

/// Longest line of a document, except in tables and code.
const COLUMNS: usize = 100;

/// Asserts that a document has this text, or writes it.
fn check_document(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    if env::var_os("GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&path, text).unwrap();
        panic!("docs/{name} was updated: review the differences, then run without GOLDEN");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "docs/{name} is stale; `GOLDEN=write cargo test -p tickwire reference` updates it"
    );
}

/// Breaks a paragraph into lines of at most [`COLUMNS`].
fn wrapped(paragraph: &str) -> String {
    let mut text = String::new();
    let mut width = 0;
    for word in paragraph.split_whitespace() {
        let chars = word.chars().count();
        if width > 0 && width + 1 + chars > COLUMNS {
            text.push('\n');
            width = 0;
        } else if width > 0 {
            text.push(' ');
            width += 1;
        }
        text.push_str(word);
        width += chars;
    }
    text
}
