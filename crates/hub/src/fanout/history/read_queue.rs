//! Sessions that wait for a disk read.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::super::{ClientId, SessionId};
use super::disk_index::ReadKind;

/// A queue in which clients take turns, however many of their sessions wait. The sessions without
/// a client count as one.
#[derive(Debug, Default)]
pub(super) struct ReadQueue {
    /// The waiting sessions of each client, in the order of their numbers; never empty.
    by_client: FxHashMap<Option<ClientId>, VecDeque<QueuedRead>>,
    /// The clients of `by_client`; the first one is next.
    turns: VecDeque<Option<ClientId>>,
}

/// A session that waits for a disk read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueuedRead {
    pub(crate) id: SessionId,
    pub(crate) client: Option<ClientId>,
    /// Number of the read; greater than those of all earlier ones.
    pub(crate) number: u64,
    pub(crate) kind: ReadKind,
}

impl ReadQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    pub(super) fn push(&mut self, read: QueuedRead) {
        let of_client = self.by_client.entry(read.client).or_default();
        if of_client.is_empty() {
            self.turns.push_back(read.client);
        }
        of_client.push_back(read);
    }

    /// Takes the longest waiting session of the client whose turn it is.
    pub(super) fn pop(&mut self) -> Option<QueuedRead> {
        let client = self.turns.pop_front()?;
        let of_client = self.by_client.get_mut(&client)?;
        let read = of_client.pop_front();
        if of_client.is_empty() {
            self.by_client.remove(&client);
        } else {
            self.turns.push_back(client);
        }
        read
    }

    /// Removes a session, if it still waits.
    pub(super) fn remove(&mut self, read: &QueuedRead) {
        let Some(of_client) = self.by_client.get_mut(&read.client) else { return };
        if let Ok(at) = of_client.binary_search_by_key(&read.number, |queued| queued.number) {
            of_client.remove(at);
        }
        if of_client.is_empty() {
            self.by_client.remove(&read.client);
            self.turns.retain(|client| *client != read.client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(client: u32, number: u64) -> QueuedRead {
        let id = SessionId(u32::try_from(number).unwrap());
        QueuedRead { id, client: Some(ClientId(client)), number, kind: ReadKind::Prompt }
    }

    fn numbers(queue: &mut ReadQueue) -> Vec<u64> {
        std::iter::from_fn(|| queue.pop()).map(|read| read.number).collect()
    }

    #[test]
    fn clients_alternate() {
        let mut queue = ReadQueue::default();
        (1..=5).for_each(|number| queue.push(read(1, number)));
        queue.push(read(2, 6));
        queue.push(read(3, 7));
        queue.push(read(3, 8));
        assert_eq!(numbers(&mut queue), [1, 6, 7, 2, 8, 3, 4, 5]);
        assert!(queue.is_empty() && queue.by_client.is_empty());
    }

    #[test]
    fn client_that_waits_again_comes_after_the_others() {
        let mut queue = ReadQueue::default();
        (1..=3).for_each(|number| queue.push(read(1, number)));
        queue.push(read(2, 4));
        assert_eq!([queue.pop(), queue.pop()].map(|read| read.unwrap().number), [1, 4]);
        queue.push(read(2, 5));
        assert_eq!(numbers(&mut queue), [2, 5, 3]);
    }

    #[test]
    fn session_that_stops_waiting_leaves_the_queue() {
        let mut queue = ReadQueue::default();
        (1..=2).for_each(|number| queue.push(read(1, number)));
        queue.push(read(2, 3));
        queue.remove(&read(2, 3));
        queue.remove(&read(1, 1));
        queue.remove(&read(1, 1));
        assert_eq!(numbers(&mut queue), [2]);
        assert!(queue.is_empty() && queue.by_client.is_empty());
    }
}
