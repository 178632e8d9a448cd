//! All that is known at the end, for the table and the chart.

use crate::figures::{Figures, medians};
use crate::host::Host;
use crate::plan::{Peer, Row};

/// One server under one load, over all runs.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) row: &'static Row,
    pub(crate) peer: Peer,
    /// One for each run that succeeded.
    pub(crate) figures: Vec<Figures>,
    /// Why others did not.
    pub(crate) failures: Vec<String>,
}

/// What a report is made of.
#[derive(Debug)]
pub(crate) struct Report {
    /// In the order of the rows and, within a row, of its servers.
    pub(crate) entries: Vec<Entry>,
    pub(crate) host: Host,
    pub(crate) runs: u32,
    pub(crate) secs: u32,
    /// As one would type it.
    pub(crate) command: String,
}

impl Entry {
    pub(crate) const fn new(row: &'static Row, peer: Peer) -> Self {
        Self { row, peer, figures: Vec::new(), failures: Vec::new() }
    }

    pub(crate) fn medians(&self) -> Option<Figures> {
        medians(&self.figures)
    }
}

impl Report {
    /// The entries, one group for each row.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&'static Row, &[Entry])> {
        self.entries.chunk_by(|a, b| a.row == b.row).map(|group| (group[0].row, group))
    }

    /// `medians of 3 runs of 5 s`; fewer runs are called what they are.
    pub(crate) fn method(&self) -> String {
        let (runs, secs) = (self.runs, self.secs);
        match runs {
            1 => format!("one run of {secs} s: a check, not a measurement"),
            2 => format!("two runs of {secs} s: a check, not a measurement"),
            _ => format!("medians of {runs} runs of {secs} s"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::plan::ROWS;

    /// A report of all rows and their own peers; the last entry failed.
    pub(crate) fn report() -> Report {
        let mut entries = Vec::new();
        for row in &ROWS {
            for peer in row.peers(&[]) {
                let mut entry = Entry::new(row, peer);
                entry.figures.push(figures(row, peer));
                entries.push(entry);
            }
        }
        let last = entries.last_mut().unwrap();
        last.figures.clear();
        last.failures.push("a | b <ended>".to_owned());
        let host = Host {
            machine: "Some CPU, 2 cores".to_owned(),
            date: "2026-11-22".to_owned(),
            versions: vec![(Peer::Uws, "3.0.6".to_owned())],
        };
        let command = "cargo xtask bench peers".to_owned();
        Report { entries, host, runs: 3, secs: 5, command }
    }

    /// All keep up but uWebSockets.
    fn figures(row: &Row, peer: Peer) -> Figures {
        let share = if peer == Peer::Uws { 0.1 } else { 1.0 };
        let ticks = (row.rate > 0).then_some(1.0);
        Figures {
            delivered_per_s: row.asked() * share,
            cpu_per_tick_ns: ticks.map(|one| one * 12_565.0),
            cpu_cores: 0.5,
            p50_ms: ticks.map(|one| one * 8.5),
            p99_ms: ticks.map(|one| one * 3_400.0),
            bytes_per_connection: 5_734.0,
            least_per_s: row.rate_of_one() * share,
            most_per_s: row.rate_of_one() * share,
            ..Figures::default()
        }
    }

    #[test]
    fn less_than_three_runs_are_a_check() {
        let mut report = report();
        assert_eq!(report.method(), "medians of 3 runs of 5 s");
        report.runs = 1;
        assert_eq!(report.method(), "one run of 5 s: a check, not a measurement");
    }

    #[test]
    fn entries_are_grouped_by_row_in_order() {
        let report = report();
        let names: Vec<_> = report.groups().map(|(row, _)| row.name).collect();
        assert_eq!(names, ROWS.iter().map(|row| row.name).collect::<Vec<_>>());
        assert_eq!(report.groups().map(|(_, entries)| entries.len()).sum::<usize>(), 40);
    }
}
