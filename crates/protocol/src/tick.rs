//! Ticks: the events of a topic.
//!
//! The key of each field on the wire stands at the beginning of its comment.
//! `docs/protocol/ticks.md` lists the fields in the order of the MessagePack array, with examples
//! of each kind. The keys are those of Alpaca's stock stream
//! (<https://docs.alpaca.markets/docs/real-time-stock-pricing-data>), plus `seq`.

use crate::{Channel, Conditions, Price, Symbol, Text, UnixNanos};

/// Sequence number of a tick within its topic: contiguous from 1 during an epoch of the hub. It is
/// 0 until the hub has numbered the tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub u64);

/// One event of one topic, such as a trade of AAPL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// `S`: the instrument.
    pub symbol: Symbol,
    /// `seq`: sequence number within the topic.
    pub seq: Seq,
    /// `t`: when the event happened; for a bar, when its interval began.
    pub time: UnixNanos,
    /// The fields that depend on the kind of tick.
    pub data: TickData,
}

impl Tick {
    /// Returns the channel that the tick belongs to.
    #[must_use]
    pub const fn channel(&self) -> Channel {
        self.data.channel()
    }
}

/// The fields that depend on the kind of tick; the kind itself is the field `T`. Rare kinds are
/// boxed so that they do not enlarge the common ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TickData {
    /// A trade; `T` is `t`.
    Trade(Trade),
    /// A quote; `T` is `q`.
    Quote(Quote),
    /// A bar of one minute; `T` is `b`.
    Bar(Bar),
    /// A minute bar that late trades have changed; `T` is `u`.
    UpdatedBar(Bar),
    /// A bar of one trading day; `T` is `d`.
    DailyBar(Bar),
    /// A trading status; `T` is `s`.
    Status(Box<Status>),
    /// Limit-up limit-down price bands; `T` is `l`.
    Luld(Luld),
    /// An order imbalance; `T` is `i`.
    Imbalance(Imbalance),
    /// A correction of a trade; `T` is `c`.
    Correction(Box<Correction>),
    /// A trade that was cancelled or in error; `T` is `x`.
    CancelError(Box<CancelError>),
}

impl TickData {
    /// Returns the channel of this kind of tick.
    #[must_use]
    pub const fn channel(&self) -> Channel {
        match self {
            Self::Trade(_) => Channel::Trades,
            Self::Quote(_) => Channel::Quotes,
            Self::Bar(_) => Channel::Bars,
            Self::UpdatedBar(_) => Channel::UpdatedBars,
            Self::DailyBar(_) => Channel::DailyBars,
            Self::Status(_) => Channel::Statuses,
            Self::Luld(_) => Channel::Lulds,
            Self::Imbalance(_) => Channel::Imbalances,
            Self::Correction(_) => Channel::Corrections,
            Self::CancelError(_) => Channel::CancelErrors,
        }
    }
}

/// A trade: an execution reported by an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trade {
    /// `i`: trade id, given by the exchange.
    pub id: u64,
    /// `x`: code of the exchange.
    pub exchange: Text,
    /// `p`: price per share.
    pub price: Price,
    /// `s`: size in shares.
    pub size: u64,
    /// `c`: condition codes of the sale.
    pub conditions: Conditions,
    /// `z`: tape: which consolidated feed reported the event (`A`, `B` or `C`).
    pub tape: Text,
}

/// A quote: the best bid and the best ask. A price of 0 means that there is no bid, or no ask.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quote {
    /// `bx`: code of the exchange of the bid.
    pub bid_exchange: Text,
    /// `bp`: bid price per share.
    pub bid: Price,
    /// `bs`: size of the bid in shares.
    pub bid_size: u64,
    /// `ax`: code of the exchange of the ask.
    pub ask_exchange: Text,
    /// `ap`: ask price per share.
    pub ask: Price,
    /// `as`: size of the ask in shares.
    pub ask_size: u64,
    /// `c`: condition codes of the quote.
    pub conditions: Conditions,
    /// `z`: tape: which consolidated feed reported the event (`A`, `B` or `C`).
    pub tape: Text,
}

/// A minute bar, an updated bar or a daily bar: a summary of the trades of an interval. The tick's
/// time is the start of the interval.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bar {
    /// `o`: opening price: that of the first trade.
    pub open: Price,
    /// `h`: highest price of a trade.
    pub high: Price,
    /// `l`: lowest price of a trade.
    pub low: Price,
    /// `c`: closing price: that of the last trade.
    pub close: Price,
    /// `v`: volume: number of shares traded.
    pub volume: u64,
    /// `n`: number of trades.
    pub trades: u64,
    /// `vw`: volume-weighted average price.
    pub vwap: Price,
}

/// A change of the trading status of an instrument, such as a halt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// `sc`: status code.
    pub code: Text,
    /// `sm`: text for the status code.
    pub message: Text,
    /// `rc`: reason code.
    pub reason_code: Text,
    /// `rm`: text for the reason code.
    pub reason: Text,
    /// `z`: tape: which consolidated feed reported the event (`A`, `B` or `C`).
    pub tape: Text,
}

/// Limit-up limit-down price bands of an instrument.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Luld {
    /// `u`: upper price limit.
    pub limit_up: Price,
    /// `d`: lower price limit.
    pub limit_down: Price,
    /// `i`: indicator: a code for the state of the bands.
    pub indicator: Text,
    /// `z`: tape: which consolidated feed reported the event (`A`, `B` or `C`).
    pub tape: Text,
}

/// An order imbalance of an auction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imbalance {
    /// `p`: price per share of the auction.
    pub price: Price,
    /// `z`: tape: which consolidated feed reported the event (`A`, `B` or `C`).
    pub tape: Text,
}

/// A correction of a trade: the trade as it was reported, and the corrected one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Correction {
    /// `x`: code of the exchange.
    pub exchange: Text,
    /// `oi`: original trade id.
    pub original_id: u64,
    /// `op`: original price per share.
    pub original_price: Price,
    /// `os`: original size in shares.
    pub original_size: u64,
    /// `oc`: original condition codes.
    pub original_conditions: Conditions,
    /// `ci`: corrected trade id.
    pub corrected_id: u64,
    /// `cp`: corrected price per share.
    pub corrected_price: Price,
    /// `cs`: corrected size in shares.
    pub corrected_size: u64,
    /// `cc`: corrected condition codes.
    pub corrected_conditions: Conditions,
    /// `z`: tape: which consolidated feed reported the event (`A`, `B` or `C`).
    pub tape: Text,
}

/// A trade that was cancelled, or that was reported in error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CancelError {
    /// `i`: id of the trade that is withdrawn.
    pub id: u64,
    /// `x`: code of the exchange.
    pub exchange: Text,
    /// `p`: price of that trade per share.
    pub price: Price,
    /// `s`: size of that trade in shares.
    pub size: u64,
    /// `a`: `C` if the trade was cancelled, `E` if it was reported in error.
    pub action: Text,
    /// `z`: tape: which consolidated feed reported the event (`A`, `B` or `C`).
    pub tape: Text,
}
