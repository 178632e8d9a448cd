//! Fuzzing: every target of `fuzz/` for a while, from the inputs on that the repository keeps.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::shell;

/// How long each target runs, in seconds.
const SECONDS: u32 = 180;
/// Most time one input may take, in seconds, and most memory of a target, in MiB.
const INPUT_SECONDS_MAX: u32 = 20;
const MEMORY_MIB_MAX: u32 = 2_048;

/// Whether this machine has what it takes: cargo-fuzz and a nightly toolchain.
pub(crate) fn is_possible() -> bool {
    shell::succeeds(cargo_fuzz().arg("--version"))
}

/// Fuzzes with each target in turn. What is new goes into `fuzz/target/found`.
///
/// # Errors
/// A target fails; the input is in `fuzz/artifacts`. Or it cannot be built.
pub(crate) fn run() -> Result<()> {
    for target in targets()? {
        let found = format!("target/found/{target}");
        fs::create_dir_all(folder().join(&found))?;
        let limits = [
            format!("-max_total_time={SECONDS}"),
            format!("-timeout={INPUT_SECONDS_MAX}"),
            format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
            "-print_final_stats=1".to_owned(),
        ];
        let corpus = format!("corpus/{target}");
        let mut command = cargo_fuzz();
        command.args(["run", &target, &found, &corpus, "--"]).args(limits);
        shell::run(&mut command).with_context(|| format!("fuzzing {target}"))?;
    }
    Ok(())
}

/// The targets, by the files they are in.
fn targets() -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(folder().join("fuzz_targets"))? {
        if let Some(name) = entry?.path().file_stem() {
            targets.push(name.display().to_string());
        }
    }
    targets.sort();
    Ok(targets)
}

fn folder() -> std::path::PathBuf {
    shell::root().join("fuzz")
}

/// `cargo +nightly fuzz`, by rustup's cargo: the one that started this program is of one toolchain.
fn cargo_fuzz() -> Command {
    let mut command = Command::new("cargo");
    command.args(["+nightly", "fuzz"]).current_dir(folder());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_inputs_to_begin_with() {
        let targets = targets().unwrap();
        assert!(targets.iter().any(|target| target == "decode"), "{targets:?}");
        for target in targets {
            let corpus = folder().join("corpus").join(&target);
            assert!(
                fs::read_dir(&corpus).is_ok_and(|mut inputs| inputs.next().is_some()),
                "{target}"
            );
        }
    }
}
