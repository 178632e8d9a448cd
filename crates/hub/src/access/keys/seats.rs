//! Who is there with which key.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use tickwire_protocol::UnixNanos;
use tokio_util::sync::CancellationToken;

use crate::fanout::CloseReason;
use crate::state::shared_log::ShardWaker;

/// Who comes.
#[derive(Debug)]
pub(crate) struct Entrant {
    pub(crate) peer: IpAddr,
    pub(crate) user_agent: Option<Box<str>>,
    /// The shard of its session, woken when the session is to end.
    pub(crate) shard: Arc<ShardWaker>,
}

/// How a session hears that it is to end.
#[derive(Debug)]
pub(super) enum Bell {
    /// A subscriber's shard looks at all its sessions when it is woken.
    Shard(Arc<ShardWaker>),
    /// A publisher's task waits for this.
    Task(CancellationToken),
}

/// One session's place at a key.
#[derive(Debug)]
pub(super) struct Seat {
    peer: IpAddr,
    user_agent: Option<Box<str>>,
    pub(super) since: UnixNanos,
    bell: Bell,
    /// Why it is to end: one of the numbers below.
    ended: AtomicU8,
    /// Counts seats that are to end, over all keys.
    endings: Arc<AtomicU64>,
}

const STAYS: u8 = 0;
const REPLACED: u8 = 1;
const REVOKED: u8 = 2;

impl Seat {
    pub(super) fn new(
        peer: IpAddr,
        user_agent: Option<Box<str>>,
        bell: Bell,
        since: UnixNanos,
        endings: &Arc<AtomicU64>,
    ) -> Self {
        let ended = AtomicU8::new(STAYS);
        Self { peer, user_agent, since, bell, ended, endings: endings.clone() }
    }

    pub(super) fn replace(&self) {
        self.end(REPLACED);
    }

    pub(super) fn revoke(&self) {
        self.end(REVOKED);
    }

    fn end(&self, why: u8) {
        self.ended.store(why, Ordering::SeqCst);
        self.endings.fetch_add(1, Ordering::SeqCst); // before the bell: whoever hears it compares
        match &self.bell {
            Bell::Shard(shard) => shard.wake(),
            Bell::Task(task) => task.cancel(),
        }
    }

    pub(super) fn ended(&self) -> Option<CloseReason> {
        match self.ended.load(Ordering::SeqCst) {
            REPLACED => Some(CloseReason::Replaced),
            REVOKED => Some(CloseReason::Revoked),
            _ => None,
        }
    }

    /// Completes when a publisher's session is to end; never for a subscriber's.
    pub(super) async fn until_ended(&self) {
        match &self.bell {
            Bell::Task(task) => task.cancelled().await,
            Bell::Shard(_) => std::future::pending().await,
        }
    }

    fn is_subscriber(&self) -> bool {
        matches!(self.bell, Bell::Shard(_))
    }

    /// Who sits there, for whoever wants the place.
    fn told(&self) -> String {
        let agent = self.user_agent.as_deref().unwrap_or("no user agent");
        format!("{} ({agent}) since {}", self.peer, self.since)
    }
}

/// The sessions of one key, and what became of others.
#[derive(Debug, Default)]
pub(super) struct Seats {
    /// By number, so by age. Those that are to end are not among them any more.
    seats: BTreeMap<u64, Arc<Seat>>,
    /// How many of them are sessions of subscribers.
    subscribers: usize,
    /// Sessions that found no place.
    pub(super) refused: u64,
    /// When somebody last came with this key.
    pub(super) last: Option<UnixNanos>,
}

impl Seats {
    pub(super) fn take(&mut self, number: u64, seat: Arc<Seat>) {
        self.last = Some(seat.since);
        self.subscribers += usize::from(seat.is_subscriber());
        self.seats.insert(number, seat);
    }

    pub(super) fn leave(&mut self, number: u64) {
        self.remove(number);
    }

    fn remove(&mut self, number: u64) -> Option<Arc<Seat>> {
        let seat = self.seats.remove(&number)?;
        self.subscribers -= usize::from(seat.is_subscriber());
        Some(seat)
    }

    fn subscribers(&self) -> impl Iterator<Item = (u64, &Arc<Seat>)> {
        self.seats.iter().filter(|(_, seat)| seat.is_subscriber()).map(|(n, seat)| (*n, seat))
    }

    /// Sessions of subscribers.
    pub(super) const fn count(&self) -> usize {
        self.subscribers
    }

    /// Sessions of publishers.
    pub(super) fn publishers(&self) -> usize {
        self.seats.len() - self.count()
    }

    /// Since when the oldest session of a subscriber is there.
    pub(super) fn since(&self) -> Option<UnixNanos> {
        self.subscribers().next().map(|(_, seat)| seat.since)
    }

    /// Ends the oldest session of a subscriber for a newer one.
    pub(super) fn replace_oldest(&mut self) {
        let oldest = self.subscribers().next().map(|(number, _)| number);
        if let Some(seat) = oldest.and_then(|number| self.remove(number)) {
            seat.replace();
        }
    }

    /// Ends all sessions: what they may do is not what it was.
    pub(super) fn revoke(&mut self) {
        self.subscribers = 0;
        for seat in std::mem::take(&mut self.seats).into_values() {
            seat.revoke();
        }
    }

    /// Who the oldest of the subscribers are.
    pub(super) fn told(&self) -> String {
        let told: Vec<_> = self.subscribers().take(3).map(|(_, seat)| seat.told()).collect();
        let more = if self.count() > told.len() { " and others" } else { "" };
        format!("{}{more}", told.join(", "))
    }
}
