//! Demand: the interests of sessions, reported to the publishers that request it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use slab::Slab;
use tickwire_protocol::{Control, Feed, SubscriptionSet, Symbol};
use tokio::sync::Notify;

use super::TopicRegistry;
use crate::fanout::{FeedId, TopicInterest};

/// Maximum number of names in one element: with the longest symbols and in the longest encoding it
/// stays below one mebibyte.
const NAMES_PER_ELEMENT: usize = 32_768;

/// The publishers that subscribe to demand. Shards lock the list for reading; only a publisher that
/// connects or leaves locks it for writing.
#[derive(Debug, Default)]
pub(super) struct DemandListeners(RwLock<Slab<Arc<DemandListener>>>);

#[derive(Debug)]
struct DemandListener {
    feed: FeedId,
    /// Interests whose demand may have changed since the last report to the publisher.
    pending_changes: Mutex<HashSet<TopicInterest>>,
    changed: Notify,
}

/// A publisher's subscription to the demand for a feed. It ends when dropped.
///
/// The subscription remembers what it has reported, and looks up the demand when it reports. The
/// order of notifications by shards therefore does not matter, and changes that cancel out are not
/// reported.
#[derive(Debug)]
pub(crate) struct DemandSubscription {
    registry: Arc<TopicRegistry>,
    listener: Arc<DemandListener>,
    /// The symbols to whose demand the subscription is limited, sorted; `None`: all.
    symbols: Option<Arc<[Symbol]>>,
    /// Key in the list of listeners.
    key: usize,
    /// Interests that were last reported to the publisher as wanted.
    reported: HashSet<TopicInterest>,
    /// While the source of the publisher is full: what each client wants, as last reported.
    clients: Option<Vec<SubscriptionSet>>,
}

/// A change in the demand for a topic or a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DemandChange {
    pub(crate) interest: TopicInterest,
    /// Whether the interest is wanted now and was not, or the other way round.
    pub(crate) is_wanted: bool,
}

impl DemandListeners {
    /// Notifies publishers that interests are wanted now, or no longer.
    pub(super) fn mark(&self, interests: &[TopicInterest]) {
        if interests.is_empty() {
            return;
        }
        let listeners = self.0.read().unwrap_or_else(PoisonError::into_inner);
        for (_, listener) in listeners.iter() {
            listener.mark(interests.iter().filter(|interest| interest.feed == listener.feed));
        }
    }

    /// Notifies all publishers that the names of clients have changed.
    pub(super) fn notify_all(&self) {
        let listeners = self.0.read().unwrap_or_else(PoisonError::into_inner);
        listeners.iter().for_each(|(_, listener)| listener.changed.notify_one());
    }

    fn add(&self, listener: Arc<DemandListener>) -> usize {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(listener)
    }

    fn remove(&self, key: usize) {
        let removed = self.0.write().unwrap_or_else(PoisonError::into_inner).remove(key);
        drop(removed); // after the lock: its set may be large
    }
}

impl DemandListener {
    fn mark<'a>(&self, interests: impl Iterator<Item = &'a TopicInterest>) {
        let mut pending = self.pending_changes.lock().unwrap_or_else(PoisonError::into_inner);
        pending.extend(interests);
        if !pending.is_empty() {
            self.changed.notify_one();
        }
    }

    fn take(&self) -> HashSet<TopicInterest> {
        let mut pending = self.pending_changes.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *pending)
    }
}

impl DemandSubscription {
    pub(super) fn new(
        registry: Arc<TopicRegistry>,
        feed: FeedId,
        symbols: Option<Arc<[Symbol]>>,
    ) -> Self {
        let listener =
            DemandListener { feed, pending_changes: Mutex::default(), changed: Notify::new() };
        let listener = Arc::new(listener);
        // First listen, then look: a change in between is noted twice, which does no harm.
        let key = registry.demand.add(listener.clone());
        listener.mark(registry.wanted(feed).iter());
        Self { registry, listener, symbols, key, reported: HashSet::new(), clients: None }
    }

    /// Waits until there may be something to [`take`](Self::take).
    pub(crate) async fn changed(&self) {
        self.listener.changed.notified().await;
    }

    /// Returns the interests that are wanted now and were not at the last call, and those that were
    /// wanted then and are not now, sorted.
    pub(crate) fn take(&mut self) -> Vec<DemandChange> {
        let mut changes = Vec::new();
        for interest in self.within_limits(self.listener.take()) {
            let is_wanted = self.is_wanted(&interest);
            let has_changed = if is_wanted {
                self.reported.insert(interest)
            } else {
                self.reported.remove(&interest)
            };
            if has_changed {
                changes.push(DemandChange { interest, is_wanted });
            }
        }
        if self.reported.len() < self.reported.capacity() / 4 {
            self.reported.shrink_to(2 * self.reported.len());
        }
        changes.sort_unstable();
        changes
    }

    /// Sets whether the source of the publisher is full, so that it needs to know what each client
    /// wants.
    pub(crate) fn set_full(&mut self, is_full: bool) {
        match (&self.clients, is_full) {
            (None, true) => {
                self.clients = Some(Vec::new());
                self.registry.client_demand.add_full();
                self.listener.changed.notify_one();
            }
            (Some(_), false) => {
                self.clients = None;
                self.registry.client_demand.remove_full();
            }
            _ => {}
        }
    }

    /// Returns what each client wants, if the source of the publisher is full and this has changed
    /// since the last call.
    pub(crate) fn take_clients(&mut self) -> Option<Vec<SubscriptionSet>> {
        let reported = self.clients.as_mut()?;
        let of_feed = &self.registry.client_demand;
        let clients = of_feed.of_feed(self.listener.feed, self.symbols.as_deref())?;
        if clients == *reported {
            return None;
        }
        reported.clone_from(&clients);
        Some(clients)
    }

    /// Returns the interests of the allowed symbols: all of them for a `"*"`.
    fn within_limits(&self, interests: HashSet<TopicInterest>) -> HashSet<TopicInterest> {
        let Some(symbols) = &self.symbols else { return interests };
        let mut allowed = HashSet::new();
        for interest in interests {
            match interest.symbol {
                Some(symbol) if symbols.binary_search(&symbol).is_ok() => {
                    allowed.insert(interest);
                }
                Some(_) => {}
                None => allowed.extend(
                    symbols
                        .iter()
                        .map(|symbol| TopicInterest { symbol: Some(*symbol), ..interest }),
                ),
            }
        }
        allowed
    }

    fn is_wanted(&self, interest: &TopicInterest) -> bool {
        let all = TopicInterest { symbol: None, ..*interest };
        self.registry.is_wanted(interest)
            || (self.symbols.is_some() && self.registry.is_wanted(&all))
    }
}

impl Drop for DemandSubscription {
    fn drop(&mut self) {
        self.registry.demand.remove(self.key);
        self.set_full(false);
    }
}

/// Returns the elements that report changes in demand to a publisher: at least one, even without
/// changes.
pub(crate) fn elements(feed: &Feed, changes: &[DemandChange]) -> Vec<Control> {
    let element = |changes: &[DemandChange]| {
        let mut added = SubscriptionSet::default();
        let mut removed = SubscriptionSet::default();
        for DemandChange { interest, is_wanted } in changes {
            let list = if *is_wanted { &mut added } else { &mut removed };
            let selection = &mut list[interest.channel];
            match interest.symbol {
                Some(symbol) => selection.symbols.push(symbol),
                None => selection.all = true,
            }
        }
        Control::Demand { feed: feed.clone(), added: Box::new(added), removed: Box::new(removed) }
    };
    if changes.is_empty() {
        return vec![element(&[])];
    }
    changes.chunks(NAMES_PER_ELEMENT).map(element).collect()
}
