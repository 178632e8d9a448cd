//! Runs the checks of the hub on the inputs that fuzzing has collected (`fuzz/corpus`). The tests
//! print each input; a failing test shows the last one.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "names the input that fails")]

#[path = "../../../fuzz/checks/hub.rs"]
mod checks;

use std::fs;
use std::path::Path;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        check(&fs::read(path).unwrap());
        count += 1;
    }
    assert!(count > 0, "an empty corpus proves nothing");
}

#[test]
fn frames_corpus_passes() {
    replay("frames", checks::frames::check);
}

#[test]
fn reader_corpus_passes() {
    replay("reader", checks::reader::check);
}

#[test]
fn recovery_corpus_passes() {
    replay("recovery", checks::recovery::check);
}

#[test]
fn session_corpus_passes() {
    replay("session", checks::session::check);
}
