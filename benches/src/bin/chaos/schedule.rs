//! The schedule of system-wide faults, which only the seed determines.

use std::time::Duration;

use crate::random::Random;

/// A fault that hits the whole system. Faults of single connections are in [`crate::link_fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// SIGKILL to the hub, which is restarted at once.
    KillHub,
    /// SIGKILL to the feeder, which is restarted at once.
    KillFeeder,
    /// SIGKILL to both; the feeder is restarted first.
    KillBoth,
    /// SIGTERM to the hub, which drains, exits and is restarted.
    DrainHub,
    /// All connections of clients are cut.
    CutClients,
    /// The connection of the feeder is cut.
    CutFeeder,
    /// No connection transfers a byte for a while; then all continue.
    Freeze,
    /// All connections are cut, and new ones are refused for a while.
    Blackout,
    /// The hub's disk is full for a while; then space is freed and the hub is restarted.
    FillDisk,
}

impl Fault {
    /// All kinds of faults.
    pub(crate) const ALL: [Self; 9] = [
        Self::KillHub,
        Self::KillFeeder,
        Self::KillBoth,
        Self::DrainHub,
        Self::CutClients,
        Self::CutFeeder,
        Self::Freeze,
        Self::Blackout,
        Self::FillDisk,
    ];

    /// Returns how many times the fault occurs in one round of the schedule.
    const fn weight(self) -> usize {
        match self {
            Self::KillHub | Self::KillFeeder => 3,
            Self::CutClients | Self::DrainHub => 2,
            _ => 1,
        }
    }

    /// Returns the name of the fault in the report.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::KillHub => "hub killed",
            Self::KillFeeder => "feeder killed",
            Self::KillBoth => "both killed",
            Self::DrainHub => "hub drained",
            Self::CutClients => "all clients cut",
            Self::CutFeeder => "feeder cut",
            Self::Freeze => "network frozen",
            Self::Blackout => "connections refused",
            Self::FillDisk => "disk filled",
        }
    }
}

/// A fault and when to inject it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlannedFault {
    /// Time since the start of the run.
    pub(crate) at: Duration,
    pub(crate) fault: Fault,
    /// Duration of a fault that has one.
    pub(crate) lasts: Duration,
}

/// No fault is injected before this time, in milliseconds since the start.
const START_MS: u64 = 2_000;

/// Plans the faults of a run, in rounds of about half a minute. Each kind occurs at least once in a
/// round.
pub(crate) fn plan(seed: u64, length: Duration) -> Vec<PlannedFault> {
    let mut random = Random::new(seed, u64::from_le_bytes(*b"schedule"));
    let mut planned = Vec::new();
    let mut at = Duration::from_millis(START_MS);
    loop {
        let weighed =
            Fault::ALL.iter().flat_map(|fault| std::iter::repeat_n(*fault, fault.weight()));
        let mut round: Vec<Fault> = weighed.collect();
        random.shuffle(&mut round);
        for fault in round {
            at += Duration::from_millis(random.within(300, 3_500));
            if at >= length {
                return planned;
            }
            let lasts = Duration::from_millis(random.within(100, 2_500));
            planned.push(PlannedFault { at, fault, lasts });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_determines_the_schedule() {
        let minute = Duration::from_mins(1);
        assert_eq!(plan(7, minute), plan(7, minute));
        assert_ne!(plan(7, minute), plan(8, minute));
        let longer = plan(7, minute * 2);
        assert!(longer.starts_with(&plan(7, minute)), "a longer run starts with the same faults");
    }

    #[test]
    fn every_kind_of_fault_occurs_within_a_minute() {
        for seed in 0..100 {
            let mut kinds: Vec<Fault> =
                plan(seed, Duration::from_mins(1)).iter().map(|planned| planned.fault).collect();
            kinds.sort();
            kinds.dedup();
            assert_eq!(kinds, Fault::ALL, "seed {seed}");
        }
    }
}
