//! Checks the decoders with the inputs that fuzzing has collected (`fuzz/corpus`), and with the
//! golden messages. The tests print each input; a failing test shows the last one.
#![expect(clippy::print_stdout, reason = "names the input that fails")]

#[path = "../../../fuzz/checks/decode.rs"]
mod check;
mod samples;

use std::fs;
use std::path::Path;

use samples::samples;

#[test]
fn fuzz_corpus_passes_the_checks_of_the_decoders() {
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
fn golden_messages_pass_the_checks_of_the_decoders() {
    for (name, sample) in samples() {
        println!("{name}");
        for &encoding in sample.encodings() {
            check::decode(&sample.encode(encoding));
        }
    }
}
