//! Runs Alpaca's SDKs, unmodified, against a real hub: the tests in `compat/`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::{npm, python, shell, target};

/// Folders of the bots that use SDKs from npm, each with a lock file.
const NODE_BOTS: [&str; 2] = ["compat/js3", "compat/js4"];
const TESTS: [&str; 2] = ["compat/sdks.test.mjs", "compat/relay.test.mjs"];
/// How long one test may take, in milliseconds. All together take less than a minute.
const TEST_TIMEOUT_MS: &str = "180000";

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
    shell::run(&mut shell::cargo(&["build", "--locked", "--package", "tickwire"]))?;
    shell::run(&mut tests(&target::program("debug", "tickwire")?, &python))
}

fn tests(tickwire: &Path, python: &Path) -> Command {
    let mut command = Command::new("node");
    command
        .args(["--test", "--test-timeout", TEST_TIMEOUT_MS])
        .args(TESTS)
        .current_dir(shell::root());
    command.env("TICKWIRE_BIN", tickwire).env("COMPAT_PYTHON", python);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the rows of the table of requirements: the number of each requirement, and the last
    /// cell of its row, which names its tests.
    fn requirements(page: &str) -> Vec<(usize, &str)> {
        let rows = page.lines().filter_map(|line| line.strip_prefix("| R"));
        rows.filter_map(|row| {
            let cells: Vec<&str> = row.split(" | ").collect();
            Some((cells.first()?.parse().ok()?, *cells.last()?))
        })
        .collect()
    }

    /// Returns the concatenated texts of all files in a folder whose extension is `kind`.
    fn sources(folder: &Path, kind: &str) -> String {
        let mut all = String::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("node_modules") {
                all += &sources(&path, kind);
            } else if path.extension().is_some_and(|extension| extension == kind) {
                all += &fs::read_to_string(&path).unwrap();
            }
        }
        all
    }

    /// Returns whether the sources contain a test function of this name that is not ignored.
    fn is_rust_test(sources: &str, name: &str) -> bool {
        let head = format!("fn {name}(");
        sources.match_indices(&head).any(|(at, _)| {
            let above =
                sources[..at].lines().rev().skip(usize::from(!sources[..at].ends_with('\n')));
            let attributes: Vec<&str> = above
                .map(str::trim_start)
                .take_while(|line| line.starts_with("#[") || line.starts_with("///"))
                .collect();
            let has = |start: &str| attributes.iter().any(|line| line.starts_with(start));
            (has("#[test]") || has("#[tokio::test")) && !has("#[ignore")
        })
    }

    /// Returns whether a test names this requirement before the colon of its title, as in `"R1, R2:
    /// …"`.
    fn is_node_test(sources: &str, requirement: &str) -> bool {
        let titles = sources.split('"').filter_map(|title| title.split_once(": "));
        titles.into_iter().any(|(numbers, _)| numbers.split(", ").any(|one| one == requirement))
    }

    #[test]
    fn a_test_is_a_function_that_runs_as_one() {
        let sources =
            "#[test]\nfn one() {}\n\n/// R1.\n#[test]\n#[ignore]\nfn two() {}\n\nfn three() {}
            #[tokio::test]\n/// R2.\n    async fn four() {}\n// R3: five\n";
        let are = ["one", "two", "three", "four"].map(|name| is_rust_test(sources, name));
        assert_eq!(are, [true, false, false, true]);
        let titles = r#"test("R3, R4: all"); // R5: none"#;
        let are = ["R3", "R4", "R5"].map(|requirement| is_node_test(titles, requirement));
        assert_eq!(are, [true, true, false]);
    }

    #[test]
    fn every_requirement_of_the_stock_stream_names_tests_that_exist_or_says_why_not() {
        let root = shell::root();
        let page = fs::read_to_string(root.join("docs/alpaca.md")).unwrap();
        let requirements = requirements(&page);
        let numbers: Vec<usize> = requirements.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (1..=36).collect::<Vec<_>>());
        let rust = sources(&root.join("crates"), "rs");
        let node = sources(&root.join("compat"), "mjs");
        for (number, tests_of_it) in requirements {
            let tests: Vec<&str> = tests_of_it.split('`').skip(1).step_by(2).collect();
            let is_told = !tests.is_empty() || tests_of_it.contains("not tested");
            assert!(is_told, "R{number}: {tests_of_it}");
            for test in tests {
                let exists = is_rust_test(&rust, test) || is_node_test(&node, test);
                assert!(exists, "R{number}: there is no test `{test}`");
            }
        }
    }
}
