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
        shell::run(&mut shell::npm(bot, &["ci", "--ignore-scripts", "--no-audit", "--no-fund"])?)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the table of requirements, as number and last cell.
    fn requirements(page: &str) -> Vec<(usize, &str)> {
        let rows = page.lines().filter_map(|line| line.strip_prefix("| R"));
        rows.filter_map(|row| {
            let cells: Vec<&str> = row.split(" | ").collect();
            Some((cells.first()?.parse().ok()?, *cells.last()?))
        })
        .collect()
    }

    /// The sources of a folder, one behind the other.
    fn sources(folder: &Path) -> String {
        let mut all = String::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("node_modules") {
                all += &sources(&path);
            } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "mjs") {
                all += &fs::read_to_string(&path).unwrap();
            }
        }
        all
    }

    #[test]
    fn every_requirement_of_the_stock_stream_names_tests_that_exist_or_says_why_not() {
        let root = shell::root();
        let page = fs::read_to_string(root.join("docs/alpaca.md")).unwrap();
        let requirements = requirements(&page);
        let numbers: Vec<usize> = requirements.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (1..=36).collect::<Vec<_>>());
        let sources = sources(&root.join("crates")) + &sources(&root.join("compat"));
        for (number, tests_of_it) in requirements {
            let tests: Vec<&str> = tests_of_it.split('`').skip(1).step_by(2).collect();
            let is_told = !tests.is_empty() || tests_of_it.contains("not tested");
            assert!(is_told, "R{number}: {tests_of_it}");
            for test in tests {
                let exists = sources.contains(&format!("fn {test}("))
                    || sources.contains(&format!("{test}:"));
                assert!(exists, "R{number}: there is no test `{test}`");
            }
        }
    }
}
