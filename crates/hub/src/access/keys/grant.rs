//! The rights of a client.

use std::sync::Arc;

use tickwire_protocol::{Channel, Feed, Selection, SubscriptionSet, Symbol, Tick};

use super::file::{Key, Scope};
use super::role::Role;
use crate::access::admission::PublisherHolder;
use crate::fanout::FeedId;
use crate::state::views::{LIVE_TIMELINE, View, Views};

/// The rights of a client, and what gives them.
#[derive(Debug, Clone)]
pub(crate) enum Grant {
    /// No key, or any key on an open hub.
    /// `None`: all views and symbols.
    Anonymous(Role, Option<Arc<Scope>>),
    /// A token of the command line.
    Token(Role),
    /// A key of the keys file.
    Key(Arc<Key>),
}

impl Grant {
    /// Returns the role of the client.
    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Anonymous(role, _) | Self::Token(role) => *role,
            Self::Key(key) => key.role,
        }
    }

    /// Returns whether the client has these rights without credentials.
    pub(crate) const fn is_anonymous(&self) -> bool {
        matches!(self, Self::Anonymous(..))
    }

    /// Returns the name of the key, if a key gives these rights.
    pub(crate) fn key_name(&self) -> Option<&str> {
        match self {
            Self::Key(key) => Some(&key.name),
            Self::Anonymous(..) | Self::Token(_) => None,
        }
    }

    /// Returns what gives a publisher these rights.
    pub(crate) fn publisher_holder(&self) -> PublisherHolder {
        match self {
            Self::Anonymous(..) => PublisherHolder::Anonymous,
            Self::Token(_) => PublisherHolder::Token,
            Self::Key(key) => PublisherHolder::Key { id: key.id.clone(), name: key.name.clone() },
        }
    }

    /// Returns whether the client may see figures of the whole hub, such as the ticks of all feeds:
    /// an administrator, or a client that may read every symbol of every view.
    pub(crate) fn may_see_totals(&self) -> bool {
        self.is_admin() || (self.feeds().is_none() && self.symbols().is_none())
    }

    /// Explains that a view may not be read, and names views that may be read.
    pub(crate) fn view_refusal(&self, view: &str) -> String {
        let holder = if self.is_anonymous() { "a client without a key" } else { "this key" };
        let mut text = format!("{holder} may not read {view}");
        if let Some(feeds) = self.feeds().filter(|feeds| !feeds.is_empty()) {
            let names: Vec<_> = feeds.iter().take(FEEDS_SHOWN).map(|feed| feed.as_str()).collect();
            let more = if feeds.len() > FEEDS_SHOWN { ", …" } else { "" };
            text.push_str(&format!("; it may read: {}{more}", names.join(", ")));
        }
        text
    }

    /// Returns whether the client may read a view.
    pub(crate) fn may_read(&self, view: &str) -> bool {
        self.has_feed(view)
    }

    /// Returns whether the client may read a feed through a view without delay.
    pub(crate) fn may_read_live(&self, views: &Views, feed: FeedId) -> bool {
        let live = Some(View { feed, timeline: LIVE_TIMELINE });
        views.names().any(|name| self.may_read(name) && views.find(name) == live)
    }

    /// Returns whether the client may publish to a feed.
    pub(crate) fn may_publish(&self, feed: &str) -> bool {
        self.role() >= Role::Publish && self.has_feed(feed)
    }

    /// Checks that the client may publish ticks of these symbols.
    ///
    /// # Errors
    /// A text that names a symbol that is not allowed, and some that are.
    pub(crate) fn check_published<'a>(
        &self,
        ticks: impl IntoIterator<Item = &'a Tick>,
    ) -> Result<(), String> {
        let Some(allowed) = self.symbols() else { return Ok(()) };
        let mut symbols = ticks.into_iter().map(|tick| tick.symbol);
        match symbols.find(|symbol| allowed.binary_search(symbol).is_err()) {
            Some(symbol) => Err(self.name_refusal(symbol.as_str(), allowed)),
            None => Ok(()),
        }
    }

    /// Explains that a name is not among the allowed symbols.
    fn name_refusal(&self, name: &str, allowed: &[Symbol]) -> String {
        let symbols: Vec<_> = allowed.iter().take(SYMBOLS_SHOWN).map(Symbol::as_str).collect();
        let more = if allowed.len() > SYMBOLS_SHOWN { ", …" } else { "" };
        let holder = self.holder();
        let symbols = symbols.join(", ");
        format!("{holder} may not have {name}; its symbols: {symbols}{more}")
    }

    /// Returns the owner of the publishers that the client opens: its key, or the token of its
    /// role. `None` without credentials.
    pub(crate) fn owner(&self) -> Option<String> {
        match self {
            Self::Key(key) => Some(key.id.clone()),
            Self::Token(role) => Some(token_owner(*role)),
            Self::Anonymous(..) => None,
        }
    }

    /// Returns whether the client has the rights of an administrator.
    pub(crate) fn is_admin(&self) -> bool {
        self.role() >= Role::Admin
    }

    fn has_feed(&self, name: &str) -> bool {
        self.feeds().is_none_or(|feeds| feeds.iter().any(|feed| feed.as_str() == name))
    }

    /// Returns the names of the views and feeds that the client may use; `None`: all.
    fn feeds(&self) -> Option<&[Feed]> {
        match self {
            Self::Key(key) => key.feeds.as_deref(),
            Self::Anonymous(_, scope) => scope.as_ref()?.feeds.as_deref(),
            Self::Token(_) => None,
        }
    }

    /// Returns the symbols that the client may use, sorted; `None`: all.
    pub(crate) fn symbols(&self) -> Option<&[Symbol]> {
        match self {
            Self::Key(key) => key.symbols.as_deref(),
            Self::Anonymous(_, scope) => scope.as_ref()?.symbols.as_deref(),
            Self::Token(_) => None,
        }
    }

    /// Returns whether the grant limits the names of a session, so that [`Grant::check_names`] can
    /// fail.
    pub(crate) fn limits_names(&self) -> bool {
        self.symbols().is_some() || self.symbols_max().is_some()
    }

    fn symbols_max(&self) -> Option<usize> {
        match self {
            Self::Key(key) => key.symbols_max,
            Self::Anonymous(..) | Self::Token(_) => None,
        }
    }

    /// Names the holder of the rights, for errors.
    fn holder(&self) -> String {
        match self {
            Self::Key(key) => format!("key {}", key.name),
            Self::Anonymous(..) | Self::Token(_) => "a client without a key".to_owned(),
        }
    }

    /// Returns whether the client may read the metrics of the hub.
    pub(crate) fn may_read_metrics(&self) -> bool {
        self.is_admin() || matches!(self, Self::Key(key) if key.metrics)
    }

    /// Returns whether the client may read a symbol.
    pub(crate) fn may_read_symbol(&self, symbol: Symbol) -> bool {
        self.symbols().is_none_or(|symbols| symbols.binary_search(&symbol).is_ok())
    }

    /// Returns whether the client may read a symbol of a channel; `None` stands for `"*"`.
    pub(crate) fn may_read_topic(&self, channel: Channel, symbol: Option<Symbol>) -> bool {
        let is_counted = matches!(channel, Channel::Trades | Channel::Quotes);
        match symbol {
            Some(symbol) => self.may_read_symbol(symbol),
            None => self.symbols().is_none() && !(is_counted && self.symbols_max().is_some()),
        }
    }

    /// Checks that the client may subscribe to names. `total_after` is the number of names of
    /// trades and quotes that its session would have then.
    ///
    /// # Errors
    /// Returns a text that says what is not allowed, and what is.
    pub(crate) fn check_names(
        &self,
        adds: &SubscriptionSet,
        total_after: usize,
    ) -> Result<(), String> {
        if let Some(allowed) = self.symbols()
            && let Some(name) = adds.iter().find_map(|(_, some)| first_disallowed(allowed, some))
        {
            return Err(self.name_refusal(name, allowed));
        }
        let is_wild = adds[Channel::Trades].all || adds[Channel::Quotes].all;
        match self.symbols_max() {
            Some(most) if is_wild => {
                let holder = self.holder();
                Err(format!("{holder} may have {most} names of trades and quotes; \"*\" is all"))
            }
            Some(most) if total_after > most => Err(format!(
                "{} may have {most} names of trades and quotes; these would be {total_after}",
                self.holder()
            )),
            _ => Ok(()),
        }
    }
}

/// Returns the owner that the token of a role stands for. It contains a character that ids of keys
/// do not have.
pub(super) fn token_owner(role: Role) -> String {
    format!(":{}", role.name())
}

/// Maximum number of feeds that an error names.
const FEEDS_SHOWN: usize = 10;
/// Maximum number of symbols that an error names.
const SYMBOLS_SHOWN: usize = 20;

/// Returns the first name of a selection that is not among the allowed symbols.
fn first_disallowed<'a>(allowed: &[Symbol], selection: &'a Selection) -> Option<&'a str> {
    if selection.all {
        return Some("*");
    }
    // By binary search, since both lists may have thousands of names.
    let is_disallowed = |symbol: &&Symbol| allowed.binary_search(symbol).is_err();
    selection.symbols.iter().find(is_disallowed).map(Symbol::as_str)
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
    fn role_includes_the_rights_of_those_before_it() {
        let of = |role| grant(|key| key.role = role);
        let may =
            |grant: Grant| (grant.may_read("main"), grant.may_publish("main"), grant.is_admin());
        assert_eq!(may(of(Role::Read)), (true, false, false));
        assert_eq!(may(of(Role::Publish)), (true, true, false));
        assert_eq!(may(of(Role::Admin)), (true, true, true));
    }

    #[test]
    fn key_with_feeds_reads_and_publishes_no_others() {
        let feeds = Some(vec!["sip".parse().unwrap()]);
        let grant = grant(|key| {
            key.feeds = feeds;
            key.role = Role::Admin;
        });
        assert!(grant.may_read("sip") && !grant.may_read("main"));
        assert_eq!(grant.view_refusal("main"), "this key may not read main; it may read: sip");
        assert!(grant.may_publish("sip") && !grant.may_publish("main"));
    }

    #[test]
    fn key_with_symbols_subscribes_to_no_others() {
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
    fn topics_that_may_be_read_are_those_that_may_be_subscribed_to() {
        let symbols = ["AAPL", "MSFT"].map(|name| name.parse().unwrap()).to_vec();
        for grant in
            [grant(|key| key.symbols = Some(symbols)), grant(|key| key.symbols_max = Some(1))]
        {
            for channel in Channel::ALL {
                for symbol in ["AAPL", "IBM", "*"] {
                    let topic = Symbol::new(symbol).ok();
                    let may_subscribe = grant.check_names(&names(channel, &[symbol]), 1).is_ok();
                    assert_eq!(
                        grant.may_read_topic(channel, topic),
                        may_subscribe,
                        "{channel:?} {symbol}"
                    );
                }
            }
        }
    }

    #[test]
    fn symbols_max_counts_names_of_trades_and_quotes() {
        let grant = grant(|key| key.symbols_max = Some(2));
        grant.check_names(&names(Channel::Trades, &["A"]), 2).unwrap();
        grant.check_names(&names(Channel::Bars, &["*"]), 0).unwrap();
        let error = grant.check_names(&names(Channel::Trades, &["A"]), 3).unwrap_err();
        assert!(error.contains('2') && error.contains('3'), "{error}");
        assert!(grant.check_names(&names(Channel::Quotes, &["*"]), 1).is_err());
    }
}
