//! Sets of names that several samples share.

use tickwire_protocol::{Channel, SubscriptionSet};

/// Returns the names in three channels, one of which is `"*"`.
pub(super) fn three_channels() -> SubscriptionSet {
    let mut names = SubscriptionSet::default();
    names[Channel::Trades].add("AAPL").unwrap();
    names[Channel::Quotes].add("AAPL").unwrap();
    names[Channel::Quotes].add("MSFT").unwrap();
    names[Channel::Bars].add("*").unwrap();
    names
}

/// Returns `"*"` in the channel of quotes.
pub(super) fn all_quotes() -> SubscriptionSet {
    let mut names = SubscriptionSet::default();
    names[Channel::Quotes].add("*").unwrap();
    names
}

/// Returns two symbols in the channel of trades.
pub(super) fn two_trades() -> SubscriptionSet {
    let mut names = SubscriptionSet::default();
    names[Channel::Trades].add("AAPL").unwrap();
    names[Channel::Trades].add("MSFT").unwrap();
    names
}
