//! The results of all measurements, for the table and the chart.

use crate::host::Host;
use crate::measurement::{Measurement, medians};
use crate::workload::{Peer, Workload};

/// The results of one server under one workload, over all runs.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) workload: &'static Workload,
    pub(crate) peer: Peer,
    /// One for each successful run.
    pub(crate) measurements: Vec<Measurement>,
    /// The errors of the failed runs.
    pub(crate) failures: Vec<String>,
}

/// A complete report.
#[derive(Debug)]
pub(crate) struct Report {
    /// Ordered by workload and, within a workload, by server.
    pub(crate) entries: Vec<Entry>,
    pub(crate) host: Host,
    pub(crate) runs: u32,
    pub(crate) secs: u32,
    /// The command line that repeats the measurements.
    pub(crate) command: String,
}

impl Entry {
    pub(crate) const fn new(workload: &'static Workload, peer: Peer) -> Self {
        Self { workload, peer, measurements: Vec::new(), failures: Vec::new() }
    }

    /// Returns the medians of all successful runs; `None` if all failed.
    pub(crate) fn medians(&self) -> Option<Measurement> {
        medians(&self.measurements)
    }
}

impl Report {
    /// Returns the entries, grouped by workload.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&'static Workload, &[Entry])> {
        self.entries
            .chunk_by(|a, b| a.workload == b.workload)
            .map(|group| (group[0].workload, group))
    }

    /// Describes the runs: `medians of 3 runs of 5 s`. One or two runs are called a check.
    pub(crate) fn method(&self) -> String {
        let Self { runs, secs, .. } = self;
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
    use crate::workload::WORKLOADS;

    /// Returns a report of all workloads with their default servers, in which the last entry
    /// failed.
    pub(crate) fn report() -> Report {
        let mut entries = Vec::new();
        for workload in &WORKLOADS {
            for peer in workload.peers(&[]) {
                let mut entry = Entry::new(workload, peer);
                entry.measurements.push(measurement(workload, peer));
                entries.push(entry);
            }
        }
        let last = entries.last_mut().unwrap();
        last.measurements.clear();
        last.failures.push("a | b <ended>".to_owned());
        let host = Host {
            machine: "Some CPU, 2 cores".to_owned(),
            date: "2026-11-22".to_owned(),
            versions: vec![(Peer::Uws, "3.0.6".to_owned())],
        };
        let command = "cargo xtask bench peers".to_owned();
        Report { entries, host, runs: 3, secs: 5, command }
    }

    /// Returns a measurement in which all servers but uWebSockets keep up.
    fn measurement(workload: &Workload, peer: Peer) -> Measurement {
        let share = if peer == Peer::Uws { 0.1 } else { 1.0 };
        let ticks = (workload.rate > 0).then_some(1.0);
        Measurement {
            delivered_per_s: workload.offered_rate() * share,
            cpu_per_tick_ns: ticks.map(|one| one * 12_565.0),
            cpu_cores: 0.5,
            p50_ms: ticks.map(|one| one * 8.5),
            p99_ms: ticks.map(|one| one * 3_400.0),
            bytes_per_connection: 5_734.0,
            least_per_s: workload.offered_rate_each() * share,
            most_per_s: workload.offered_rate_each() * share,
            ..Measurement::default()
        }
    }

    #[test]
    fn fewer_than_three_runs_are_called_a_check() {
        let mut report = report();
        assert_eq!(report.method(), "medians of 3 runs of 5 s");
        report.runs = 1;
        assert_eq!(report.method(), "one run of 5 s: a check, not a measurement");
    }

    #[test]
    fn entries_are_grouped_by_workload_in_order() {
        let report = report();
        let names: Vec<_> = report.groups().map(|(workload, _)| workload.name).collect();
        assert_eq!(names, WORKLOADS.iter().map(|workload| workload.name).collect::<Vec<_>>());
        assert_eq!(report.groups().map(|(_, entries)| entries.len()).sum::<usize>(), 40);
    }
}
