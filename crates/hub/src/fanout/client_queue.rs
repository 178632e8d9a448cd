//! A queue in which clients take turns.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::ClientId;

/// A queue in which clients take turns, however much each of them waits for. What waits without a
/// client counts as that of one more client.
#[derive(Debug)]
pub(super) struct ClientQueue<T> {
    /// What waits for each client, in the order of arrival; never empty.
    by_client: FxHashMap<Option<ClientId>, VecDeque<T>>,
    /// The clients of `by_client`; the first one is next.
    turns: VecDeque<Option<ClientId>>,
}

impl<T> Default for ClientQueue<T> {
    fn default() -> Self {
        Self { by_client: FxHashMap::default(), turns: VecDeque::new() }
    }
}

impl<T> ClientQueue<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Returns the number of waiting items.
    pub(super) fn len(&self) -> usize {
        self.by_client.values().map(VecDeque::len).sum()
    }

    pub(super) fn push(&mut self, client: Option<ClientId>, item: T) {
        let of_client = self.by_client.entry(client).or_default();
        if of_client.is_empty() {
            self.turns.push_back(client);
        }
        of_client.push_back(item);
    }

    /// Takes the longest waiting item of the client whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.pop_if(|_| true)
    }

    /// Takes the longest waiting item of the next client that `may_take` selects. Clients that are
    /// passed over keep their places.
    pub(super) fn pop_if(&mut self, may_take: impl Fn(Option<ClientId>) -> bool) -> Option<T> {
        let at = self.turns.iter().position(|client| may_take(*client))?;
        let client = self.turns.remove(at)?;
        let of_client = self.by_client.get_mut(&client)?;
        let item = of_client.pop_front();
        if of_client.is_empty() {
            self.by_client.remove(&client);
        } else {
            self.turns.push_back(client);
        }
        item
    }

    /// Removes the item of a client at the index that `find` returns.
    pub(super) fn remove(
        &mut self,
        client: Option<ClientId>,
        find: impl FnOnce(&VecDeque<T>) -> Option<usize>,
    ) -> Option<T> {
        let of_client = self.by_client.get_mut(&client)?;
        let item = find(of_client).and_then(|at| of_client.remove(at));
        if of_client.is_empty() {
            self.by_client.remove(&client);
            self.turns.retain(|waiting| *waiting != client);
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the items in the order in which they are taken.
    fn taken(queue: &mut ClientQueue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    fn push(queue: &mut ClientQueue<u32>, client: u32, item: u32) {
        queue.push(Some(ClientId(client)), item);
    }

    #[test]
    fn clients_alternate() {
        let mut queue = ClientQueue::default();
        (1..=5).for_each(|item| push(&mut queue, 1, item));
        push(&mut queue, 2, 6);
        push(&mut queue, 3, 7);
        push(&mut queue, 3, 8);
        assert_eq!(queue.len(), 8);
        assert_eq!(taken(&mut queue), [1, 6, 7, 2, 8, 3, 4, 5]);
        assert!(queue.is_empty() && queue.by_client.is_empty());
    }

    #[test]
    fn client_that_waits_again_comes_after_the_others() {
        let mut queue = ClientQueue::default();
        (1..=3).for_each(|item| push(&mut queue, 1, item));
        push(&mut queue, 2, 4);
        assert_eq!([queue.pop(), queue.pop()], [Some(1), Some(4)]);
        push(&mut queue, 2, 5);
        assert_eq!(taken(&mut queue), [2, 5, 3]);
    }

    #[test]
    fn client_that_is_passed_over_is_next() {
        let mut queue = ClientQueue::default();
        (1..=2).for_each(|item| push(&mut queue, 1, item));
        (3..=4).for_each(|item| push(&mut queue, 2, item));
        assert_eq!(queue.pop_if(|client| client == Some(ClientId(2))), Some(3));
        assert_eq!(queue.pop_if(|_| false), None);
        assert_eq!(taken(&mut queue), [1, 4, 2]);
    }

    #[test]
    fn removed_item_leaves_the_queue() {
        let mut queue = ClientQueue::default();
        (1..=2).for_each(|item| push(&mut queue, 1, item));
        push(&mut queue, 2, 3);
        let remove = |queue: &mut ClientQueue<u32>, client, item| {
            queue.remove(Some(ClientId(client)), |items| items.iter().position(|it| *it == item))
        };
        assert_eq!(remove(&mut queue, 2, 3), Some(3));
        assert_eq!(remove(&mut queue, 1, 1), Some(1));
        assert_eq!(remove(&mut queue, 1, 1), None);
        assert_eq!(taken(&mut queue), [2]);
        assert!(queue.is_empty() && queue.by_client.is_empty());
    }
}
