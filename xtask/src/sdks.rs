//! Alpaca's SDKs, unmodified, against a real hub: the tests in `compat/`, with what they need.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result};

use crate::{python, shell};

/// The bots on SDKs of npm, each with its lock file.
const NODE_BOTS: [&str; 2] = ["compat/js3", "compat/js4"];
const TESTS: [&str; 2] = ["compat/sdks.test.mjs", "compat/relay.test.mjs"];
/// How long one test may take. All of them take less than a minute.
const TEST_MS_MAX: &str = "180000";

/// Installs the SDKs, builds the hub and runs the tests.
///
/// # Errors
/// A test fails, or something is missing.
pub(crate) fn check() -> Result<()> {
    let program = env::current_exe().context("where is the running program?")?;
    let target = program.ancestors().nth(2).context("xtask does not run from a target folder")?;
    let requirements = fs::read_to_string(shell::root().join("compat/python/requirements.txt"))?;
    let python = python::environment(&target.join("compat/python"), &requirements)?;
    for bot in NODE_BOTS {
        shell::run(&mut shell::npm(bot, &["ci", "--no-audit", "--no-fund"])?)?;
    }
    shell::run(&mut shell::cargo(&["build", "--locked", "--package", "tickwire"]))?;
    let tickwire = program.with_file_name(format!("tickwire{}", env::consts::EXE_SUFFIX));
    shell::run(&mut tests(&tickwire, &python))
}

fn tests(tickwire: &Path, python: &Path) -> Command {
    let mut command = Command::new("node");
    command.args(["--test", "--test-timeout", TEST_MS_MAX]).args(TESTS).current_dir(shell::root());
    command.env("TICKWIRE_BIN", tickwire).env("COMPAT_PYTHON", python);
    command
}
