//! What the sessions of all shards want, for publishers that ask to be told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slab::Slab;
use tickwire_protocol::{Control, Feed, SubscriptionSet};
use tokio::sync::Notify;

use crate::fanout::{DemandChanges, FeedId, Want};

/// Names in one element, at the most: with the longest symbols and in the longest encoding it stays
/// below a mebibyte.
const NAMES_PER_ELEMENT: usize = 32_768;

/// What is wanted over all shards.
#[derive(Debug, Default)]
pub(crate) struct Demand(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// In how many shards it is wanted; nothing that is wanted in none.
    shards: HashMap<Want, u32>,
    listeners: Slab<Listening>,
}

#[derive(Debug)]
struct Listening {
    feed: FeedId,
    /// What it has not been told yet.
    untold: DemandChanges,
    changed: Arc<Notify>,
}

/// Hears of what is wanted of a feed, as long as it lives.
#[derive(Debug)]
pub(crate) struct Listener {
    demand: Arc<Demand>,
    place: usize,
    changed: Arc<Notify>,
}

impl Demand {
    /// Takes note of what has changed in one shard.
    pub(crate) fn change(&self, changes: &DemandChanges) {
        if changes.is_empty() {
            return;
        }
        let mut state = self.lock();
        let State { shards, listeners } = &mut *state;
        for (want, wanted) in changes.iter() {
            let count = shards.entry(want).or_default();
            let before = *count > 0;
            *count = if wanted { *count + 1 } else { count.saturating_sub(1) };
            let is_wanted = *count > 0;
            if !is_wanted {
                shards.remove(&want);
            }
            if before == is_wanted {
                continue;
            }
            for (_, listener) in listeners.iter_mut().filter(|(_, l)| l.feed == want.feed) {
                listener.untold.note(want, is_wanted);
            }
        }
        for (_, listener) in listeners.iter().filter(|(_, l)| !l.untold.is_empty()) {
            listener.changed.notify_one();
        }
    }

    /// Hears of what is wanted of a feed from now on; what it takes first is all of it.
    pub(crate) fn listen(self: &Arc<Self>, feed: FeedId) -> Listener {
        let mut state = self.lock();
        let mut untold = DemandChanges::default();
        for want in state.shards.keys().filter(|want| want.feed == feed) {
            untold.note(*want, true);
        }
        let changed = Arc::new(Notify::new());
        let place = state.listeners.insert(Listening { feed, untold, changed: changed.clone() });
        Listener { demand: self.clone(), place, changed }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    /// Waits until there may be something to take.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What has changed since this was called last.
    pub(crate) fn take(&self) -> DemandChanges {
        std::mem::take(&mut self.demand.lock().listeners[self.place].untold)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let gone = self.demand.lock().listeners.remove(self.place);
        drop(gone); // which may be much: not while shards wait for the lock
    }
}

/// The elements that tell of changes; one at least.
pub(crate) fn elements(feed: &Feed, changes: &DemandChanges) -> Vec<Control> {
    let mut changes: Vec<(Want, bool)> = changes.iter().collect();
    changes.sort_unstable();
    let element = |changes: &[(Want, bool)]| {
        let (mut added, mut removed) = (SubscriptionSet::default(), SubscriptionSet::default());
        for (want, wanted) in changes {
            let list = if *wanted { &mut added } else { &mut removed };
            let selection = &mut list[want.channel];
            match want.symbol {
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
