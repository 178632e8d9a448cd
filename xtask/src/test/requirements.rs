//! The requirements of Alpaca's stock stream: a table in `docs/alpaca.md` that names the tests of
//! each.
//!
//! A test in Rust is named by its function, a test of the SDKs by the number of the requirement at
//! the start of its title: `R31: …`, or `R31, R32: …`.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::shell;

/// How many requirements there are.
const COUNT: usize = 36;

/// A row of the table.
struct Requirement {
    number: usize,
    /// The tests, as the table names them.
    tests: Vec<String>,
    /// Whether the row says why there is no test.
    is_explained: bool,
}

/// Checks that each requirement names tests or says why not, and that the tests in Rust exist.
/// `list` is what the test programs print with `--list --format terse`.
///
/// # Errors
/// The table is incomplete, or names a test that does not exist.
pub(super) fn check_rust_tests(list: &str) -> Result<()> {
    check(&read_table()?, &rust_tests(list), |name| !is_number(name))
}

/// Checks that the tests of the SDKs that the table names are among those with these titles, one on
/// each line.
///
/// # Errors
/// A test is missing.
pub(crate) fn check_node_tests(titles: &str) -> Result<()> {
    check(&read_table()?, &node_tests(titles), is_number)
}

fn check(table: &str, tests: &BTreeSet<&str>, is_of_kind: impl Fn(&str) -> bool) -> Result<()> {
    let requirements = parse(table);
    if !requirements.iter().map(|requirement| requirement.number).eq(1..=COUNT) {
        bail!("docs/alpaca.md does not list the requirements R1 to R{COUNT} in order");
    }
    for Requirement { number, tests: named, is_explained } in requirements {
        if named.is_empty() && !is_explained {
            bail!("docs/alpaca.md: R{number} names no test, and does not say `not tested`");
        }
        let mut of_kind = named.iter().filter(|name| is_of_kind(name));
        if let Some(missing) = of_kind.find(|name| !tests.contains(name.as_str())) {
            bail!("docs/alpaca.md: R{number} names the test `{missing}`, which does not exist");
        }
    }
    Ok(())
}

fn read_table() -> Result<String> {
    fs::read_to_string(shell::root().join("docs/alpaca.md")).context("cannot read docs/alpaca.md")
}

/// Returns the rows of the table: number, description, and tests between backticks.
fn parse(table: &str) -> Vec<Requirement> {
    let rows = table.lines().filter_map(|line| line.strip_prefix("| R"));
    rows.filter_map(|row| {
        let number = row.split(" | ").next()?.parse().ok()?;
        let cell = row.split(" | ").last()?;
        let tests = cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Some(Requirement { number, tests, is_explained: cell.contains("not tested") })
    })
    .collect()
}

/// Returns whether a test is named by the number of its requirement.
fn is_number(name: &str) -> bool {
    name.strip_prefix('R').is_some_and(|number| number.parse::<usize>().is_ok())
}

/// Returns the names of functions in lines such as `alpaca::login::right_key_is_confirmed: test`.
fn rust_tests(list: &str) -> BTreeSet<&str> {
    let paths = list.lines().filter_map(|line| line.strip_suffix(": test"));
    paths.map(|path| path.rsplit("::").next().unwrap_or(path)).collect()
}

/// Returns the numbers at the start of titles such as `R31, R32: …`.
fn node_tests(titles: &str) -> BTreeSet<&str> {
    let numbers = titles.lines().filter_map(|title| title.split_once(": ")).map(|(start, _)| start);
    numbers.flat_map(|numbers| numbers.split(", ")).filter(|name| is_number(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_names_tests_or_says_why_not() {
        let table = "\
            | R1 | paths | `known`, `R4` |\n| R2 | a | b | not tested, see R1 |\n| R3 | c | |\n";
        let rows = parse(table);
        let tests: Vec<_> = rows.iter().map(|row| row.tests.join(" ")).collect();
        assert_eq!(tests, ["known R4", "", ""]);
        assert_eq!(
            rows.iter().map(|row| row.is_explained).collect::<Vec<_>>(),
            [false, true, false]
        );
    }

    #[test]
    fn names_are_those_of_functions_and_of_requirements() {
        let list = "alpaca::login::one: test\ntwo: test\n\nthree: benchmark\n";
        assert_eq!(rust_tests(list), ["one", "two"].into());
        let titles = "R3, R4: all\nR5\nRelay: R6\nR7: x: y\n";
        assert_eq!(node_tests(titles), ["R3", "R4", "R7"].into());
    }

    #[test]
    fn missing_test_and_missing_row_are_errors() {
        let table: String =
            (1..=COUNT).map(|n| format!("| R{n} | x | `known`, `R{n}` |\n")).collect();
        let known = BTreeSet::from(["known"]);
        check(&table, &known, |name| !is_number(name)).unwrap();
        let error = check(&table, &BTreeSet::new(), |name| !is_number(name)).unwrap_err();
        assert!(error.to_string().contains("R1 names the test `known`"), "{error}");
        let error = check(&table, &known, is_number).unwrap_err();
        assert!(error.to_string().contains("R1 names the test `R1`"), "{error}");
        let error = check(&table.replace("| R7 ", "| "), &known, |_| false).unwrap_err();
        assert!(error.to_string().contains("in order"), "{error}");
        let error = check(&table.replace("`known`, `R7`", ""), &known, |_| false).unwrap_err();
        assert!(error.to_string().contains("R7 names no test"), "{error}");
    }
}
