//! Messages that were sent and not acknowledged yet.

use std::collections::VecDeque;

use tokio_tungstenite::tungstenite::Bytes;

/// A queue of numbered messages, bounded in messages and bytes.
#[derive(Debug)]
pub(super) struct Window {
    /// Number of the first message in the queue, or of the next one if it is empty; the others
    /// follow it without gaps.
    first: u64,
    queue: VecDeque<Unacked>,
    bytes: usize,
    messages_max: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Unacked {
    message: Bytes,
    ticks: usize,
}

impl Window {
    pub(super) fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self { first: 1, queue: VecDeque::new(), bytes: 0, messages_max, bytes_max }
    }

    /// Whether another message may be taken: the limits are passed by less than one message.
    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < self.messages_max && self.bytes < self.bytes_max
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Keeps a message until it is acknowledged.
    pub(super) fn push(&mut self, message: Bytes, ticks: usize) {
        self.bytes += message.len();
        self.queue.push_back(Unacked { message, ticks });
    }

    /// The messages up to this number are taken: returns how many ticks that were.
    pub(super) fn ack(&mut self, upto: u64) -> usize {
        let mut ticks = 0;
        while self.first <= upto {
            let Some(taken) = self.queue.pop_front() else { break };
            self.first += 1;
            self.bytes -= taken.message.len();
            ticks += taken.ticks;
        }
        ticks
    }

    /// A session begins, and the hub has taken the messages up to this number: what is left is
    /// numbered from there. A hub that lost its memory counts from 0 again, and gets the rest too.
    pub(super) fn resume(&mut self, last: u64) -> usize {
        let ticks = self.ack(last);
        self.first = last.saturating_add(1);
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

    fn window(messages: usize) -> Window {
        let mut window = Window::new(3, 1_000);
        for number in 0..messages {
            window.push(Bytes::from(vec![u8::try_from(number).unwrap(); 10]), 5);
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
        large.push(Bytes::from(vec![0; 990]), 1);
        assert!(!large.has_room());
        assert_eq!(large.ack(1), 5);
        assert!(large.has_room());
    }

    #[test]
    fn what_the_hub_took_before_the_connection_broke_is_not_sent_again() {
        let mut window = window(3);
        assert_eq!(window.ack(1), 5);
        assert_eq!(window.resume(2), 5);
        assert_eq!(left(&window), [2]);
        assert_eq!(window.ack(3), 5);
        assert!(window.is_empty());
    }

    #[test]
    fn hub_that_forgot_gets_everything_unacked_under_new_numbers() {
        let mut window = window(3);
        window.ack(1);
        window.resume(0);
        assert_eq!(left(&window), [1, 2]);
        assert_eq!(window.ack(1), 5);
        assert_eq!(left(&window), [2]);
    }

    #[test]
    fn numbering_goes_on_behind_an_earlier_run() {
        let mut window = Window::new(3, 1_000);
        window.resume(57);
        window.push(Bytes::from_static(b"x"), 5);
        assert_eq!(window.ack(57), 0);
        assert_eq!(window.ack(58), 5);
    }
}
