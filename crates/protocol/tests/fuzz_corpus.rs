//! Replays the inputs the fuzzer has found interesting (`fuzz/corpus`), and the golden messages.
//! What is printed is seen when a test fails, and says which input it was.
#![expect(clippy::print_stdout, reason = "names the input that fails")]

#[path = "../../../fuzz/checks/decode.rs"]
mod check;
mod samples;

use std::fs;
use std::path::Path;

use samples::samples;

#[test]
fn the_corpus_of_decode_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/decode");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        check::decode(&fs::read(path).unwrap());
        count += 1;
    }
    assert!(count > 0, "an empty corpus proves nothing");
}

#[test]
fn golden_messages_hold() {
    for (name, sample) in samples() {
        println!("{name}");
        for &encoding in sample.encodings() {
            check::decode(&sample.encode(encoding));
        }
    }
}
