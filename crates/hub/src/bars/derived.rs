//! Makes the state of a [`BarMaker`] part of the checkpoints of the log on disk.

use super::BarMaker;
use crate::durable::CheckpointedState;
use crate::fanout::{Batch, FeedId};

impl CheckpointedState for BarMaker {
    fn restore(&mut self, saved: &[u8], feeds: &[FeedId]) {
        if saved.is_empty() {
            return; // the hub that wrote the checkpoint made no bars
        }
        match Self::restore_state(self.config.clone(), saved, feeds) {
            Ok(restored) => *self = restored,
            Err(error) => {
                tracing::warn!(%error, "bars start without the state of the previous run")
            }
        }
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
