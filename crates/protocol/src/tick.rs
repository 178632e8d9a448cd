//! A tick: one event of one topic.

use crate::{Channel, Conditions, Price, Symbol, Text, UnixNanos};

/// Number of a tick within its topic, contiguous from 1; 0 while the hub has not numbered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub u64);

/// One event of one topic, with its event time.
///
/// Field names follow the public stock stream; the letters of the wire stand at each field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// `S`: the instrument.
    pub symbol: Symbol,
    /// `seq`: number within the topic.
    pub seq: Seq,
    /// `t`: when it happened.
    pub time: UnixNanos,
    /// What happened.
    pub data: TickData,
}

impl Tick {
    /// The channel this tick belongs to.
    #[must_use]
    pub const fn channel(&self) -> Channel {
        self.data.channel()
    }
}

/// What happened, by channel. Rare kinds are boxed so that they do not make the common ones large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TickData {
    /// `t`
    Trade(Trade),
    /// `q`
    Quote(Quote),
    /// `b`
    Bar(Bar),
    /// `u`
    UpdatedBar(Bar),
    /// `d`
    DailyBar(Bar),
    /// `s`
    Status(Box<Status>),
    /// `l`
    Luld(Luld),
    /// `i`
    Imbalance(Imbalance),
    /// `c`
    Correction(Box<Correction>),
    /// `x`
    CancelError(Box<CancelError>),
}

impl TickData {
    /// The channel this belongs to.
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

/// A trade.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trade {
    /// `i`: the exchange's id of the trade.
    pub id: u64,
    /// `x`: exchange code.
    pub exchange: Text,
    /// `p`: price.
    pub price: Price,
    /// `s`: size in shares.
    pub size: u64,
    /// `c`: sale conditions.
    pub conditions: Conditions,
    /// `z`: tape.
    pub tape: Text,
}

/// A best bid and offer. A price of 0 means that nobody makes that side.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quote {
    /// `bx`: exchange of the bid.
    pub bid_exchange: Text,
    /// `bp`: bid price.
    pub bid: Price,
    /// `bs`: bid size.
    pub bid_size: u64,
    /// `ax`: exchange of the ask.
    pub ask_exchange: Text,
    /// `ap`: ask price.
    pub ask: Price,
    /// `as`: ask size.
    pub ask_size: u64,
    /// `c`: quote conditions.
    pub conditions: Conditions,
    /// `z`: tape.
    pub tape: Text,
}

/// A minute, updated or daily bar; the tick's time is the start of the bar.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bar {
    /// `o`: first price.
    pub open: Price,
    /// `h`: highest price.
    pub high: Price,
    /// `l`: lowest price.
    pub low: Price,
    /// `c`: last price.
    pub close: Price,
    /// `v`: shares traded.
    pub volume: u64,
    /// `n`: number of trades.
    pub trades: u64,
    /// `vw`: volume-weighted average price.
    pub vwap: Price,
}

/// A trading status, such as a halt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// `sc`: status code.
    pub code: Text,
    /// `sm`: status message.
    pub message: Text,
    /// `rc`: reason code.
    pub reason_code: Text,
    /// `rm`: reason message.
    pub reason: Text,
    /// `z`: tape.
    pub tape: Text,
}

/// Limit-up limit-down bands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Luld {
    /// `u`: upper limit.
    pub limit_up: Price,
    /// `d`: lower limit.
    pub limit_down: Price,
    /// `i`: indicator.
    pub indicator: Text,
    /// `z`: tape.
    pub tape: Text,
}

/// An order imbalance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imbalance {
    /// `p`: price.
    pub price: Price,
    /// `z`: tape.
    pub tape: Text,
}

/// A trade and what it is corrected to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Correction {
    /// `x`: exchange code.
    pub exchange: Text,
    /// `oi`: original trade id.
    pub original_id: u64,
    /// `op`: original price.
    pub original_price: Price,
    /// `os`: original size.
    pub original_size: u64,
    /// `oc`: original conditions.
    pub original_conditions: Conditions,
    /// `ci`: corrected trade id.
    pub corrected_id: u64,
    /// `cp`: corrected price.
    pub corrected_price: Price,
    /// `cs`: corrected size.
    pub corrected_size: u64,
    /// `cc`: corrected conditions.
    pub corrected_conditions: Conditions,
    /// `z`: tape.
    pub tape: Text,
}

/// A trade taken back: cancelled, or reported in error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CancelError {
    /// `i`: id of the trade.
    pub id: u64,
    /// `x`: exchange code.
    pub exchange: Text,
    /// `p`: its price.
    pub price: Price,
    /// `s`: its size.
    pub size: u64,
    /// `a`: `C` for a cancel, `E` for an error.
    pub action: Text,
    /// `z`: tape.
    pub tape: Text,
}
