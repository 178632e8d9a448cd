//! The kinds of ticks one can subscribe to.

use std::fmt;
use std::ops::{Index, IndexMut};

/// A kind of tick, subscribed to by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Channel {
    /// Trades, `t`.
    Trades,
    /// Best bid and offer, `q`.
    Quotes,
    /// Minute bars, `b`.
    Bars,
    /// Minute bars changed by late trades, `u`.
    UpdatedBars,
    /// Daily bars, `d`.
    DailyBars,
    /// Trading statuses, `s`.
    Statuses,
    /// Limit-up limit-down bands, `l`.
    Lulds,
    /// Order imbalances, `i`.
    Imbalances,
    /// Trade corrections, `c`.
    Corrections,
    /// Trade cancels and errors, `x`.
    CancelErrors,
}

impl Channel {
    /// How many channels there are.
    pub const COUNT: usize = 10;
    /// All channels, in the order of their numbers.
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

    /// The name in commands: `trades`, `updatedBars`, …
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

    /// The letter that marks an element of this channel, its `T`.
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

    /// The channel of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.name() == name)
    }

    /// The channel of an element's letter.
    #[must_use]
    pub fn from_letter(letter: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.letter() == letter)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One value for each channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PerChannel<V>([V; Channel::COUNT]);

impl<V> PerChannel<V> {
    /// The channels with their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Channel, &V)> {
        Channel::ALL.into_iter().zip(&self.0)
    }
}

impl<V> Index<Channel> for PerChannel<V> {
    type Output = V;

    fn index(&self, channel: Channel) -> &V {
        &self.0[channel as usize]
    }
}

impl<V> IndexMut<Channel> for PerChannel<V> {
    fn index_mut(&mut self, channel: Channel) -> &mut V {
        &mut self.0[channel as usize]
    }
}
