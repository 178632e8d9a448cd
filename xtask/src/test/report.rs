//! The table of results at the end of a run.

use std::fmt;
use std::time::Duration;

/// How one step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed(Duration),
    Failed(Duration),
    /// This machine cannot run the step.
    Skipped,
    /// Another step failed first.
    NotRun,
}

/// The results of the steps, in order. `Display` writes the table and the closing line.
pub(super) struct Report {
    rows: Vec<(&'static str, Outcome)>,
    /// Duration of the run. Steps overlap, so it is less than their sum.
    total: Duration,
}

impl Report {
    pub(super) fn new(total: Duration) -> Self {
        Self { rows: Vec::new(), total }
    }

    /// Returns whether no step failed.
    pub(super) fn is_passed(&self) -> bool {
        self.count(|outcome| matches!(outcome, Outcome::Failed(_))) == 0
    }

    pub(super) fn add(&mut self, name: &'static str, outcome: Outcome) {
        self.rows.push((name, outcome));
    }

    fn count(&self, matches: impl Fn(&Outcome) -> bool) -> usize {
        self.rows.iter().filter(|(_, outcome)| matches(outcome)).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, outcome) in &self.rows {
            let (word, time) = match outcome {
                Outcome::Passed(time) => ("passed", Some(*time)),
                Outcome::Failed(time) => ("FAILED", Some(*time)),
                Outcome::Skipped => ("skipped", None),
                Outcome::NotRun => ("not run", None),
            };
            match time {
                Some(time) => writeln!(f, "{name:<14}{word:<8}{:>8.1} s", time.as_secs_f64())?,
                None => writeln!(f, "{name:<14}{word}")?,
            }
        }
        writeln!(f, "{:<22}{:>8.1} s\n", "total", self.total.as_secs_f64())?;
        let passed = self.count(|outcome| matches!(outcome, Outcome::Passed(_)));
        let failed = self.count(|outcome| matches!(outcome, Outcome::Failed(_)));
        write!(f, "{passed} passed, {failed} failed")?;
        match self.rows.len() - passed - failed {
            0 => writeln!(f),
            skipped => writeln!(f, ", {skipped} skipped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_line_counts_every_step_once() {
        let mut report = Report::new(Duration::from_secs(60));
        report.add("fmt", Outcome::Passed(Duration::from_millis(1_500)));
        report.add("deny", Outcome::Skipped);
        report.add("test", Outcome::Failed(Duration::from_secs(60)));
        report.add("page", Outcome::NotRun);
        let expected = "\
fmt           passed       1.5 s
deny          skipped
test          FAILED      60.0 s
page          not run
total                     60.0 s

1 passed, 1 failed, 2 skipped
";
        assert_eq!(report.to_string(), expected);
    }

    #[test]
    fn closing_line_omits_skipped_steps_where_there_are_none() {
        let mut report = Report::new(Duration::ZERO);
        report.add("fmt", Outcome::Passed(Duration::ZERO));
        assert!(report.to_string().ends_with("\n1 passed, 0 failed\n"));
    }
}
