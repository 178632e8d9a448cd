//! One instrument: its random walk, quotes and trades.

use tickwire_protocol::{Price, Quote, Seq, Symbol, Text, Tick, TickData, Trade, UnixNanos};

use super::codes::{self, Codes};
use super::listing::Listing;
use super::random::Random;

/// Length of a trading year in nanoseconds: 252 days of 6.5 hours. Volatility is stated per year.
const YEAR_NS: f64 = 252.0 * 6.5 * 3_600.0 * 1e9;
/// Price steps: cents from one dollar on, hundredths of a cent below.
const DOLLAR: i64 = Price::SCALE;
const CENT: i64 = Price::SCALE / 100;
const HUNDREDTH_CENT: i64 = CENT / 100;
/// Shares in a round lot.
const LOT: u64 = 100;
/// Greatest factor between a price and the initial price. The limit keeps prices plausible in a
/// market that runs for months.
const DRIFT_MAX: f64 = 4.0;

/// An instrument. Prices are in units of 1e-9: integers in quotes and trades, floats in the walk.
#[derive(Debug)]
pub(super) struct Instrument {
    symbol: Symbol,
    tape: Text,
    origin: f64,
    fair: f64,
    /// Standard deviation of the walk after one nanosecond, as a fraction of the price.
    volatility: f64,
    /// Distance of bid and ask from the price of the walk, as a fraction of that price.
    half_spread: f64,
    /// The current bid, and below it the ask. Invariant: both are 0 before the first quote, then 0
    /// < bid < ask.
    bid: i64,
    ask: i64,
    quoted_at_ns: f64,
    trades: u64,
}

impl Instrument {
    /// Creates an instrument. `rank` is 0 for the most active instrument and 1 for the least;
    /// spreads widen with it.
    pub(super) fn new(listing: &Listing, rank: f64, random: &mut Random) -> Self {
        let cheap = random.chance(0.05);
        let chance = random.unit();
        let made_up = if cheap { 0.1 + 0.8 * chance } else { 2.0 + 300.0 * chance * chance };
        let origin = listing.price.unwrap_or(made_up) * Price::SCALE as f64;
        let yearly = 0.15 + 0.6 * random.unit() * random.unit() + 0.3 * rank;
        Self {
            symbol: listing.symbol,
            tape: codes::text(listing.tape.encode_utf8(&mut [0; 4])),
            origin,
            fair: origin,
            volatility: yearly / YEAR_NS.sqrt(),
            half_spread: 0.000_02 + 0.003 * rank * random.unit(),
            bid: 0,
            ask: 0,
            quoted_at_ns: 0.0,
            trades: 0,
        }
    }

    pub(super) fn symbol(&self) -> Symbol {
        self.symbol
    }

    pub(super) fn has_quote(&self) -> bool {
        self.bid > 0
    }

    /// Advances the walk and makes a new quote.
    pub(super) fn quote(
        &mut self,
        time: UnixNanos,
        elapsed_ns: f64,
        codes: &Codes,
        random: &mut Random,
    ) -> Tick {
        let walked = (elapsed_ns - self.quoted_at_ns).sqrt() * self.volatility * random.normal();
        self.quoted_at_ns = elapsed_ns;
        self.fair =
            (self.fair * (1.0 + walked)).clamp(self.origin / DRIFT_MAX, self.origin * DRIFT_MAX);
        // While the fair price stays between bid and ask, often only the sizes change.
        let inside = (self.bid as f64..self.ask as f64).contains(&self.fair);
        if !inside || random.chance(0.4) {
            let half = self.fair * self.half_spread * (0.5 + random.unit());
            let bid = whole(self.fair - half);
            self.bid = (bid - bid % grid(bid)).max(HUNDREDTH_CENT);
            let ask = whole(self.fair + half).max(self.bid + 1);
            self.ask = ask + (grid(ask) - ask % grid(ask)) % grid(ask);
        }
        self.tick(
            time,
            TickData::Quote(Quote {
                bid_exchange: codes.quote_exchange(random),
                bid: price(self.bid),
                bid_size: quote_size(random),
                ask_exchange: codes.quote_exchange(random),
                ask: price(self.ask),
                ask_size: quote_size(random),
                conditions: codes.quote_conditions(),
                tape: self.tape.clone(),
            }),
        )
    }

    /// Makes a trade at or between bid and ask. Requires a quote.
    pub(super) fn trade(&mut self, time: UnixNanos, codes: &Codes, random: &mut Random) -> Tick {
        let side = random.chance(0.5);
        let inside = random.chance(0.12);
        let (at, exchange) = if inside {
            // A midpoint trade, in hundredths of a cent; these are reported off exchange.
            let middle = self.bid + (self.ask - self.bid) / 2;
            (middle - middle % HUNDREDTH_CENT, codes.off_exchange())
        } else {
            (if side { self.ask } else { self.bid }, codes.trade_exchange(random))
        };
        // A purchase at the ask moves the price up slightly, a sale at the bid moves it down.
        let push = if inside { 0.0 } else { 0.2 * (self.ask - self.bid) as f64 };
        self.fair += if side { push } else { -push };
        self.trades += 1;
        let size = trade_size(random);
        self.tick(
            time,
            TickData::Trade(Trade {
                id: self.trades,
                exchange,
                price: price(at),
                size,
                conditions: codes.sale_conditions(&self.tape, size < LOT, random),
                tape: self.tape.clone(),
            }),
        )
    }

    fn tick(&self, time: UnixNanos, data: TickData) -> Tick {
        Tick { symbol: self.symbol, seq: Seq(0), time, data }
    }
}

/// Returns the price step at this price.
fn grid(price: i64) -> i64 {
    if price >= DOLLAR { CENT } else { HUNDREDTH_CENT }
}

fn quote_size(random: &mut Random) -> u64 {
    LOT * random.geometric(3.0)
}

/// Chooses the size of a trade; almost half of all trades are odd lots.
fn trade_size(random: &mut Random) -> u64 {
    match random.below(100) {
        0..45 => 1 + random.below(LOT - 1),
        45..92 => LOT * random.geometric(1.6),
        92..99 => LOT * random.geometric(3.0) + random.below(LOT),
        _ => LOT * random.geometric(40.0),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the walk stays far below 2^53")]
fn whole(price: f64) -> i64 {
    price as i64
}

fn price(nanos: i64) -> Price {
    Price::from_nanos(nanos).expect("the walk stays below 4 times the highest ticker")
}
