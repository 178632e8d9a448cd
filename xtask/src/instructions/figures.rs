//! Figures: instructions per unit of each case. Compares two sets of them.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// How far a count may be from its expected figure. An unrelated change of the code moves counts by
/// this much.
pub(super) const MARGIN_PERCENT: f64 = 5.0;

const COMMENT: &str = "\
# Instructions per tick or delivery, written by `cargo xtask bench instructions --accept`.
# They are compared only on the platform on which they were counted.
";

/// The figures of all cases on one platform.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Figures {
    #[serde(flatten)]
    pub(super) platform: Platform,
    instructions: BTreeMap<String, f64>,
}

/// Compiler and target. Instruction counts are comparable only if both are equal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Platform {
    target: String,
    /// The version of the compiler without its patch level, such as `1.90`.
    rustc: String,
}

/// How the count of a case differs from its expected figure.
#[derive(Debug, PartialEq)]
pub(super) enum Difference {
    /// The count is this many percent above the figure.
    More(f64),
    /// The count is this many percent below the figure.
    Less(f64),
    /// The case has no expected figure.
    NoFigure,
    /// The figure has no case.
    NoCase,
}

impl Figures {
    pub(super) const fn empty(platform: Platform) -> Self {
        Self { platform, instructions: BTreeMap::new() }
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        Ok(toml::from_str(text)?)
    }

    pub(super) fn to_text(&self) -> Result<String> {
        Ok(format!("{COMMENT}{}", toml::to_string(self)?))
    }

    pub(super) fn get(&self, case: &str) -> Option<f64> {
        self.instructions.get(case).copied()
    }

    /// Adds the figure of a case, rounded to two decimals.
    pub(super) fn insert(&mut self, case: &str, instructions: f64) {
        self.instructions.insert(case.to_owned(), (instructions * 100.0).round() / 100.0);
    }

    /// Returns the cases whose counts differ by more than the margin.
    pub(super) fn compare(&self, counted: &Self) -> Vec<(String, Difference)> {
        let mut differences = Vec::new();
        for (case, instructions) in &counted.instructions {
            let difference = match self.get(case).map(|expected| percent(*instructions, expected)) {
                None => Difference::NoFigure,
                Some(percent) if percent > MARGIN_PERCENT => Difference::More(percent),
                Some(percent) if percent < -MARGIN_PERCENT => Difference::Less(-percent),
                Some(_) => continue,
            };
            differences.push((case.clone(), difference));
        }
        let without_case = self.instructions.keys().filter(|case| counted.get(case).is_none());
        differences.extend(without_case.map(|case| (case.clone(), Difference::NoCase)));
        differences
    }
}

/// Returns by how many percent `counted` exceeds `expected`; negative if it is lower.
fn percent(counted: f64, expected: f64) -> f64 {
    (counted / expected - 1.0) * 100.0
}

impl Difference {
    /// Returns whether the difference makes the check fail: every one except a lower count.
    pub(super) const fn is_fault(&self) -> bool {
        !matches!(self, Self::Less(_))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::More(percent) => {
                write!(
                    f,
                    "{percent:.1} % above the expected figure; {MARGIN_PERCENT} % are allowed"
                )
            }
            Self::Less(percent) => write!(f, "{percent:.1} % below the expected figure"),
            Self::NoFigure => f.write_str("has no expected figure"),
            Self::NoCase => f.write_str("has an expected figure, but there is no such case"),
        }
    }
}

impl Platform {
    /// Parses the output of `rustc -vV`. Returns `None` if it names no host or release.
    pub(super) fn parse(version: &str) -> Option<Self> {
        let field = |name| version.lines().find_map(|line| line.strip_prefix(name));
        let target = field("host: ")?.to_owned();
        let (rustc, _patch) = field("release: ")?.rsplit_once('.')?;
        Some(Self { target, rustc: rustc.to_owned() })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rustc {} for {}", self.rustc, self.target)
    }
}

/// A row of the table.
pub(super) struct Row<'a> {
    pub(super) case: &'a str,
    pub(super) unit: &'a str,
    pub(super) instructions: f64,
    pub(super) expected: Option<f64>,
}

impl Row<'_> {
    pub(super) const HEADER: &'static str =
        "case                    per       instructions  expected  difference";
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, unit, instructions, expected } = self;
        write!(f, "{case:<24}{unit:<10}{instructions:>12.1}")?;
        match expected {
            Some(expected) => {
                write!(f, "{expected:>10.1}{:>+10.1} %", percent(*instructions, *expected))
            }
            None => write!(f, "{:>10}", "-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUSTC: &str = "rustc 1.95.0 (5980 2026-04-14)\nhost: x86_64-linux\nrelease: 1.95.0\n";

    fn figures(cases: &[(&str, f64)]) -> Figures {
        let mut figures = Figures::empty(Platform::parse(RUSTC).unwrap());
        for (case, instructions) in cases {
            figures.insert(case, *instructions);
        }
        figures
    }

    #[test]
    fn figures_survive_a_round_trip_through_the_file() {
        let text = figures(&[("hot", 46.564), ("router-1", 200.0)]).to_text().unwrap();
        let expected = "\
target = \"x86_64-linux\"
rustc = \"1.95\"

[instructions]
hot = 46.56
router-1 = 200.0
";
        assert_eq!(text.strip_prefix(COMMENT), Some(expected));
        let read = Figures::parse(&text).unwrap();
        assert_eq!(read.platform, Platform::parse(RUSTC).unwrap());
        assert_eq!((read.get("hot"), read.get("cold")), (Some(46.56), None));
    }

    #[test]
    fn counts_within_the_margin_do_not_differ() {
        let expected = figures(&[("a", 100.0), ("b", 100.0), ("c", 100.0), ("d", 100.0)]);
        let counted = figures(&[("a", 104.9), ("b", 95.1), ("c", 106.0), ("d", 90.0)]);
        let differences = expected.compare(&counted);
        let shown: Vec<_> = differences.iter().map(|(case, d)| format!("{case} {d}")).collect();
        assert_eq!(
            shown,
            [
                "c 6.0 % above the expected figure; 5 % are allowed",
                "d 10.0 % below the expected figure"
            ]
        );
        assert!(differences[0].1.is_fault());
        assert!(!differences[1].1.is_fault());
    }

    #[test]
    fn case_without_a_figure_and_figure_without_a_case_are_faults() {
        let differences = figures(&[("old", 1.0)]).compare(&figures(&[("new", 1.0)]));
        let expected =
            [("new".to_owned(), Difference::NoFigure), ("old".to_owned(), Difference::NoCase)];
        assert_eq!(differences, expected);
        assert!(differences.iter().all(|(_, difference)| difference.is_fault()));
    }

    #[test]
    fn minor_version_distinguishes_platforms_and_patch_level_does_not() {
        let platform = |release| Platform::parse(&RUSTC.replace("e: 1.95.0", release)).unwrap();
        assert_eq!(platform("e: 1.95.1"), platform("e: 1.95.0"));
        assert_ne!(platform("e: 1.96.0"), platform("e: 1.95.0"));
        assert_eq!(platform("e: 1.96.0").to_string(), "rustc 1.96 for x86_64-linux");
    }

    #[test]
    fn columns_align_with_the_header() {
        let row =
            Row { case: "board", unit: "delivery", instructions: 98.65, expected: Some(99.0) };
        let shown = row.to_string();
        assert_eq!(shown, "board                   delivery          98.7      99.0      -0.4 %");
        assert_eq!(shown.len(), Row::HEADER.len());
    }
}
