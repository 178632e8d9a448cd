//! The state of a client at the end of a connection, and how it resumes from there.

use std::collections::BTreeMap;

use tickwire_protocol::{
    Channel, Delivery, PerChannel, Resume, ResumePoint, Seq, SubscriptionSet, Symbol,
};

use crate::observer::Observer;
use crate::oracle::Name;
use crate::random::Random;

#[derive(Debug)]
pub(crate) struct ResumeState {
    epoch: String,
    /// Names of which the client received every tick.
    names: Vec<Name>,
    wildcards: Vec<Channel>,
    position: Option<u64>,
    numbers: BTreeMap<Name, u64>,
}

impl ResumeState {
    /// Returns the state from which the client can resume, or `None` if it received every tick of
    /// no name.
    pub(crate) fn of(observer: &Observer) -> Option<Self> {
        let every = |delivery| delivery == Delivery::Every;
        let names = observer.names.iter().filter(|(_, mode)| every(mode.delivery));
        let wildcards = observer.wildcards.iter().filter(|(_, mode)| every(mode.delivery));
        let state = Self {
            epoch: observer.epoch.clone()?,
            names: names.map(|(name, _)| *name).collect(),
            wildcards: wildcards.map(|(channel, _)| *channel).collect(),
            position: observer.last_position,
            numbers: observer.has.clone(),
        };
        (!state.names.is_empty() || !state.wildcards.is_empty()).then_some(state)
    }

    /// Returns the names and points of one or two resume commands.
    pub(crate) fn resumes(self, random: &mut Random) -> Vec<(SubscriptionSet, Resume)> {
        let point = match self.position {
            Some(position) if random.chance(60) => ResumePoint::Position(position),
            _ => ResumePoint::After(Box::new(self.after())),
        };
        let mut parts = [SubscriptionSet::default(), SubscriptionSet::default()];
        let second = if random.chance(50) { 50 } else { 0 };
        for (channel, symbol) in self.names {
            parts[usize::from(random.chance(second))][channel].symbols.push(symbol);
        }
        for channel in self.wildcards {
            parts[usize::from(random.chance(second))][channel].all = true;
        }
        let resume = Resume { epoch: self.epoch, point };
        let asked = parts.into_iter().filter(|names| names.total() > 0);
        asked.map(|names| (names, resume.clone())).collect()
    }

    fn after(&self) -> PerChannel<Vec<(Symbol, Seq)>> {
        let mut after = PerChannel::<Vec<(Symbol, Seq)>>::default();
        for ((channel, symbol), seq) in &self.numbers {
            after[*channel].push((*symbol, Seq(*seq)));
        }
        for channel in Channel::ALL {
            after[channel].sort_unstable();
        }
        after
    }
}
