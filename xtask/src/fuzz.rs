//! Runs every fuzz target of `fuzz/` for some minutes, starting from the inputs in the repository.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::shell;

/// How long each target runs, in seconds.
const TARGET_SECONDS: u32 = 180;
/// How long one input may take, in seconds.
const INPUT_SECONDS_MAX: u32 = 20;
/// How much memory a target may use, in MiB.
const MEMORY_MIB_MAX: u32 = 2_048;

/// Returns whether cargo-fuzz and a nightly toolchain are installed.
pub(crate) fn is_possible() -> bool {
    shell::succeeds(cargo_fuzz().arg("--version"))
}

/// Runs the fuzz targets one after the other. New inputs go to `fuzz/target/found`.
///
/// # Errors
/// Fails if a target cannot be built, or fails on an input, which is then in `fuzz/artifacts`.
pub(crate) fn run() -> Result<()> {
    for target in targets()? {
        let found = format!("target/found/{target}");
        fs::create_dir_all(folder().join(&found))?;
        let limits = [
            format!("-max_total_time={TARGET_SECONDS}"),
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

/// Returns the names of the targets, which are those of their files.
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

fn folder() -> PathBuf {
    shell::root().join("fuzz")
}

/// Returns the command `cargo +nightly fuzz`. It takes cargo from `PATH`, where rustup's selects
/// the toolchain; the cargo that started this program belongs to one toolchain.
fn cargo_fuzz() -> Command {
    let mut command = Command::new("cargo");
    command.args(["+nightly", "fuzz"]).current_dir(folder());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_inputs_in_the_repository() {
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
