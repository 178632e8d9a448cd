//! Replays the inputs the fuzzer has found interesting (`fuzz/corpus`).
//! What is printed is seen when a test fails, and says which input it was.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a test; names the input that fails")]

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
fn the_corpus_of_frames_holds() {
    replay("frames", checks::frames::check);
}

#[test]
fn the_corpus_of_recovery_holds() {
    replay("recovery", checks::recovery::check);
}

#[test]
fn the_corpus_of_session_holds() {
    replay("session", checks::session::check);
}
