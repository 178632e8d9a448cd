//! Instructions per unit of each case, and what differs between two sets of them.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// How far a figure may be from what is expected: compilers shuffle this much with no change of ours.
pub(super) const MARGIN_PERCENT: f64 = 5.0;

const COMMENT: &str = "\
# Instructions per tick or delivery, as `cargo xtask bench instructions` counts them; it writes this file when
# it is told to `--accept`. They are compared on the platform they come from.
";

/// What a platform's figures are.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Figures {
    #[serde(flatten)]
    pub(super) platform: Platform,
    instructions: BTreeMap<String, f64>,
}

/// What else but our code decides which instructions there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Platform {
    target: String,
    /// Without its patch level.
    rustc: String,
}

/// How a case differs from what is expected, where that is worth a word.
#[derive(Debug, PartialEq)]
pub(super) enum Difference {
    /// It takes so many percent more.
    More(f64),
    /// It takes so many percent less.
    Less(f64),
    /// Nothing is expected of it.
    Unknown,
    /// A figure is expected and no case gives it.
    Gone,
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

    /// Adds a case, to the hundredth.
    pub(super) fn insert(&mut self, case: &str, instructions: f64) {
        self.instructions.insert(case.to_owned(), (instructions * 100.0).round() / 100.0);
    }

    /// What differs in `counted` by more than the margin.
    pub(super) fn compare(&self, counted: &Self) -> Vec<(String, Difference)> {
        let mut differences = Vec::new();
        for (case, instructions) in &counted.instructions {
            let difference = match self.get(case).map(|expected| percent(*instructions, expected)) {
                None => Difference::Unknown,
                Some(percent) if percent > MARGIN_PERCENT => Difference::More(percent),
                Some(percent) if percent < -MARGIN_PERCENT => Difference::Less(-percent),
                Some(_) => continue,
            };
            differences.push((case.clone(), difference));
        }
        let gone = self.instructions.keys().filter(|case| counted.get(case).is_none());
        differences.extend(gone.map(|case| (case.clone(), Difference::Gone)));
        differences
    }
}

/// By how many percent `counted` is above `expected`.
fn percent(counted: f64, expected: f64) -> f64 {
    (counted / expected - 1.0) * 100.0
}

impl Difference {
    /// Whether it is one for the worse; what was gained is none.
    pub(super) const fn is_fault(&self) -> bool {
        !matches!(self, Self::Less(_))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::More(percent) => {
                write!(f, "{percent:.1} % more than expected; {MARGIN_PERCENT} % are allowed")
            }
            Self::Less(percent) => write!(f, "{percent:.1} % less than expected"),
            Self::Unknown => f.write_str("has no expected figure"),
            Self::Gone => f.write_str("is expected, yet there is no such case"),
        }
    }
}

impl Platform {
    /// From what `rustc -vV` prints.
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

/// A line of the table.
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
    fn what_is_written_is_read_again() {
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
    fn only_what_leaves_the_margin_differs() {
        let expected = figures(&[("a", 100.0), ("b", 100.0), ("c", 100.0), ("d", 100.0)]);
        let counted = figures(&[("a", 104.9), ("b", 95.1), ("c", 106.0), ("d", 90.0)]);
        let differences = expected.compare(&counted);
        let shown: Vec<_> = differences.iter().map(|(case, d)| format!("{case} {d}")).collect();
        assert_eq!(
            shown,
            ["c 6.0 % more than expected; 5 % are allowed", "d 10.0 % less than expected"]
        );
        assert!(differences[0].1.is_fault());
        assert!(!differences[1].1.is_fault());
    }

    #[test]
    fn a_case_without_a_figure_is_a_fault_and_so_is_a_figure_without_a_case() {
        let differences = figures(&[("old", 1.0)]).compare(&figures(&[("new", 1.0)]));
        let expected =
            [("new".to_owned(), Difference::Unknown), ("old".to_owned(), Difference::Gone)];
        assert_eq!(differences, expected);
        assert!(differences.iter().all(|(_, difference)| difference.is_fault()));
    }

    #[test]
    fn another_minor_version_is_another_platform_and_another_patch_is_not() {
        let platform = |release| Platform::parse(&RUSTC.replace("e: 1.95.0", release)).unwrap();
        assert_eq!(platform("e: 1.95.1"), platform("e: 1.95.0"));
        assert_ne!(platform("e: 1.96.0"), platform("e: 1.95.0"));
        assert_eq!(platform("e: 1.96.0").to_string(), "rustc 1.96 for x86_64-linux");
    }

    #[test]
    fn columns_stand_below_their_names() {
        let row =
            Row { case: "board", unit: "delivery", instructions: 98.65, expected: Some(99.0) };
        let shown = row.to_string();
        assert_eq!(shown, "board                   delivery          98.7      99.0      -0.4 %");
        assert_eq!(shown.len(), Row::HEADER.len());
    }
}
