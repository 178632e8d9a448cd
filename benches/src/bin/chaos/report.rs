//! The result of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::checker::{Counts, Violation};
use crate::proxy::NetworkCounts;

/// The result of a run; displayed as the text that the program prints.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) took: Duration,
    pub(crate) clients: usize,
    /// Number of injected faults by kind.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// Kinds of faults that could not be injected, each with the reason.
    pub(crate) skipped: BTreeSet<&'static str>,
    pub(crate) network: NetworkCounts,
    pub(crate) counts: Counts,
    pub(crate) epochs: usize,
    /// Ticks of the market up to the last one that a client received in the last epoch.
    pub(crate) market_ticks: u64,
    pub(crate) memory_mib_max: u64,
    pub(crate) violations: Vec<(String, Violation)>,
}

impl Report {
    pub(crate) const fn passed(&self) -> bool {
        self.counts.violations == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, clients, network, counts, .. } = self;
        writeln!(f, "seed {seed}: {clients} clients, {:.0} s", self.took.as_secs_f64())?;
        let faults: Vec<String> =
            self.faults.iter().map(|(name, times)| format!("{name} {times}")).collect();
        writeln!(f, "faults       {}", faults.join(", "))?;
        for why in &self.skipped {
            writeln!(f, "skipped      {why}")?;
        }
        let NetworkCounts { connections, split_writes, pauses, cuts, refused } = network;
        writeln!(
            f,
            "network      {connections} connections: {cuts} cuts, {pauses} pauses, {split_writes} split writes; {refused} refused"
        )?;
        let Counts { resumed_complete, resumed_gap, resumed_epoch, .. } = counts;
        writeln!(
            f,
            "sessions     {}, {} closed as slow, resumed {}: {resumed_complete} without a gap, {resumed_gap} with gaps, {resumed_epoch} in a new epoch; {} epochs",
            counts.connections,
            counts.slow,
            resumed_complete + resumed_gap + resumed_epoch,
            self.epochs,
        )?;
        writeln!(f, "memory       at most {} MiB (hub)", self.memory_mib_max)?;
        writeln!(
            f,
            "checked      {} ticks of a market of {}, {} positions, {} gaps with {} ticks, {} \
             gaps without an end",
            counts.ticks,
            self.market_ticks,
            counts.positions,
            counts.gaps,
            counts.gap_ticks,
            counts.unbounded_gaps
        )?;
        writeln!(f, "{} lost, {} repeated", counts.lost, counts.repeated)?;
        if self.passed() {
            return Ok(());
        }
        writeln!(f, "{} violations; the first:", counts.violations)?;
        for (name, violation) in &self.violations {
            writeln!(f, "  {name}: {violation}")?;
        }
        writeln!(f, "to repeat: cargo xtask chaos --seed {seed}")
    }
}
