//! Messages that were sent and not acknowledged yet.

use std::collections::VecDeque;

use tokio_tungstenite::tungstenite::Bytes;

/// A queue of numbered messages, bounded in messages and bytes. It also knows which part of the
/// source each message covers: they follow each other without gaps.
#[derive(Debug)]
pub(super) struct Window {
    /// Number of the first message in the queue, or of the next one if it is empty; the others
    /// follow it without gaps.
    first: u64,
    /// Where the source stood before the first message.
    begin: u64,
    queue: VecDeque<Unacked>,
    bytes: usize,
    messages_max: usize,
    bytes_max: usize,
}

/// A data message.
#[derive(Debug)]
pub(super) struct Unacked {
    pub(super) message: Bytes,
    /// Ticks in it.
    pub(super) ticks: usize,
    /// Where the source stands behind it.
    pub(super) end: u64,
}

impl Window {
    pub(super) fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self { first: 1, begin: 0, queue: VecDeque::new(), bytes: 0, messages_max, bytes_max }
    }

    /// Whether another message may be taken: the limits are passed by less than one message.
    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < self.messages_max && self.bytes < self.bytes_max
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Where the source stood before the first message: everything up to there is acknowledged.
    pub(super) fn begin(&self) -> u64 {
        self.begin
    }

    /// Keeps a message until it is acknowledged.
    pub(super) fn push(&mut self, unacked: Unacked) {
        self.bytes += unacked.message.len();
        self.queue.push_back(unacked);
    }

    /// Puts a message before all others, so that they begin earlier.
    pub(super) fn push_front(&mut self, begin: u64, unacked: Unacked) {
        self.begin = begin;
        self.bytes += unacked.message.len();
        self.queue.push_front(unacked);
    }

    /// The messages up to this number are taken: returns how many ticks that were; `None` if none of the
    /// messages is new. Messages that only tell of lost ticks hold none.
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

    /// A session begins with a hub that has taken the source up to `at`: what it has of the messages
    /// is dropped. Returns how many ticks that were; `None` if `at` is not between two messages.
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

    /// A session begins: the hub has taken this many messages, so ours are numbered from there.
    pub(super) fn number_from(&mut self, last: u64) {
        self.first = last.saturating_add(1);
    }

    /// Forgets all messages: the source stands at `at`. Returns how many ticks they held.
    pub(super) fn clear(&mut self, at: u64) -> usize {
        let ticks = self.queue.drain(..).map(|unacked| unacked.ticks).sum();
        self.bytes = 0;
        self.begin = at;
        ticks
    }

    /// What has to be sent again, in order.
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

    /// Five ticks in each message.
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
    fn what_the_hub_took_before_the_connection_broke_is_not_sent_again() {
        let mut window = window(3);
        assert_eq!(window.ack(1), Some(5));
        assert_eq!(window.settle(10), Some(5));
        window.number_from(2);
        assert_eq!((left(&window), window.begin()), (vec![2], 10));
        assert_eq!(window.ack(3), Some(5));
        assert!(window.is_empty());
    }

    #[test]
    fn hub_that_forgot_gets_everything_unacked_under_new_numbers() {
        let mut window = window(3);
        window.ack(1);
        window.number_from(0);
        assert_eq!(left(&window), [1, 2]);
        assert_eq!(window.ack(1), Some(5));
        assert_eq!(left(&window), [2]);
    }

    #[test]
    fn hub_that_stands_elsewhere_is_not_served_from_the_window() {
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
    fn message_put_in_front_begins_where_it_says() {
        let mut window = window(2);
        window.ack(1);
        window.push_front(2, unacked(b"\x09", 0, 5));
        assert_eq!((left(&window), window.settle(2)), (vec![9, 1], Some(0)));
        assert_eq!(window.settle(5), Some(0));
        assert_eq!(left(&window), [1]);
    }

    #[test]
    fn numbering_goes_on_behind_an_earlier_run() {
        let mut window = Window::new(3, 1_000);
        window.number_from(57);
        window.push(unacked(b"x", 5, 5));
        assert_eq!(window.ack(57), None);
        assert_eq!(window.ack(58), Some(5));
    }
}
