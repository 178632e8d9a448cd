//! Bars in the making as a part of the durable log's checkpoints.

use super::BarMaker;
use crate::durable::Derived;
use crate::fanout::{Batch, FeedId};

impl Derived for BarMaker {
    fn restore(&mut self, saved: &[u8], feeds: &[FeedId]) {
        if saved.is_empty() {
            return; // the hub that wrote it made no bars
        }
        match Self::restore_state(self.config.clone(), saved, feeds) {
            Ok(restored) => *self = restored,
            Err(error) => tracing::warn!(%error, "bars begin anew"),
        }
    }

    fn observe(&mut self, batch: &Batch, made: usize) {
        self.follow(batch.ticks(), made, batch.received());
    }

    fn leave_alone(&mut self, feed: FeedId) {
        Self::leave_alone(self, feed);
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.save_state(out);
    }
}
