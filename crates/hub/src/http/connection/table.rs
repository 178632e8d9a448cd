//! All open HTTP connections, and which of them makes room for a new one.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use slab::Slab;
use tokio::sync::Notify;

use super::activity::Activity;
use crate::access::admission::{ConnectionLimiter, client_prefix};

/// One client may hold 1/4 of all connections. A client that opens many connections cannot lock out
/// the others.
const CLIENT_SHARE: usize = 4;

/// Time after which a connection that waits for a place looks for another one to close.
const RETRY: Duration = Duration::from_millis(100);

/// The open connections, at most a fixed number.
///
/// At the limit, a new connection takes the place of the one that has waited longest for its
/// client. Connections with a request under way keep their places, unless the client does not read
/// the answer.
#[derive(Debug)]
pub(super) struct ConnectionTable {
    state: Mutex<State>,
    max: usize,
    /// Notified when a connection has ended.
    ended: Notify,
}

#[derive(Debug)]
struct State {
    connections: Slab<Connection>,
    by_client: ConnectionLimiter,
}

#[derive(Debug)]
struct Connection {
    /// The client; `None` for a connection of a proxy that has named no client.
    address: Option<IpAddr>,
    activity: Arc<Activity>,
    /// Whether the connection counts in the share of its client. One that was closed for another
    /// connection of the client no longer does.
    is_counted: bool,
}

/// The place of one connection. Dropping it makes room for another connection.
#[derive(Debug)]
pub(super) struct Place {
    table: Arc<ConnectionTable>,
    number: usize,
}

/// Why there is no place for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoPlace {
    /// All places are taken for the moment.
    Full,
    /// The client has its share of places, and all its connections are busy.
    ClientFull,
}

impl ConnectionTable {
    /// Creates a table with `max` places.
    pub(super) fn new(max: usize) -> Self {
        let by_client = ConnectionLimiter::new(max.div_ceil(CLIENT_SHARE));
        let state = State { connections: Slab::new(), by_client };
        Self { state: Mutex::new(state), max, ended: Notify::new() }
    }

    /// Waits for a place for a connection from an address. Returns `None` if the client of this
    /// address may have no more connections. A connection without an address counts for no client.
    pub(super) async fn place(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        activity: &Arc<Activity>,
        clock: fn() -> Instant,
    ) -> Option<Place> {
        loop {
            match self.admit(address, activity, clock()) {
                Ok(place) => return Some(place),
                Err(NoPlace::ClientFull) => return None,
                Err(NoPlace::Full) => {
                    let _retry = tokio::time::timeout(RETRY, self.ended.notified()).await;
                }
            }
        }
    }

    /// Returns whether less than a quarter of the places is free. Answers then announce the end of
    /// their connections, so that new ones need not close others.
    pub(super) fn is_crowded(&self) -> bool {
        self.lock().connections.len() > self.max - self.max / 4
    }

    fn admit(
        self: &Arc<Self>,
        address: impl Into<Option<IpAddr>>,
        activity: &Arc<Activity>,
        now: Instant,
    ) -> Result<Place, NoPlace> {
        let mut state = self.lock();
        if state.connections.len() >= self.max {
            state.make_room(now);
            return Err(NoPlace::Full);
        }
        let address = address.into();
        if let Some(address) = address {
            state.count(address, now)?;
        }
        let is_counted = address.is_some();
        let connection = Connection { address, activity: activity.clone(), is_counted };
        let number = state.connections.insert(connection);
        Ok(Place { table: self.clone(), number })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Closes the connection that has waited longest for its client, unless another one is about to
    /// end.
    fn make_room(&self, now: Instant) {
        if !self.connections.iter().any(|(_, connection)| connection.activity.is_ending())
            && let Some(number) = self.longest_waiting(now, |_| true)
        {
            self.connections[number].activity.close();
        }
    }

    /// Counts one more connection in the share of a client, if necessary in the place of another.
    fn count(&mut self, address: IpAddr, now: Instant) -> Result<(), NoPlace> {
        match self.by_client.admit(address) {
            Ok(()) => Ok(()),
            Err(_) => self.make_room_in_share(address, now).ok_or(NoPlace::ClientFull),
        }
    }

    /// Closes the connection of a client that has waited longest, whose place in the share of the
    /// client goes to a new one.
    fn make_room_in_share(&mut self, address: IpAddr, now: Instant) -> Option<()> {
        let client = client_prefix(address);
        let is_of_client = |other: &Connection| {
            other.is_counted
                && other.address.is_some_and(|address| client_prefix(address) == client)
        };
        let number = self.longest_waiting(now, is_of_client)?;
        let connection = &mut self.connections[number];
        connection.is_counted = false;
        connection.activity.close();
        Some(())
    }

    /// Returns the connection that has waited longest for its client. A client that does not read
    /// its answer comes after those that owe a request.
    fn longest_waiting(&self, now: Instant, of: impl Fn(&Connection) -> bool) -> Option<usize> {
        let waiting = self.connections.iter().filter(|(_, connection)| of(connection));
        let waiting = waiting.filter_map(|(number, connection)| {
            Some((connection.activity.waiting_since(now)?, number))
        });
        waiting.min().map(|(_, number)| number)
    }
}

impl Place {
    /// Returns the table that the place belongs to.
    pub(super) const fn table(&self) -> &Arc<ConnectionTable> {
        &self.table
    }

    /// Counts the connection of a proxy in the share of the client that the proxy has named.
    /// Returns whether the client may have it.
    pub(super) fn count_for(&self, address: IpAddr, now: Instant) -> bool {
        let mut state = self.table.lock();
        if state.count(address, now).is_err() {
            return false;
        }
        let connection = &mut state.connections[self.number];
        connection.address = Some(address);
        connection.is_counted = true;
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.table.lock();
        let connection = state.connections.remove(self.number);
        if connection.is_counted
            && let Some(address) = connection.address
        {
            state.by_client.release(address);
        }
        drop(state);
        self.table.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::super::activity::TimeLimits;
    use super::*;
    use crate::clock;

    const LIMITS: TimeLimits =
        TimeLimits { request: Duration::from_secs(10), idle: Duration::from_secs(60) };
    const FAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const NEAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn activity(now: Instant) -> Arc<Activity> {
        Arc::new(Activity::new(LIMITS, now))
    }

    /// Fills a table with connections from an address, one per second.
    fn filled(max: usize, address: IpAddr) -> (Arc<ConnectionTable>, Vec<(Place, Arc<Activity>)>) {
        let table = Arc::new(ConnectionTable::new(max));
        let start = clock::monotonic();
        let connections = (0..max as u64).map(|second| {
            let activity = activity(start + Duration::from_secs(second));
            (table.admit(address, &activity, start).unwrap(), activity)
        });
        let connections = connections.collect();
        (table, connections)
    }

    #[test]
    fn connection_that_has_waited_longest_makes_room() {
        let (table, mut open) = filled(3, NEAR);
        let now = clock::monotonic() + Duration::from_secs(9);
        open[0].1.requested(now); // busy, although it is the oldest
        assert_eq!(table.admit(NEAR, &activity(now), now).unwrap_err(), NoPlace::Full);
        assert_eq!(table.admit(NEAR, &activity(now), now).unwrap_err(), NoPlace::Full);
        let ending: Vec<_> = open.iter().map(|(_, activity)| activity.is_ending()).collect();
        assert_eq!(ending, [false, true, false], "one is enough");
        drop(open.remove(1));
        table.admit(NEAR, &activity(now), now).unwrap();
    }

    #[test]
    fn busy_connections_keep_their_places_while_their_clients_read() {
        let (table, open) = filled(2, NEAR);
        let now = clock::monotonic();
        open.iter().for_each(|(_, activity)| activity.requested(now));
        open[1].1.sent(false, now);
        let later = now + Duration::from_secs(2);
        assert_eq!(table.admit(NEAR, &activity(now), now).unwrap_err(), NoPlace::Full);
        assert!(open.iter().all(|(_, activity)| !activity.ends_without_output()));
        assert_eq!(table.admit(NEAR, &activity(now), later).unwrap_err(), NoPlace::Full);
        assert!(!open[0].1.ends_without_output() && open[1].1.ends_without_output());
    }

    #[test]
    fn client_with_its_share_replaces_its_own_connections() {
        let table = Arc::new(ConnectionTable::new(8));
        let now = clock::monotonic();
        let admit = |address: &str| {
            let activity = activity(now);
            let place = table.admit(address.parse::<IpAddr>().unwrap(), &activity, now);
            place.map(|place| (place, activity))
        };
        let first = admit("192.0.2.1").unwrap();
        let second = admit("192.0.2.1").unwrap();
        let third = admit("192.0.2.1").unwrap();
        assert!(first.1.is_ending() && !second.1.is_ending());
        second.1.requested(now);
        third.1.requested(now);
        assert_eq!(admit("192.0.2.1").unwrap_err(), NoPlace::ClientFull);
        let other = admit("192.0.2.2").unwrap();
        drop((first, second, third, other));
        assert!(table.lock().connections.is_empty());
        let _all = [admit("192.0.2.1").unwrap(), admit("192.0.2.1").unwrap()];
    }

    #[test]
    fn connections_of_a_proxy_count_for_the_clients_that_it_names() {
        let table = Arc::new(ConnectionTable::new(8));
        let now = clock::monotonic();
        let busy = || {
            let activity = activity(now);
            activity.requested(now);
            table.admit(None, &activity, now).unwrap()
        };
        let places: Vec<_> = (0..5).map(|_| busy()).collect();
        assert!(places[0].count_for(FAR, now) && places[1].count_for(FAR, now));
        assert!(!places[2].count_for(FAR, now), "it has its share");
        assert!(places[2].count_for(IpAddr::from([192, 0, 2, 2]), now));
        drop(places);
        assert!(table.lock().connections.is_empty());
        let _again = [busy(), busy()].map(|place| assert!(place.count_for(FAR, now)));
    }

    #[test]
    fn answers_are_the_last_while_few_places_are_free() {
        let (table, mut open) = filled(8, NEAR);
        assert!(table.is_crowded());
        open.truncate(6);
        assert!(!table.is_crowded());
        let (small, _open) = filled(1, FAR);
        assert!(!small.is_crowded(), "its only connection may stay");
    }
}
