//! Makes the state of a [`BarMaker`] part of the checkpoints of the log on disk.

use super::state::CheckpointedState;
use crate::bars::BarMaker;
use crate::fanout::{Batch, FeedId};

impl CheckpointedState for BarMaker {
    fn restore(&mut self, saved: &[u8], feeds: &[FeedId]) {
        Self::restore(self, saved, feeds);
    }

    fn observe(&mut self, batch: &Batch, made: usize) {
        self.replay(batch.ticks(), made, batch.received());
    }

    fn disable_bars(&mut self, feed: FeedId) {
        Self::disable_bars(self, feed);
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.save_state(out);
    }
}
