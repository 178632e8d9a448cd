//! What the feeder publishes, made a second time here: the same simulated market with the same seed.
//! Tick number k of a topic must be the k-th tick of that topic in it.

use std::collections::HashMap;
use std::ops::Range;

use tickwire_feeder::{SimConfig, Simulator};
use tickwire_protocol::{Channel, Symbol, Tick};

/// A symbol of a channel.
pub(crate) type Topic = (Channel, Symbol);

/// The topic of a tick.
pub(crate) const fn topic_of(tick: &Tick) -> Topic {
    (tick.channel(), tick.symbol)
}

/// How a topic is called in messages.
pub(crate) fn named((channel, symbol): &Topic) -> String {
    format!("{symbol} {channel}")
}

/// A tick, and its place among all ticks, counted from 0.
#[derive(Debug)]
struct Placed {
    place: u64,
    tick: Tick,
}

/// The market, made as far as somebody asked.
#[derive(Debug)]
pub(crate) struct Truth {
    market: Simulator,
    topics: HashMap<Topic, Vec<Placed>>,
    made: u64,
}

impl Truth {
    /// The market of a feeder with this configuration. It must end: a number too large is looked
    /// for until the end.
    pub(crate) fn new(config: SimConfig) -> Self {
        Self { market: Simulator::new(config), topics: HashMap::new(), made: 0 }
    }

    /// Symbols of the market, the most active first.
    pub(crate) fn symbols(&self) -> Vec<Symbol> {
        self.market.symbols().collect()
    }

    /// Makes the next tick; its topic, `None` at the end.
    fn make(&mut self) -> Option<Topic> {
        let tick = self.market.next()?;
        let topic = topic_of(&tick);
        self.topics.entry(topic).or_default().push(Placed { place: self.made, tick });
        self.made += 1;
        Some(topic)
    }

    /// Makes ticks until a topic has enough of them; whether it has.
    fn make_until(&mut self, topic: &Topic, enough: impl Fn(&[Placed]) -> bool) -> bool {
        if self.topics.get(topic).is_some_and(|ticks| enough(ticks)) {
            return true;
        }
        while let Some(made) = self.make() {
            if made == *topic && enough(&self.topics[topic]) {
                return true;
            }
        }
        false
    }

    /// The tick number `nth` of a topic, counted from 0.
    fn nth(&mut self, topic: &Topic, nth: u64) -> Option<&Placed> {
        let nth = usize::try_from(nth).ok()?;
        self.make_until(topic, |ticks| ticks.len() > nth).then(|| &self.topics[topic][nth])
    }

    /// Which tick of its topic this is, counted from 0.
    fn find(&mut self, tick: &Tick) -> Option<u64> {
        let topic = topic_of(tick);
        let _made = self.make_until(&topic, |ticks| {
            ticks.last().is_some_and(|placed| placed.tick.time > tick.time)
        });
        let ticks = self.topics.get(&topic)?;
        let first = ticks.partition_point(|placed| placed.tick.time < tick.time);
        let at = ticks[first..].iter().position(|placed| same(&placed.tick, tick))?;
        Some((first + at) as u64)
    }
}

/// Whether two ticks are one but for the number.
fn same(one: &Tick, other: &Tick) -> bool {
    one.symbol == other.symbol && one.time == other.time && one.data == other.data
}

/// The numbers of an epoch, laid beside the truth. All topics of an epoch begin at the same place of
/// the market, which is learned from ticks: each topic narrows down where it can be.
#[derive(Debug)]
pub(crate) struct Epoch {
    /// Places at which the epoch may have begun.
    begins: Range<u64>,
    /// Ticks of the topic before the epoch.
    offsets: HashMap<Topic, u64>,
    /// The place of a tick less its position: the same for all.
    shift: Option<i128>,
    /// The last place that was seen, counted from 1.
    seen: u64,
}

/// How a tick differs from the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Difference {
    /// It is not in the market at all.
    Unknown,
    /// Another tick has this number.
    Other {
        /// What should have come; `None`: the market has no such tick.
        expected: Option<Box<Tick>>,
    },
    /// The epoch began elsewhere, by the ticks of other topics.
    Shifted {
        /// Where it may have begun.
        begins: Range<u64>,
        /// Where it began by this tick.
        by_this: Range<u64>,
    },
}

impl Epoch {
    /// The first epoch: numbers and market begin together.
    pub(crate) fn first() -> Self {
        Self::begun(0..1)
    }

    /// An epoch that began somewhere in the market.
    pub(crate) fn later() -> Self {
        Self::begun(0..u64::MAX)
    }

    fn begun(begins: Range<u64>) -> Self {
        Self { begins, offsets: HashMap::new(), shift: None, seen: 0 }
    }

    /// Compares a tick with the truth; its place in the market.
    pub(crate) fn place(&mut self, truth: &mut Truth, tick: &Tick) -> Result<u64, Difference> {
        let topic = topic_of(tick);
        let offset = match self.offsets.get(&topic) {
            Some(offset) => *offset,
            None => self.learn(truth, tick)?,
        };
        let nth = (offset + tick.seq.0).checked_sub(1);
        match nth.and_then(|nth| truth.nth(&topic, nth)) {
            Some(placed) if same(&placed.tick, tick) => {
                self.seen = self.seen.max(placed.place + 1);
                Ok(placed.place)
            }
            other => {
                let expected = other.map(|placed| Box::new(placed.tick.clone()));
                Err(Difference::Other { expected })
            }
        }
    }

    /// How many ticks of a topic the market had before the epoch.
    fn learn(&mut self, truth: &mut Truth, tick: &Tick) -> Result<u64, Difference> {
        let topic = topic_of(tick);
        if self.begins == (0..1) {
            return Ok(*self.offsets.entry(topic).or_insert(0)); // so that even the first tick is compared
        }
        let nth = truth.find(tick).ok_or(Difference::Unknown)?;
        let offset = (nth + 1).checked_sub(tick.seq.0).ok_or(Difference::Unknown)?;
        let before = offset.checked_sub(1).and_then(|last| truth.nth(&topic, last));
        let after_it = before.map_or(0, |placed| placed.place + 1);
        let first = truth.nth(&topic, offset).map_or(u64::MAX, |placed| placed.place + 1);
        let by_this = after_it..first;
        let both = self.begins.start.max(by_this.start)..self.begins.end.min(by_this.end);
        if both.is_empty() {
            return Err(Difference::Shifted { begins: self.begins.clone(), by_this });
        }
        self.begins = both;
        self.offsets.insert(topic, offset);
        Ok(offset)
    }

    /// Compares a position with the place of its tick; the position it should have been otherwise.
    /// Only where the hub makes no ticks of its own.
    pub(crate) fn position(&mut self, place: u64, position: u64) -> Result<(), i128> {
        let here = i128::from(place) - i128::from(position);
        match *self.shift.get_or_insert(here) {
            shift if shift == here => Ok(()),
            shift => Err(i128::from(place) - shift),
        }
    }

    /// The earliest place at which it may have begun.
    pub(crate) const fn begins_at_least(&self) -> u64 {
        self.begins.start
    }

    /// How many ticks of the market there were at the last one that was seen.
    pub(crate) const fn seen(&self) -> u64 {
        self.seen
    }
}

#[cfg(test)]
mod tests {
    use tickwire_protocol::Seq;

    use super::*;

    fn config() -> SimConfig {
        SimConfig { symbols: 20, ticks_max: Some(5_000), ..SimConfig::default() }
    }

    /// The market numbered as a hub would that met it at its tick number `begin`.
    fn numbered(begin: usize) -> Vec<Tick> {
        let mut seqs: HashMap<Topic, u64> = HashMap::new();
        let number = |mut tick: Tick| {
            let seq = seqs.entry(topic_of(&tick)).or_default();
            *seq += 1;
            tick.seq = Seq(*seq);
            tick
        };
        Simulator::new(config()).skip(begin).map(number).collect()
    }

    #[test]
    fn ticks_of_the_first_epoch_are_found_in_their_places() {
        let (mut truth, mut epoch) = (Truth::new(config()), Epoch::first());
        for (place, tick) in numbered(0).iter().enumerate() {
            assert_eq!(epoch.place(&mut truth, tick), Ok(place as u64));
            assert_eq!(epoch.position(place as u64, place as u64 + 1), Ok(()));
        }
        assert_eq!(epoch.seen(), 5_000);
        assert_eq!(epoch.position(7, 9), Err(8));
    }

    #[test]
    fn an_epoch_that_begins_anywhere_is_learned_from_any_ticks() {
        let (mut truth, mut epoch) = (Truth::new(config()), Epoch::later());
        for (index, tick) in numbered(1_234).iter().enumerate().skip(500) {
            assert_eq!(epoch.place(&mut truth, tick), Ok(1_234 + index as u64));
        }
        assert_eq!(epoch.begins_at_least(), 1_234);
    }

    #[test]
    fn a_wrong_number_or_field_is_told() {
        let (mut truth, mut epoch) = (Truth::new(config()), Epoch::first());
        let ticks = numbered(0);
        let wrong_number = Tick { seq: Seq(2), ..ticks[0].clone() };
        let told = epoch.place(&mut truth, &wrong_number);
        assert!(matches!(told, Err(Difference::Other { expected: Some(_) })), "{told:?}");
        let wrong_time = Tick { time: ticks[1].time, ..ticks[0].clone() };
        let expected = Some(Box::new(Tick { seq: Seq(0), ..ticks[0].clone() }));
        let told = epoch.place(&mut truth, &wrong_time);
        assert_eq!(told, Err(Difference::Other { expected }));
        let beyond = Tick { seq: Seq(1_000_000), ..ticks[0].clone() };
        let told = epoch.place(&mut truth, &beyond);
        assert_eq!(told, Err(Difference::Other { expected: None }));
    }

    #[test]
    fn a_tick_lost_between_topics_of_a_later_epoch_is_told() {
        let (mut truth, mut epoch) = (Truth::new(config()), Epoch::later());
        let ticks = numbered(1_000);
        // The first of a topic, but not of all: otherwise the epoch may have begun one tick later.
        let at = (20..).find(|at| ticks[*at].seq == Seq(1)).unwrap();
        let lost = topic_of(&ticks[at]);
        let renumber = |tick: &Tick| match topic_of(tick) == lost {
            true => Tick { seq: Seq(tick.seq.0 - 1), ..tick.clone() },
            false => tick.clone(),
        };
        let told = ticks[at + 1..].iter().map(renumber).find_map(|tick| {
            epoch.place(&mut truth, &tick).err() // as if that tick had never been numbered
        });
        assert!(matches!(told, Some(Difference::Shifted { .. })), "{told:?}");
    }
}
