//! The expected ticks: computes the feeder's simulated market a second time, from the same seed.
//! Tick number k of a topic must be the k-th tick of that topic in the market.

use std::collections::HashMap;
use std::ops::Range;

use tickwire_feeder::{SimConfig, Simulator};
use tickwire_protocol::{Channel, Symbol, Tick};

/// A channel and a symbol.
pub(crate) type Topic = (Channel, Symbol);

/// Returns the topic of a tick.
pub(crate) const fn topic_of(tick: &Tick) -> Topic {
    (tick.channel(), tick.symbol)
}

/// Formats a topic for messages.
pub(crate) fn named((channel, symbol): &Topic) -> String {
    format!("{symbol} {channel}")
}

/// A tick and its index among all ticks of the market, counted from 0.
#[derive(Debug)]
struct MarketTick {
    index: u64,
    tick: Tick,
}

/// The simulated market, generated as far as clients have asked for.
#[derive(Debug)]
pub(crate) struct Oracle {
    market: Simulator,
    topics: HashMap<Topic, Vec<MarketTick>>,
    generated: u64,
}

impl Oracle {
    /// Creates the market of a feeder with this configuration, which must limit the number of
    /// ticks: the search for a number that does not exist generates the whole market.
    pub(crate) fn new(config: SimConfig) -> Self {
        Self { market: Simulator::new(config), topics: HashMap::new(), generated: 0 }
    }

    /// Returns the symbols of the market, the most active first.
    pub(crate) fn symbols(&self) -> Vec<Symbol> {
        self.market.symbols().collect()
    }

    /// Generates the next tick and returns its topic, or `None` at the end of the market.
    fn generate(&mut self) -> Option<Topic> {
        let tick = self.market.next()?;
        let topic = topic_of(&tick);
        self.topics.entry(topic).or_default().push(MarketTick { index: self.generated, tick });
        self.generated += 1;
        Some(topic)
    }

    /// Generates ticks until a topic has enough of them. Returns false if the market ends before.
    fn generate_until(&mut self, topic: &Topic, enough: impl Fn(&[MarketTick]) -> bool) -> bool {
        if self.topics.get(topic).is_some_and(|ticks| enough(ticks)) {
            return true;
        }
        while let Some(generated) = self.generate() {
            if generated == *topic && enough(&self.topics[topic]) {
                return true;
            }
        }
        false
    }

    /// Returns tick number `nth` of a topic, counted from 0.
    fn nth(&mut self, topic: &Topic, nth: u64) -> Option<&MarketTick> {
        let nth = usize::try_from(nth).ok()?;
        self.generate_until(topic, |ticks| ticks.len() > nth).then(|| &self.topics[topic][nth])
    }

    /// Returns the number of a tick within its topic, counted from 0.
    fn find(&mut self, tick: &Tick) -> Option<u64> {
        let topic = topic_of(tick);
        let _found = self.generate_until(&topic, |ticks| {
            ticks.last().is_some_and(|market_tick| market_tick.tick.time > tick.time)
        });
        let ticks = self.topics.get(&topic)?;
        let first = ticks.partition_point(|market_tick| market_tick.tick.time < tick.time);
        let at = ticks[first..].iter().position(|market_tick| same(&market_tick.tick, tick))?;
        Some((first + at) as u64)
    }
}

/// Returns whether two ticks are equal except for their sequence numbers.
fn same(one: &Tick, other: &Tick) -> bool {
    one.symbol == other.symbol && one.time == other.time && one.data == other.data
}

/// How the sequence numbers and positions of an epoch relate to the market. All topics of an epoch
/// start at the same index of the market. That index is inferred from ticks: the first tick of each
/// topic narrows its range.
#[derive(Debug)]
pub(crate) struct EpochAlignment {
    /// Market indexes at which the epoch may have started.
    start: Range<u64>,
    /// Number of ticks of each topic before the epoch.
    offsets: HashMap<Topic, u64>,
    /// Market index of a tick minus its position, which is the same for all ticks.
    position_offset: Option<i128>,
    /// Number of market ticks up to the last one that a client received.
    seen: u64,
}

/// How a received tick differs from the market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Difference {
    /// The market has no such tick.
    NotPublished,
    /// The market has another tick with this sequence number.
    OtherTick {
        /// The expected tick; `None` if the market has none with this number.
        expected: Option<Box<Tick>>,
    },
    /// The tick implies another start of the epoch than the ticks of other topics.
    OtherStart {
        /// Possible starts by the other topics.
        start: Range<u64>,
        /// Possible starts by this tick.
        start_by_tick: Range<u64>,
    },
}

impl EpochAlignment {
    /// Creates the first epoch, which starts with the first tick of the market.
    pub(crate) fn first() -> Self {
        Self::starting_within(0..1)
    }

    /// Creates an epoch that starts at an unknown index of the market.
    pub(crate) fn later() -> Self {
        Self::starting_within(0..u64::MAX)
    }

    fn starting_within(start: Range<u64>) -> Self {
        Self { start, offsets: HashMap::new(), position_offset: None, seen: 0 }
    }

    /// Compares a tick with the market and returns its index there.
    pub(crate) fn locate(&mut self, oracle: &mut Oracle, tick: &Tick) -> Result<u64, Difference> {
        let topic = topic_of(tick);
        let offset = match self.offsets.get(&topic) {
            Some(offset) => *offset,
            None => self.learn_offset(oracle, tick)?,
        };
        let nth = (offset + tick.seq.0).checked_sub(1);
        match nth.and_then(|nth| oracle.nth(&topic, nth)) {
            Some(market_tick) if same(&market_tick.tick, tick) => {
                self.seen = self.seen.max(market_tick.index + 1);
                Ok(market_tick.index)
            }
            other => {
                let expected = other.map(|market_tick| Box::new(market_tick.tick.clone()));
                Err(Difference::OtherTick { expected })
            }
        }
    }

    /// Infers from a topic's first tick how many ticks of it the market had before the epoch.
    fn learn_offset(&mut self, oracle: &mut Oracle, tick: &Tick) -> Result<u64, Difference> {
        let topic = topic_of(tick);
        if self.start == (0..1) {
            // Nothing to infer, so even the first tick of each topic is compared.
            return Ok(*self.offsets.entry(topic).or_insert(0));
        }
        let nth = oracle.find(tick).ok_or(Difference::NotPublished)?;
        let offset = (nth + 1).checked_sub(tick.seq.0).ok_or(Difference::NotPublished)?;
        let before = offset.checked_sub(1).and_then(|last| oracle.nth(&topic, last));
        let after_previous = before.map_or(0, |market_tick| market_tick.index + 1);
        let first =
            oracle.nth(&topic, offset).map_or(u64::MAX, |market_tick| market_tick.index + 1);
        let start_by_tick = after_previous..first;
        let both = self.start.start.max(start_by_tick.start)..self.start.end.min(start_by_tick.end);
        if both.is_empty() {
            return Err(Difference::OtherStart { start: self.start.clone(), start_by_tick });
        }
        self.start = both;
        self.offsets.insert(topic, offset);
        Ok(offset)
    }

    /// Compares a position with the market index of its tick; the error is the expected position.
    /// Requires a hub that adds no ticks, such as bars: positions must count market ticks only.
    pub(crate) fn position(&mut self, index: u64, position: u64) -> Result<(), i128> {
        let here = i128::from(index) - i128::from(position);
        match *self.position_offset.get_or_insert(here) {
            position_offset if position_offset == here => Ok(()),
            position_offset => Err(i128::from(index) - position_offset),
        }
    }

    /// Returns the earliest market index at which the epoch may have started.
    pub(crate) const fn earliest_start(&self) -> u64 {
        self.start.start
    }

    /// Returns the number of market ticks up to the last one that a client received.
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

    /// Numbers the market like a hub whose epoch starts at index `begin`.
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
    fn ticks_of_the_first_epoch_have_their_market_index() {
        let mut oracle = Oracle::new(config());
        let mut epoch = EpochAlignment::first();
        for (index, tick) in numbered(0).iter().enumerate() {
            assert_eq!(epoch.locate(&mut oracle, tick), Ok(index as u64));
            assert_eq!(epoch.position(index as u64, index as u64 + 1), Ok(()));
        }
        assert_eq!(epoch.seen(), 5_000);
        assert_eq!(epoch.position(7, 9), Err(8));
    }

    #[test]
    fn start_of_a_later_epoch_is_inferred_from_any_ticks() {
        let mut oracle = Oracle::new(config());
        let mut epoch = EpochAlignment::later();
        for (index, tick) in numbered(1_234).iter().enumerate().skip(500) {
            assert_eq!(epoch.locate(&mut oracle, tick), Ok(1_234 + index as u64));
        }
        assert_eq!(epoch.earliest_start(), 1_234);
    }

    #[test]
    fn wrong_seq_or_field_is_reported() {
        let mut oracle = Oracle::new(config());
        let mut epoch = EpochAlignment::first();
        let ticks = numbered(0);
        let wrong_number = Tick { seq: Seq(2), ..ticks[0].clone() };
        let result = epoch.locate(&mut oracle, &wrong_number);
        assert!(matches!(result, Err(Difference::OtherTick { expected: Some(_) })), "{result:?}");
        let wrong_time = Tick { time: ticks[1].time, ..ticks[0].clone() };
        let expected = Some(Box::new(Tick { seq: Seq(0), ..ticks[0].clone() }));
        let result = epoch.locate(&mut oracle, &wrong_time);
        assert_eq!(result, Err(Difference::OtherTick { expected }));
        let beyond = Tick { seq: Seq(1_000_000), ..ticks[0].clone() };
        let result = epoch.locate(&mut oracle, &beyond);
        assert_eq!(result, Err(Difference::OtherTick { expected: None }));
    }

    #[test]
    fn tick_lost_at_the_start_of_a_topic_is_reported() {
        let mut oracle = Oracle::new(config());
        let mut epoch = EpochAlignment::later();
        let ticks = numbered(1_000);
        // Not the first tick of the epoch: without that one, the epoch could have started one
        // later.
        let at = (20..).find(|at| ticks[*at].seq == Seq(1)).unwrap();
        let lost = topic_of(&ticks[at]);
        let renumber = |tick: &Tick| match topic_of(tick) == lost {
            true => Tick { seq: Seq(tick.seq.0 - 1), ..tick.clone() },
            false => tick.clone(),
        };
        let result = ticks[at + 1..].iter().map(renumber).find_map(|tick| {
            epoch.locate(&mut oracle, &tick).err() // like a hub that never numbered that tick
        });
        assert!(matches!(result, Some(Difference::OtherStart { .. })), "{result:?}");
    }
}
