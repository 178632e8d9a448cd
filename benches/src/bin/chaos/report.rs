//! What a run found.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::proxy::Tally;
use crate::world::{Counts, Violation};

/// What a run found.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) took: Duration,
    pub(crate) clients: usize,
    /// Faults that were injected, by kind.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// Faults that could not be injected, and why.
    pub(crate) skipped: BTreeSet<&'static str>,
    pub(crate) tally: Tally,
    pub(crate) counts: Counts,
    pub(crate) epochs: usize,
    /// Ticks of the market that were numbered in the last epoch, and before it.
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
        let Self { seed, clients, tally, counts, .. } = self;
        writeln!(f, "seed {seed}: {clients} clients, {:.0} s", self.took.as_secs_f64())?;
        let faults: Vec<String> =
            self.faults.iter().map(|(name, times)| format!("{name} {times}")).collect();
        writeln!(f, "faults       {}", faults.join(", "))?;
        for why in &self.skipped {
            writeln!(f, "not tried    {why}")?;
        }
        let Tally { connections, chops, pauses, cuts, refused } = tally;
        writeln!(
            f,
            "network      {connections} connections: {cuts} cut, {pauses} paused, {chops} chopped; {refused} refused"
        )?;
        let Counts { resumed_all, resumed_gap, resumed_epoch, .. } = counts;
        writeln!(
            f,
            "sessions     {}, of them resumed {}: {resumed_all} without a gap, {resumed_gap} with gaps, {resumed_epoch} in another epoch; {} epochs",
            counts.connections,
            resumed_all + resumed_gap + resumed_epoch,
            self.epochs,
        )?;
        writeln!(f, "memory       {} MiB at most, of the hub", self.memory_mib_max)?;
        writeln!(
            f,
            "checked      {} ticks of a market of {}, {} positions, {} gaps of {} ticks",
            counts.ticks, self.market_ticks, counts.positions, counts.gaps, counts.gap_ticks
        )?;
        writeln!(f, "{} lost, {} repeated", counts.lost, counts.repeated)?;
        if self.passed() {
            return Ok(());
        }
        writeln!(f, "{} violations, the first of them:", counts.violations)?;
        for (who, violation) in &self.violations {
            writeln!(f, "  {who}: {violation}")?;
        }
        writeln!(f, "the same faults again: cargo xtask chaos --seed {seed}")
    }
}
