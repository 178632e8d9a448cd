//! The window of unacknowledged messages.

use std::collections::VecDeque;

use tokio_tungstenite::tungstenite::Bytes;

/// A queue of the messages that the hub has not acknowledged, bounded in number and bytes. Each
/// message covers a range of the source's ticks; the ranges are contiguous.
#[derive(Debug)]
pub(super) struct Window {
    /// Number of the first message in the queue, or of the next message if the queue is empty.
    first: u64,
    /// Position of the source before the first message.
    begin: u64,
    queue: VecDeque<Unacked>,
    bytes: usize,
    messages_max: usize,
    bytes_max: usize,
}

/// An unacknowledged data message.
#[derive(Debug)]
pub(super) struct Unacked {
    pub(super) message: Bytes,
    /// Number of ticks in the message.
    pub(super) ticks: usize,
    /// Position of the source after the message.
    pub(super) end: u64,
}

impl Window {
    pub(super) fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self { first: 1, begin: 0, queue: VecDeque::new(), bytes: 0, messages_max, bytes_max }
    }

    /// Returns whether another message may be added. The limits are exceeded by less than one
    /// message.
    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < self.messages_max && self.bytes < self.bytes_max
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns the position of the source before the first message. Ticks before it are
    /// acknowledged.
    pub(super) fn begin(&self) -> u64 {
        self.begin
    }

    /// Adds a message at the end.
    pub(super) fn push(&mut self, unacked: Unacked) {
        self.bytes += unacked.message.len();
        self.queue.push_back(unacked);
    }

    /// Adds a message before all others. `begin` is the position of the source before this message.
    pub(super) fn push_front(&mut self, begin: u64, unacked: Unacked) {
        self.begin = begin;
        self.bytes += unacked.message.len();
        self.queue.push_front(unacked);
    }

    /// Removes the messages that are numbered up to `up_to`, which the hub has acknowledged.
    /// Returns the number of their ticks, or `None` if no message was removed. A message that only
    /// reports lost ticks has no ticks.
    pub(super) fn ack(&mut self, up_to: u64) -> Option<usize> {
        let mut ticks = None;
        while self.first <= up_to {
            let Some(taken) = self.pop() else { break };
            ticks = Some(ticks.unwrap_or(0) + taken);
        }
        ticks
    }

    fn pop(&mut self) -> Option<usize> {
        let taken = self.queue.pop_front()?;
        self.first += 1;
        self.begin = taken.end;
        self.bytes -= taken.message.len();
        Some(taken.ticks)
    }

    /// Removes the messages up to position `at` of the source: the hub's mark says that it has
    /// received them. Returns the number of their ticks, or `None`, and removes nothing, if no
    /// message begins or ends at `at`.
    pub(super) fn settle(&mut self, at: u64) -> Option<usize> {
        let between = at == self.begin || self.queue.iter().any(|unacked| unacked.end == at);
        between.then(|| {
            let mut ticks = 0;
            while self.queue.front().is_some_and(|unacked| unacked.end <= at) {
                ticks += self.pop().unwrap_or_default();
            }
            ticks
        })
    }

    /// Renumbers the messages at the start of a session. The first one follows `last`, the number
    /// of the last message that the hub received.
    pub(super) fn number_from(&mut self, last: u64) {
        self.first = last.saturating_add(1);
    }

    /// Removes all messages and sets the position of the source. Returns the number of removed
    /// ticks.
    pub(super) fn clear(&mut self, at: u64) -> usize {
        let ticks = self.queue.drain(..).map(|unacked| unacked.ticks).sum();
        self.bytes = 0;
        self.begin = at;
        ticks
    }

    /// Iterates over the messages to send again, in order.
    pub(super) fn messages(&self) -> impl Iterator<Item = Bytes> {
        self.queue.iter().map(|unacked| unacked.message.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unacked(text: &'static [u8], ticks: usize, end: u64) -> Unacked {
        Unacked { message: Bytes::from_static(text), ticks, end }
    }

    /// Returns a window of messages with five ticks each.
    fn window(messages: usize) -> Window {
        let mut window = Window::new(3, 1_000);
        for number in 0..messages {
            let message = Bytes::from(vec![u8::try_from(number).unwrap(); 10]);
            window.push(Unacked { message, ticks: 5, end: 5 * (number as u64 + 1) });
        }
        window
    }

    fn left(window: &Window) -> Vec<u8> {
        window.messages().map(|message| message[0]).collect()
    }

    #[test]
    fn limits_hold_in_messages_and_in_bytes() {
        assert!(window(2).has_room());
        assert!(!window(3).has_room());
        let mut large = window(1);
        large.push(Unacked { message: Bytes::from(vec![0; 990]), ticks: 1, end: 6 });
        assert!(!large.has_room());
        assert_eq!(large.ack(1), Some(5));
        assert!(large.has_room());
    }

    #[test]
    fn messages_taken_before_the_connection_broke_are_not_sent_again() {
        let mut window = window(3);
        assert_eq!(window.ack(1), Some(5));
        assert_eq!(window.settle(10), Some(5));
        window.number_from(2);
        assert_eq!((left(&window), window.begin()), (vec![2], 10));
        assert_eq!(window.ack(3), Some(5));
        assert!(window.is_empty());
    }

    #[test]
    fn hub_without_memory_receives_all_unacknowledged_messages_under_new_numbers() {
        let mut window = window(3);
        window.ack(1);
        window.number_from(0);
        assert_eq!(left(&window), [1, 2]);
        assert_eq!(window.ack(1), Some(5));
        assert_eq!(left(&window), [2]);
    }

    #[test]
    fn position_within_a_message_is_not_served_from_the_window() {
        let mut window = window(3);
        window.ack(1);
        for elsewhere in [0, 4, 7, 16] {
            assert_eq!(window.settle(elsewhere), None, "{elsewhere}");
        }
        assert_eq!(left(&window), [1, 2]);
        assert_eq!(window.settle(5), Some(0));
        assert_eq!((window.clear(3), window.begin()), (10, 3));
        assert_eq!(window.settle(3), Some(0));
    }

    #[test]
    fn message_added_in_front_sets_the_start_of_the_window() {
        let mut window = window(2);
        window.ack(1);
        window.push_front(2, unacked(b"\x09", 0, 5));
        assert_eq!((left(&window), window.settle(2)), (vec![9, 1], Some(0)));
        assert_eq!(window.settle(5), Some(0));
        assert_eq!(left(&window), [1]);
    }

    #[test]
    fn numbering_continues_after_an_earlier_run() {
        let mut window = Window::new(3, 1_000);
        window.number_from(57);
        window.push(unacked(b"x", 5, 5));
        assert_eq!(window.ack(57), None);
        assert_eq!(window.ack(58), Some(5));
    }
}
