//! Runs Alpaca's SDKs, unmodified, against a real hub: the tests in `compat/`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::test::check_node_tests;
use crate::{npm, programs, python, shell, target};

/// Folders of the bots that use SDKs from npm, each with a lock file.
const NODE_BOTS: [&str; 2] = ["compat/js3", "compat/js4"];
const TESTS: [&str; 2] = ["compat/sdks.test.mjs", "compat/relay.test.mjs"];
/// How long the tests of one file may take, in milliseconds. They take less than a minute, but much
/// longer on a busy machine.
const TEST_TIMEOUT_MS: &str = "1200000";

/// Installs the SDKs, builds the hub and runs the tests.
///
/// # Errors
/// Fails if a test fails, an SDK cannot be installed, or the hub cannot be built.
pub(crate) fn check() -> Result<()> {
    let requirements = fs::read_to_string(shell::root().join("compat/python/requirements.txt"))?;
    let python = python::environment(&target::folder()?.join("compat/python"), &requirements)?;
    for bot in NODE_BOTS {
        npm::install_packages(bot, &["--ignore-scripts"])?;
    }
    programs::build()?;
    let titles = target::folder()?.join("compat/tests.tap");
    shell::run(&mut tests(&programs::tickwire()?, &python, &titles))?;
    check_node_tests(&passed(&fs::read_to_string(titles)?))
}

/// Returns the command that runs the tests, and writes their results in the Test Anything Protocol
/// as well.
fn tests(tickwire: &Path, python: &Path, results: &Path) -> Command {
    let mut command = Command::new("node");
    command.args(["--test", "--test-timeout", TEST_TIMEOUT_MS]).current_dir(shell::root());
    command.args(["--test-reporter=spec", "--test-reporter-destination=stdout"]);
    command.arg("--test-reporter=tap").arg("--test-reporter-destination").arg(results);
    command.args(TESTS).env("TICKWIRE_BIN", tickwire).env("COMPAT_PYTHON", python);
    command
}

/// Returns the titles of the tests that have passed, one on each line.
fn passed(results: &str) -> String {
    let lines = results.lines().filter_map(|line| line.trim_start().strip_prefix("ok "));
    let titles = lines.filter_map(|line| line.split_once(" - ")).map(|(_number, title)| title);
    titles.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_those_of_tests_that_passed() {
        let results = "TAP version 13\n# Subtest: R31: a - b\nok 1 - R31: a - b\n  ---\n\
                       not ok 2 - R32: c\n    ok 1 - R33: nested\n";
        assert_eq!(passed(results), "R31: a - b\nR33: nested");
    }
}
