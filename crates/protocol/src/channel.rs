//! Channels: the kinds of ticks that a session subscribes to.

use std::fmt;

/// A kind of tick. A symbol within a channel of a feed is a *topic*.
///
/// The channels and their letters are those of Alpaca's stock stream
/// (<https://docs.alpaca.markets/docs/real-time-stock-pricing-data>). `docs/protocol/ticks.md`
/// lists the fields of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Channel {
    /// Trades; letter `t`.
    Trades,
    /// Quotes: best bid and offer; letter `q`.
    Quotes,
    /// Bars of one minute; letter `b`.
    Bars,
    /// Minute bars that late trades have changed; letter `u`.
    UpdatedBars,
    /// Bars of one trading day; letter `d`.
    DailyBars,
    /// Trading statuses, such as halts; letter `s`.
    Statuses,
    /// Limit-up limit-down price bands; letter `l`.
    Lulds,
    /// Order imbalances; letter `i`.
    Imbalances,
    /// Corrections of trades; letter `c`.
    Corrections,
    /// Trades that were cancelled or reported in error; letter `x`.
    CancelErrors,
}

impl Channel {
    /// Number of channels.
    pub const COUNT: usize = 10;
    /// All channels, in the order of their discriminants (0 to 9).
    pub const ALL: [Self; Self::COUNT] = [
        Self::Trades,
        Self::Quotes,
        Self::Bars,
        Self::UpdatedBars,
        Self::DailyBars,
        Self::Statuses,
        Self::Lulds,
        Self::Imbalances,
        Self::Corrections,
        Self::CancelErrors,
    ];

    /// Returns the name of the channel in commands and answers: `trades`, `updatedBars`, …
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trades => "trades",
            Self::Quotes => "quotes",
            Self::Bars => "bars",
            Self::UpdatedBars => "updatedBars",
            Self::DailyBars => "dailyBars",
            Self::Statuses => "statuses",
            Self::Lulds => "lulds",
            Self::Imbalances => "imbalances",
            Self::Corrections => "corrections",
            Self::CancelErrors => "cancelErrors",
        }
    }

    /// Returns the letter of the channel's ticks: the value of their field `T`.
    #[must_use]
    pub const fn letter(self) -> &'static str {
        match self {
            Self::Trades => "t",
            Self::Quotes => "q",
            Self::Bars => "b",
            Self::UpdatedBars => "u",
            Self::DailyBars => "d",
            Self::Statuses => "s",
            Self::Lulds => "l",
            Self::Imbalances => "i",
            Self::Corrections => "c",
            Self::CancelErrors => "x",
        }
    }

    /// Returns the channel with this [`name`](Self::name), if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.name() == name)
    }

    /// Returns the channel with this [`letter`](Self::letter), if there is one.
    #[must_use]
    pub fn from_letter(letter: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.letter() == letter)
    }
}

impl fmt::Display for Channel {
    /// Writes the channel's [`name`](Channel::name).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
