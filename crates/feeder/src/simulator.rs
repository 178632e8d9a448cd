//! A simulated market, determined by its seed.
//!
//! Activity comes in bursts. A burst picks an instrument, with a heavy-tailed distribution, and
//! emits quotes and trades of it in close succession. Prices follow random walks with a volatility
//! per instrument; quotes surround the price, and trades occur at or between the quotes.

mod activity;
mod codes;
mod instrument;
mod listing;
mod random;

use std::time::Duration;

use tickwire_protocol::{Symbol, Tick, UnixNanos};

use crate::{Source, SourceError, identity};
use activity::Activity;
use codes::Codes;
use instrument::Instrument;
use random::Random;

/// Settings of a simulated market. Equal settings yield equal ticks.
#[derive(Debug, Clone, PartialEq)]
pub struct SimConfig {
    /// Number of instruments, 1 to [`SimConfig::SYMBOLS_MAX`]. Real tickers come first.
    pub symbols: usize,
    /// Ticks per second of all instruments together, above 0 and at most [`SimConfig::RATE_MAX`].
    pub rate: f64,
    /// Seed of the random generator.
    pub seed: u64,
    /// Time at which the market opens. The event time of the first tick is later.
    pub start: UnixNanos,
    /// Number of ticks after which the market ends; `None` for no limit.
    pub ticks_max: Option<u64>,
    /// Market time after which the market ends; `None` for no limit.
    pub duration: Option<Duration>,
}

impl SimConfig {
    /// Maximum number of instruments.
    pub const SYMBOLS_MAX: usize = 100_000;
    /// Maximum number of ticks per second.
    pub const RATE_MAX: f64 = 10_000_000.0;
    /// Default opening time: 2026-01-02T14:30:00Z.
    pub const START: UnixNanos = UnixNanos(1_767_364_200_000_000_000);
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            symbols: 500,
            rate: 5_000.0,
            seed: 42,
            start: Self::START,
            ticks_max: None,
            duration: None,
        }
    }
}

/// Ticks per burst, on average.
const BURST_TICKS: f64 = 4.0;
/// Time between two ticks of a burst, as a fraction of the mean time between ticks.
const BURST_GAP: f64 = 0.1;
/// Fraction of trades among the ticks of an instrument with a quote: three quotes per trade.
const TRADES: f64 = 0.25;

/// The simulated market: an iterator of ticks in order of time. It reads no clock.
///
/// ```
/// use tickwire_feeder::{SimConfig, Simulator};
///
/// let config = SimConfig { seed: 7, ticks_max: Some(1_000), ..SimConfig::default() };
/// let market: Vec<_> = Simulator::new(config.clone()).collect();
/// assert_eq!(market.len(), 1_000);
/// assert!(market.iter().eq(&Simulator::new(config).collect::<Vec<_>>()));
/// ```
#[derive(Debug)]
pub struct Simulator {
    config: SimConfig,
    random: Random,
    activity: Activity,
    instruments: Vec<Instrument>,
    codes: Codes,
    /// Market time in nanoseconds. A float, since the mean time between ticks need not be a whole
    /// number of nanoseconds.
    elapsed_ns: f64,
    ticks: u64,
    burst: Burst,
}

/// A run of ticks of one instrument in close succession.
#[derive(Debug, Default)]
struct Burst {
    instrument: usize,
    left: u64,
}

impl Simulator {
    /// Opens the market. Numbers of symbols and rates beyond their limits are clamped.
    #[must_use]
    pub fn new(config: SimConfig) -> Self {
        let config = SimConfig {
            symbols: config.symbols.clamp(1, SimConfig::SYMBOLS_MAX),
            rate: config.rate.clamp(1e-6, SimConfig::RATE_MAX),
            ..config
        };
        let mut random = Random::new(config.seed);
        let count = config.symbols;
        let instruments: Vec<_> = listing::listings(count)
            .enumerate()
            .map(|(rank, listing)| {
                Instrument::new(&listing, rank as f64 / count as f64, &mut random)
            })
            .collect();
        Self {
            random,
            activity: Activity::new(count),
            instruments,
            codes: Codes::new(),
            elapsed_ns: 0.0,
            ticks: 0,
            burst: Burst::default(),
            config,
        }
    }

    /// Returns the symbols, most active first.
    pub fn symbols(&self) -> impl Iterator<Item = Symbol> {
        self.instruments.iter().map(Instrument::symbol)
    }

    /// Chooses the instrument of the next tick, and advances the time to it.
    fn advance(&mut self) -> usize {
        let gap = if self.burst.left == 0 {
            self.burst.instrument = self.activity.pick(&mut self.random);
            self.burst.left = self.random.geometric(BURST_TICKS);
            // The pause is long enough for bursts and pauses together to keep the rate.
            BURST_TICKS - (BURST_TICKS - 1.0) * BURST_GAP
        } else {
            BURST_GAP
        };
        self.burst.left -= 1;
        self.elapsed_ns += gap * 2.0 * self.random.unit() * 1e9 / self.config.rate;
        self.burst.instrument
    }

    /// Returns the market time since the opening.
    fn elapsed(&self) -> Duration {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "not negative, and floats beyond the range of an integer become its largest"
        )]
        Duration::from_nanos(self.elapsed_ns as u64)
    }
}

impl Iterator for Simulator {
    type Item = Tick;

    fn next(&mut self) -> Option<Tick> {
        if self.config.ticks_max.is_some_and(|most| self.ticks >= most) {
            return None;
        }
        let index = self.advance();
        let elapsed = self.elapsed();
        if self.config.duration.is_some_and(|most| elapsed > most) {
            self.config.ticks_max = Some(self.ticks);
            return None;
        }
        let time = self.config.start + elapsed;
        let instrument = &mut self.instruments[index];
        self.ticks += 1;
        Some(if instrument.has_quote() && self.random.chance(TRADES) {
            instrument.trade(time, &self.codes, &mut self.random)
        } else {
            instrument.quote(time, self.elapsed_ns, &self.codes, &mut self.random)
        })
    }
}

impl Source for Simulator {
    fn next_tick(&mut self) -> Result<Option<Tick>, SourceError> {
        Ok(self.next())
    }

    fn rewind(&mut self) -> Result<bool, SourceError> {
        *self = Self::new(self.config.clone());
        Ok(true)
    }

    fn identity(&self) -> u64 {
        let SimConfig { symbols, rate, seed, .. } = self.config;
        identity::of([&b"simulator"[..], format!("{symbols} {rate} {seed}").as_bytes()])
    }

    fn fraction_done(&self) -> Option<f64> {
        let by_ticks = self.config.ticks_max.map(|most| self.ticks as f64 / most.max(1) as f64);
        let by_time =
            self.config.duration.map(|most| self.elapsed_ns / most.as_nanos().max(1) as f64);
        match (by_ticks, by_time) {
            (Some(ticks), Some(time)) => Some(ticks.max(time)),
            (either, other) => either.or(other),
        }
    }
}

#[cfg(test)]
mod tests;
