//! The open sessions of a key, and the signals that close them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use tickwire_protocol::UnixNanos;
use tokio_util::sync::CancellationToken;

use crate::fanout::CloseReason;
use crate::state::shard_waker::ShardWaker;

/// A subscriber's session that is about to be registered at its key.
#[derive(Debug)]
pub(crate) struct SessionInfo {
    pub(crate) peer: IpAddr,
    pub(crate) user_agent: Option<Box<str>>,
    /// The shard that serves the session; it is woken when the session must close.
    pub(crate) shard: Arc<ShardWaker>,
}

/// How a session learns that it must close.
#[derive(Debug)]
pub(super) enum CloseSignal {
    /// Wakes the shard of a subscriber, which then checks all its sessions.
    Shard(Arc<ShardWaker>),
    /// Cancels the token that the task of a publisher waits for.
    Task(CancellationToken),
}

/// An open session, as its key knows it.
#[derive(Debug)]
pub(super) struct SessionEntry {
    peer: IpAddr,
    user_agent: Option<Box<str>>,
    /// When the session was registered.
    pub(super) since: UnixNanos,
    signal: CloseSignal,
    /// Why the session must close: one of the constants below.
    close_reason: AtomicU8,
    /// Counts the sessions of all keys that were told to close.
    closed: Arc<AtomicU64>,
}

const OPEN: u8 = 0;
const REPLACED: u8 = 1;
const REVOKED: u8 = 2;

impl SessionEntry {
    /// Creates the entry of a session that stays open. `closed` is increased when the session has
    /// to close.
    pub(super) fn new(
        peer: IpAddr,
        user_agent: Option<Box<str>>,
        signal: CloseSignal,
        since: UnixNanos,
        closed: &Arc<AtomicU64>,
    ) -> Self {
        let close_reason = AtomicU8::new(OPEN);
        Self { peer, user_agent, since, signal, close_reason, closed: closed.clone() }
    }

    /// Tells the session to close because its rights have changed.
    pub(super) fn revoke(&self) {
        self.close(REVOKED);
    }

    fn close(&self, reason: u8) {
        self.close_reason.store(reason, Ordering::SeqCst);
        // Before the signal: a shard that wakes up compares the count.
        self.closed.fetch_add(1, Ordering::SeqCst);
        match &self.signal {
            CloseSignal::Shard(shard) => shard.wake(),
            CloseSignal::Task(task) => task.cancel(),
        }
    }

    /// Returns why the session must close; `None` while it may stay open.
    pub(super) fn close_reason(&self) -> Option<CloseReason> {
        match self.close_reason.load(Ordering::SeqCst) {
            REPLACED => Some(CloseReason::Replaced),
            REVOKED => Some(CloseReason::Revoked),
            _ => None,
        }
    }

    /// Completes when a publisher's session must close. Never completes for a subscriber.
    pub(super) async fn until_closed(&self) {
        match &self.signal {
            CloseSignal::Task(task) => task.cancelled().await,
            CloseSignal::Shard(_) => std::future::pending().await,
        }
    }

    fn is_subscriber(&self) -> bool {
        matches!(self.signal, CloseSignal::Shard(_))
    }

    /// Describes the session to the owner of the key.
    fn description(&self) -> String {
        let agent = self.user_agent.as_deref().unwrap_or("no user agent");
        format!("{} ({agent}) since {}", self.peer, self.since)
    }
}

/// The open sessions of one key.
#[derive(Debug, Default)]
pub(super) struct KeySessionSet {
    /// Entries by number, and therefore by age. Sessions that were told to close are not in the
    /// map.
    entries: BTreeMap<u64, Arc<SessionEntry>>,
    /// Number of entries that are sessions of subscribers.
    subscribers: usize,
    /// Number of sessions refused because the key was at its session limit.
    pub(super) refused: u64,
    /// When a session was last registered.
    pub(super) last: Option<UnixNanos>,
}

impl KeySessionSet {
    /// Registers a session. Numbers ascend over all keys.
    pub(super) fn insert(&mut self, number: u64, entry: Arc<SessionEntry>) {
        self.last = Some(entry.since);
        self.subscribers += usize::from(entry.is_subscriber());
        self.entries.insert(number, entry);
    }

    /// Removes a session, if it was not told to close before.
    pub(super) fn remove(&mut self, number: u64) -> Option<Arc<SessionEntry>> {
        let entry = self.entries.remove(&number)?;
        self.subscribers -= usize::from(entry.is_subscriber());
        Some(entry)
    }

    fn iter_subscribers(&self) -> impl Iterator<Item = (u64, &Arc<SessionEntry>)> {
        let subscribers = self.entries.iter().filter(|(_, entry)| entry.is_subscriber());
        subscribers.map(|(number, entry)| (*number, entry))
    }

    /// Returns the number of sessions of subscribers.
    pub(super) const fn subscribers(&self) -> usize {
        self.subscribers
    }

    /// Returns the number of sessions of publishers.
    pub(super) fn publishers(&self) -> usize {
        self.entries.len() - self.subscribers
    }

    /// Returns when the oldest session of a subscriber was registered.
    pub(super) fn since(&self) -> Option<UnixNanos> {
        self.iter_subscribers().next().map(|(_, entry)| entry.since)
    }

    /// Tells the oldest session of a subscriber to close, since a newer one replaces it.
    pub(super) fn replace_oldest(&mut self) {
        let oldest = self.iter_subscribers().next().map(|(number, _)| number);
        if let Some(entry) = oldest.and_then(|number| self.remove(number)) {
            entry.close(REPLACED);
        }
    }

    /// Tells all sessions to close, since their rights have changed.
    pub(super) fn revoke(&mut self) {
        self.subscribers = 0;
        for entry in std::mem::take(&mut self.entries).into_values() {
            entry.revoke();
        }
    }

    /// Describes the oldest sessions of subscribers to the owner of the key.
    pub(super) fn description(&self) -> String {
        let oldest = self.iter_subscribers().take(SESSIONS_DESCRIBED);
        let oldest: Vec<_> = oldest.map(|(_, entry)| entry.description()).collect();
        let more = if self.subscribers > oldest.len() { " and others" } else { "" };
        format!("{}{more}", oldest.join(", "))
    }
}

/// Maximum number of sessions that [`KeySessionSet::description`] describes.
const SESSIONS_DESCRIBED: usize = 3;
