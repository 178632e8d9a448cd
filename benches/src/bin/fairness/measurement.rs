//! What honest clients and the hub show during one measurement.

use std::time::Duration;

use tickwire_client::load::Report;

use crate::probes::ProbeTimes;

/// The result of one measurement.
#[derive(Debug, Clone)]
pub(crate) struct Measurement {
    /// Latency of live ticks in milliseconds: median and 99th percentile. `None` without ticks.
    pub(crate) tick_ms: Option<[f64; 2]>,
    pub(crate) probes: ProbeTimes,
    /// Largest resident memory of the hub, in KiB.
    pub(crate) memory_kib: u64,
    /// CPU time of the hub, in cores.
    pub(crate) cores: f64,
    /// What the honest clients suffered.
    pub(crate) failures: Vec<String>,
}

impl Measurement {
    /// Creates the measurement of a hub that used `cpu_time` within `measured`.
    pub(crate) fn new(
        live: &Result<Report, String>,
        probes: ProbeTimes,
        [cpu_time, measured]: [Duration; 2],
        memory_kib: u64,
    ) -> Self {
        let mut failures = match live {
            Ok(report) => report_failures(report),
            Err(error) => vec![format!("no live ticks ({error})")],
        };
        failures.extend(probes.failures());
        let ticks = live.as_ref().ok().filter(|report| report.ticks > 0);
        Self {
            tick_ms: ticks.map(|report| [report.latency_ms.p50, report.latency_ms.p99]),
            probes,
            memory_kib,
            cores: cpu_time.as_secs_f64() / measured.as_secs_f64().max(1e-3),
            failures,
        }
    }
}

fn report_failures(report: &Report) -> Vec<String> {
    let counts = [
        (report.connections.refused as u64, "live not opened"),
        (report.connections.closed as u64, "live closed"),
        (report.named_gaps, "live gaps"),
    ];
    let happened = counts.into_iter().filter(|(count, _)| *count > 0);
    happened.map(|(count, what)| format!("{what} {count}")).collect()
}
