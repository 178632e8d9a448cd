//! Limits the publishers of the hub, in total, per key and per client address.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slab::Slab;
use tokio_util::sync::CancellationToken;

use super::connection_limiter::limited_client;

/// One key may hold 1/2 of all places, and so may the publishers of one address. Those of others
/// find room.
const SHARE: usize = 2;

/// Publishers that were told to leave and have not left yet, as a part of all places.
const LEAVING_SHARE: usize = 4;

/// Counts publishers, at most a fixed number.
///
/// At a limit, a new publisher takes the place of the oldest one that has sent nothing since it
/// connected; without a key first.
#[derive(Debug)]
pub(crate) struct PublisherLimiter {
    publishers: Mutex<Slab<Publisher>>,
    max: usize,
}

#[derive(Debug)]
struct Publisher {
    holder: PublisherHolder,
    /// The client, if the number of its publishers is limited.
    client: Option<IpAddr>,
    /// Ascends from publisher to publisher.
    age: u64,
    is_silent: bool,
    /// Cancelled when the publisher has to leave. It has lost its place then.
    left: CancellationToken,
}

/// What gives a publisher its rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PublisherHolder {
    /// Nothing: the hub is open.
    Anonymous,
    /// A token of the command line.
    Token,
    /// A key of the keys file.
    Key {
        /// Id of the key.
        id: String,
        /// Name of the key, for messages.
        name: String,
    },
}

/// The place of one publisher. Dropping it makes room for another publisher.
#[derive(Debug)]
pub(crate) struct PublisherSlot {
    limiter: Arc<PublisherLimiter>,
    number: usize,
    left: CancellationToken,
}

impl PublisherLimiter {
    /// Creates a limiter of `max` publishers.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { publishers: Mutex::default(), max })
    }

    /// Admits a publisher from an address.
    ///
    /// # Errors
    /// Fails if the hub, the key or the address has as many publishers as are allowed, and all of
    /// them have sent something. The error names the limit.
    pub(crate) fn admit(
        self: &Arc<Self>,
        holder: PublisherHolder,
        address: IpAddr,
    ) -> Result<PublisherSlot, String> {
        let share = self.max.div_ceil(SHARE);
        let client = limited_client(address);
        let mut publishers = self.lock();
        if let PublisherHolder::Key { name, .. } = &holder {
            make_room(&publishers, share, |publisher| publisher.holder == holder)
                .ok_or_else(|| format!("key {name} has {share} publishers, the most of one key"))?;
        }
        if let Some(client) = client {
            make_room(&publishers, share, |publisher| publisher.client == Some(client))
                .ok_or_else(|| {
                    format!("{address} has {share} publishers, the most of one address")
                })?;
        }
        let full = || format!("the hub has {} publishers, the most allowed", self.max);
        make_room(&publishers, self.max, |_| true).ok_or_else(full)?;
        if publishers.len() > self.max + self.max / LEAVING_SHARE {
            return Err(full()); // too many of those that lost their places are still leaving
        }
        let left = CancellationToken::new();
        let age = publishers.iter().map(|(_, other)| other.age + 1).max().unwrap_or_default();
        let publisher = Publisher { holder, client, age, is_silent: true, left: left.clone() };
        let number = publishers.insert(publisher);
        drop(publishers);
        Ok(PublisherSlot { limiter: self.clone(), number, left })
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Publisher>> {
        self.publishers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room for one more publisher among at most `max` of a group. Returns `None` if all places
/// of the group are taken by publishers that have sent something.
fn make_room(
    publishers: &Slab<Publisher>,
    max: usize,
    is_in_group: impl Fn(&Publisher) -> bool,
) -> Option<()> {
    let staying = |publisher: &&Publisher| !publisher.left.is_cancelled() && is_in_group(publisher);
    let group = || publishers.iter().map(|(_, publisher)| publisher).filter(staying);
    if group().count() < max {
        return Some(());
    }
    let silent = group().filter(|publisher| publisher.is_silent);
    let first = silent
        .min_by_key(|publisher| (publisher.holder != PublisherHolder::Anonymous, publisher.age));
    first?.left.cancel();
    Some(())
}

impl PublisherSlot {
    /// Notes that the publisher has sent something. It keeps its place from now on.
    pub(crate) fn note_message(&self) {
        self.limiter.lock()[self.number].is_silent = false;
    }

    /// Completes when the publisher has to leave.
    pub(crate) async fn taken(&self) {
        self.left.cancelled().await;
    }
}

impl Drop for PublisherSlot {
    fn drop(&mut self) {
        self.limiter.lock().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEAR: &str = "127.0.0.1";
    const ANYBODY: PublisherHolder = PublisherHolder::Anonymous;

    fn key(id: &str) -> PublisherHolder {
        PublisherHolder::Key { id: id.to_owned(), name: "market".to_owned() }
    }

    fn admit(
        limiter: &Arc<PublisherLimiter>,
        holder: &PublisherHolder,
        address: &str,
    ) -> Result<PublisherSlot, String> {
        limiter.admit(holder.clone(), address.parse().unwrap())
    }

    fn speaking(
        limiter: &Arc<PublisherLimiter>,
        holder: &PublisherHolder,
        address: &str,
    ) -> Result<PublisherSlot, String> {
        admit(limiter, holder, address).inspect(PublisherSlot::note_message)
    }

    fn has_to_leave(slot: &PublisherSlot) -> bool {
        slot.left.is_cancelled()
    }

    #[test]
    fn key_leaves_half_of_the_places_to_others() {
        let limiter = PublisherLimiter::new(4);
        let _first = [0, 1].map(|_| speaking(&limiter, &key("A"), NEAR).unwrap());
        let text = speaking(&limiter, &key("A"), NEAR).unwrap_err();
        assert!(text.contains("has 2 publishers, the most of one key"), "{text}");
        let _second = [0, 1].map(|_| speaking(&limiter, &key("B"), NEAR).unwrap());
        let text = speaking(&limiter, &key("C"), NEAR).unwrap_err();
        assert!(text.contains("the hub has 4 publishers"), "{text}");
    }

    #[test]
    fn address_leaves_half_of_the_places_to_others_except_loopback() {
        let limiter = PublisherLimiter::new(4);
        let _far = [0, 1].map(|_| speaking(&limiter, &ANYBODY, "192.0.2.1").unwrap());
        let text = speaking(&limiter, &ANYBODY, "192.0.2.1").unwrap_err();
        assert!(text.contains("192.0.2.1 has 2 publishers"), "{text}");
        let limiter = PublisherLimiter::new(4);
        let _near = [0, 1, 2, 3].map(|_| speaking(&limiter, &ANYBODY, NEAR).unwrap());
    }

    #[test]
    fn silent_publishers_make_room_without_a_key_first() {
        let limiter = PublisherLimiter::new(4);
        let with_key = admit(&limiter, &key("A"), NEAR).unwrap();
        let active = speaking(&limiter, &ANYBODY, NEAR).unwrap();
        let silent = [0, 1].map(|_| admit(&limiter, &ANYBODY, NEAR).unwrap());
        let _new = speaking(&limiter, &key("B"), NEAR).unwrap();
        assert!(has_to_leave(&silent[0]) && !has_to_leave(&silent[1]));
        drop(silent);
        let _newer = [0, 1].map(|_| speaking(&limiter, &key("C"), NEAR).unwrap());
        assert!(has_to_leave(&with_key) && !has_to_leave(&active));
    }

    #[test]
    fn silent_publishers_of_a_key_make_room_for_it() {
        let limiter = PublisherLimiter::new(4);
        let silent = [0, 1].map(|_| admit(&limiter, &key("A"), NEAR).unwrap());
        let _others = [0, 1].map(|_| admit(&limiter, &key("B"), NEAR).unwrap());
        let _new = admit(&limiter, &key("A"), NEAR).unwrap();
        assert!(has_to_leave(&silent[0]) && !has_to_leave(&silent[1]));
    }

    #[test]
    fn publishers_that_do_not_leave_are_bounded() {
        let limiter = PublisherLimiter::new(4);
        let slots: Vec<_> = (0..100).filter_map(|_| admit(&limiter, &ANYBODY, NEAR).ok()).collect();
        assert_eq!(slots.len(), 6);
        drop(slots);
        assert!(limiter.lock().is_empty());
    }
}
