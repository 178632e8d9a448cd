//! What a client has when its connection ends, and how it goes on from there.

use std::collections::BTreeMap;

use tickwire_protocol::{
    Channel, Delivery, PerChannel, Resume, ResumePoint, Seq, SubscriptionSet, Symbol,
};

use crate::observer::Observer;
use crate::random::Random;
use crate::truth::Name;

#[derive(Debug)]
pub(crate) struct Had {
    epoch: String,
    /// Names of which it was sent every tick.
    names: Vec<Name>,
    wild: Vec<Channel>,
    position: Option<u64>,
    numbers: BTreeMap<Name, u64>,
}

impl Had {
    /// What can be gone on with: `None` if it was sent every tick of nothing.
    pub(crate) fn of(observer: &Observer) -> Option<Self> {
        let every = |delivery| delivery == Delivery::Every;
        let names = observer.names.iter().filter(|(_, mode)| every(mode.delivery));
        let wild = observer.wild.iter().filter(|(_, mode)| every(mode.delivery));
        let had = Self {
            epoch: observer.epoch.clone()?,
            names: names.map(|(name, _)| *name).collect(),
            wild: wild.map(|(channel, _)| *channel).collect(),
            position: observer.told,
            numbers: observer.has.clone(),
        };
        (!had.names.is_empty() || !had.wild.is_empty()).then_some(had)
    }

    /// Subscribes to what it had, sometimes in two parts.
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
        for channel in self.wild {
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
