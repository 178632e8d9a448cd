//! What somebody may do.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tickwire_protocol::{Channel, Selection, SubscriptionSet, Symbol};

use super::file::Key;

/// What a key is for. Each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Subscribe and ask.
    Read,
    /// Publish ticks.
    Publish,
    /// Drain the hub, and see who is connected.
    Admin,
}

impl Role {
    /// All of them, from the least.
    pub const ALL: [Self; 3] = [Self::Read, Self::Publish, Self::Admin];

    /// The word in the file and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Publish => "publish",
            Self::Admin => "admin",
        }
    }
}

/// What somebody may do, and as whom.
#[derive(Debug, Clone)]
pub(crate) enum Grant {
    /// Somebody without a key, or with any key where none is needed.
    Anyone(Role),
    /// The holder of the publishers' or the administrators' token.
    Token(Role),
    /// The holder of a key.
    Key(Arc<Key>),
}

impl Grant {
    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Anyone(role) | Self::Token(role) => *role,
            Self::Key(key) => key.role,
        }
    }

    /// Whether this is the right of somebody who has shown nothing that counts.
    pub(crate) const fn is_anyones(&self) -> bool {
        matches!(self, Self::Anyone(_))
    }

    /// The name of the key, where this is the right of one.
    pub(crate) fn key_name(&self) -> Option<&str> {
        match self {
            Self::Key(key) => Some(&key.name),
            Self::Anyone(_) | Self::Token(_) => None,
        }
    }

    /// Why a view may not be read, and which may.
    pub(crate) fn not_for(&self, view: &str) -> String {
        let mut text = format!("this key may not read {view}");
        if let Self::Key(key) = self
            && let Some(feeds) = key.feeds.as_deref().filter(|feeds| !feeds.is_empty())
        {
            let names: Vec<_> = feeds.iter().take(FEEDS_SHOWN).map(|feed| feed.as_str()).collect();
            let more = if feeds.len() > FEEDS_SHOWN { ", …" } else { "" };
            text.push_str(&format!("; it may read: {}{more}", names.join(", ")));
        }
        text
    }

    pub(crate) fn may_read(&self, view: &str) -> bool {
        self.has_feed(view)
    }

    pub(crate) fn may_publish(&self, feed: &str) -> bool {
        self.role() >= Role::Publish && self.has_feed(feed)
    }

    pub(crate) fn is_admin(&self) -> bool {
        self.role() >= Role::Admin
    }

    fn has_feed(&self, name: &str) -> bool {
        match self {
            Self::Key(key) => {
                let feeds = key.feeds.as_deref();
                feeds.is_none_or(|feeds| feeds.iter().any(|feed| feed.as_str() == name))
            }
            Self::Anyone(_) | Self::Token(_) => true,
        }
    }

    /// Whether [`Grant::check_names`] could refuse anything.
    pub(crate) fn limits_names(&self) -> bool {
        match self {
            Self::Key(key) => key.symbols.is_some() || key.symbols_max.is_some(),
            Self::Anyone(_) | Self::Token(_) => false,
        }
    }

    /// Whether the holder may have a symbol.
    pub(crate) fn may_have_symbol(&self, symbol: Symbol) -> bool {
        match self {
            Self::Key(key) => key.symbols.as_ref().is_none_or(|symbols| {
                symbols.binary_search(&symbol).is_ok() // the list is sorted
            }),
            Self::Anyone(_) | Self::Token(_) => true,
        }
    }

    /// Whether the holder may have a symbol of a channel; `None` stands for `"*"`.
    pub(crate) fn may_have_topic(&self, channel: Channel, symbol: Option<Symbol>) -> bool {
        match (self, symbol) {
            (Self::Anyone(_) | Self::Token(_), _) => true,
            (Self::Key(_), Some(symbol)) => self.may_have_symbol(symbol),
            (Self::Key(key), None) => {
                let is_counted = matches!(channel, Channel::Trades | Channel::Quotes);
                key.symbols.is_none() && !(is_counted && key.symbols_max.is_some())
            }
        }
    }

    /// Whether names may be subscribed to, where `total_after` are those of trades and quotes there would
    /// be then; if not, what is allowed.
    pub(crate) fn check_names(
        &self,
        adds: &SubscriptionSet,
        total_after: usize,
    ) -> Result<(), String> {
        let Self::Key(key) = self else { return Ok(()) };
        if let Some(allowed) = &key.symbols
            && let Some(name) = adds.iter().find_map(|(_, some)| not_among(allowed, some))
        {
            let symbols: Vec<_> = allowed.iter().take(SYMBOLS_SHOWN).map(Symbol::as_str).collect();
            let more = if allowed.len() > SYMBOLS_SHOWN { ", …" } else { "" };
            let (key, symbols) = (&key.name, symbols.join(", "));
            return Err(format!("key {key} may not have {name}; its symbols: {symbols}{more}"));
        }
        let is_wild = adds[Channel::Trades].all || adds[Channel::Quotes].all;
        match key.symbols_max {
            Some(most) if is_wild => {
                let key = &key.name;
                Err(format!("key {key} may have {most} names of trades and quotes; \"*\" is all"))
            }
            Some(most) if total_after > most => Err(format!(
                "key {} may have {most} names of trades and quotes; these would be {total_after}",
                key.name
            )),
            _ => Ok(()),
        }
    }
}

/// Feeds named in an error, at the most.
const FEEDS_SHOWN: usize = 10;
/// Symbols named in an error, at the most.
const SYMBOLS_SHOWN: usize = 20;

/// The first name that is none of the symbols.
fn not_among<'a>(allowed: &[Symbol], selection: &'a Selection) -> Option<&'a str> {
    if selection.all {
        return Some("*");
    }
    // `allowed` is sorted: a key with thousands of symbols must not make a command of thousands slow.
    let strange = |symbol: &&Symbol| allowed.binary_search(symbol).is_err();
    selection.symbols.iter().find(strange).map(Symbol::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(change: impl FnOnce(&mut Key)) -> Grant {
        let mut key = Key { name: "bot".to_owned(), ..Key::for_test("TW1") };
        change(&mut key);
        Grant::Key(Arc::new(key))
    }

    fn names(channel: Channel, list: &[&str]) -> SubscriptionSet {
        let mut names = SubscriptionSet::default();
        list.iter().for_each(|name| names[channel].add(name).unwrap());
        names
    }

    #[test]
    fn each_role_may_what_those_before_it_may() {
        let of = |role| grant(|key| key.role = role);
        let may =
            |grant: Grant| (grant.may_read("main"), grant.may_publish("main"), grant.is_admin());
        assert_eq!(may(of(Role::Read)), (true, false, false));
        assert_eq!(may(of(Role::Publish)), (true, true, false));
        assert_eq!(may(of(Role::Admin)), (true, true, true));
    }

    #[test]
    fn a_key_of_some_feeds_may_read_and_publish_no_others() {
        let feeds = Some(vec!["sip".parse().unwrap()]);
        let grant = grant(|key| (key.feeds, key.role) = (feeds, Role::Admin));
        assert!(grant.may_read("sip") && !grant.may_read("main"));
        assert_eq!(grant.not_for("main"), "this key may not read main; it may read: sip");
        assert!(grant.may_publish("sip") && !grant.may_publish("main"));
    }

    #[test]
    fn a_key_of_some_symbols_may_have_no_others() {
        let symbols = ["AAPL", "MSFT"].map(|name| name.parse().unwrap()).to_vec();
        let grant = grant(|key| key.symbols = Some(symbols));
        assert!(grant.limits_names());
        grant.check_names(&names(Channel::Bars, &["MSFT", "AAPL"]), 0).unwrap();
        let error = grant.check_names(&names(Channel::Bars, &["AAPL", "IBM"]), 2).unwrap_err();
        assert!(error.contains("bot") && error.contains("IBM") && error.contains("AAPL, MSFT"));
        let error = grant.check_names(&names(Channel::Trades, &["*"]), 1).unwrap_err();
        assert!(error.contains("may not have *"), "{error}");
    }

    #[test]
    fn key_may_have_the_topics_that_it_may_subscribe_to() {
        let symbols = ["AAPL", "MSFT"].map(|name| name.parse().unwrap()).to_vec();
        for grant in
            [grant(|key| key.symbols = Some(symbols)), grant(|key| key.symbols_max = Some(1))]
        {
            for channel in Channel::ALL {
                for symbol in ["AAPL", "IBM", "*"] {
                    let topic = Symbol::new(symbol).ok();
                    let may_subscribe = grant.check_names(&names(channel, &[symbol]), 1).is_ok();
                    assert_eq!(
                        grant.may_have_topic(channel, topic),
                        may_subscribe,
                        "{channel:?} {symbol}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_limit_of_names_is_one_of_trades_and_quotes() {
        let grant = grant(|key| key.symbols_max = Some(2));
        grant.check_names(&names(Channel::Trades, &["A"]), 2).unwrap();
        grant.check_names(&names(Channel::Bars, &["*"]), 0).unwrap();
        let error = grant.check_names(&names(Channel::Trades, &["A"]), 3).unwrap_err();
        assert!(error.contains('2') && error.contains('3'), "{error}");
        assert!(grant.check_names(&names(Channel::Quotes, &["*"]), 1).is_err());
    }
}
