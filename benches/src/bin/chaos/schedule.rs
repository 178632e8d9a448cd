//! Which fault happens when: by the seed and nothing else.

use std::time::Duration;

use crate::random::Random;

/// A fault of the whole system. Connections have troubles of their own beside, see [`crate::trouble`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// `kill -9` of the hub, which is started again at once.
    KillHub,
    /// `kill -9` of the feeder, likewise.
    KillFeeder,
    /// Both at once; the feeder is back first.
    KillBoth,
    /// SIGTERM: the hub drains, ends and is started again.
    DrainHub,
    /// All connections of clients are cut.
    CutClients,
    /// The connection of the feeder is cut.
    CutFeeder,
    /// For a while no byte moves, in no connection, and then all of them do.
    Freeze,
    /// For a while nobody gets a connection, and those there are are cut.
    Blackout,
    /// The disk fills; later there is room again, and the hub is killed and started.
    FillDisk,
}

impl Fault {
    /// All kinds.
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

    /// How often it comes, in so many of the faults of one round.
    const fn weight(self) -> usize {
        match self {
            Self::KillHub | Self::KillFeeder => 3,
            Self::CutClients | Self::DrainHub => 2,
            _ => 1,
        }
    }

    /// What is told of it.
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

/// A fault at its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Since the beginning.
    pub(crate) at: Duration,
    pub(crate) fault: Fault,
    /// How long it lasts, where it does.
    pub(crate) lasts: Duration,
}

/// Nothing happens before.
const CALM_MS: u64 = 2_000;

/// The faults of a run. Every kind comes once in a round, which takes about half a minute.
pub(crate) fn plan(seed: u64, length: Duration) -> Vec<Planned> {
    let mut random = Random::new(seed, u64::from_le_bytes(*b"schedule"));
    let mut planned = Vec::new();
    let mut at = Duration::from_millis(CALM_MS);
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
            planned.push(Planned { at, fault, lasts });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_one_schedule_and_others_have_others() {
        let minute = Duration::from_mins(1);
        assert_eq!(plan(7, minute), plan(7, minute));
        assert_ne!(plan(7, minute), plan(8, minute));
        let longer = plan(7, minute * 2);
        assert!(longer.starts_with(&plan(7, minute)), "a longer run begins in the same way");
    }

    #[test]
    fn every_kind_of_fault_comes_within_a_minute() {
        for seed in 0..100 {
            let mut kinds: Vec<Fault> =
                plan(seed, Duration::from_mins(1)).iter().map(|planned| planned.fault).collect();
            kinds.sort();
            kinds.dedup();
            assert_eq!(kinds, Fault::ALL, "seed {seed}");
        }
    }
}
