//! Aligns the source with the hub's mark at the start of a session.
//!
//! The mark says how many ticks of which source the hub has taken. Between two sessions the hub may
//! have
//!
//! - taken some of the unacknowledged messages: these are dropped, the others are sent again;
//! - lost acknowledged ticks, if its machine failed: a source that can be read again is rewound to
//!   the mark; a live source cannot, and the number of lost ticks is reported;
//! - lost all state of this publisher, if it keeps no log on disk: its ticks are gone with its
//!   epoch, and publishing continues at the current position of the source.

use std::sync::atomic::Ordering::Relaxed;

use super::connection::Problem;
use super::mark;
use super::session::Publisher;
use super::window::Unacked;
use crate::progress::add;
use crate::tick_stream::TickStream;
use crate::{PublishError, SourceError};

/// Ticks skipped between two checks of the cancellation.
const SKIP_TICKS: u64 = 10_000;

/// What the hub's mark says about this source.
#[derive(Debug, PartialEq, Eq)]
enum HubMark {
    /// The hub has taken this many ticks of the source.
    At(u64),
    /// The hub has no mark of this publisher.
    Unknown,
    /// The mark belongs to another source.
    OtherSource,
}

impl<S: TickStream> Publisher<S> {
    /// Moves the source and the window of unacknowledged messages to the position of the hub's
    /// mark, at the start of a session. `last` is the number of the last message that the hub
    /// received.
    pub(super) async fn align(&mut self, last: u64, mark: Option<&str>) -> Result<(), Problem> {
        let identity = self.stream.identity();
        let hub_mark = mark.map_or(HubMark::Unknown, |mark| {
            mark::read(identity, mark).map_or(HubMark::OtherSource, HubMark::At)
        });
        match hub_mark {
            HubMark::At(at) => self.move_to(at).await,
            HubMark::Unknown => {
                if self.window.begin() > 0 {
                    tracing::warn!(
                        "the hub no longer knows this publisher: the ticks that it had taken are lost"
                    );
                }
            }
            HubMark::OtherSource if !self.aligned => {
                if self.stream.resumes() {
                    tracing::warn!(
                        "the hub's mark for this publisher id belongs to another source: starting at the first tick"
                    );
                }
                self.foreign = mark.map(str::to_owned);
            }
            // The hub has taken no tick of this source, or has lost them all.
            HubMark::OtherSource if self.foreign.as_deref() == mark => self.move_to(0).await,
            HubMark::OtherSource => return Err(Problem::Fatal(PublishError::OtherSource)),
        }
        self.window.number_from(last);
        self.aligned = true;
        Ok(())
    }

    /// Continues publishing at position `at` of the source: with the unacknowledged messages after
    /// it if the window reaches back that far, otherwise by moving the source.
    async fn move_to(&mut self, at: u64) {
        if let Some(taken) = self.window.settle(at) {
            add(&self.progress.acked, taken);
            return;
        }
        let lost = self.window.begin().saturating_sub(at);
        match self.move_source(at).await {
            Ok(true) if lost > 0 => {
                tracing::warn!("the hub lost {lost} acknowledged ticks: publishing them again");
                self.progress.republished.fetch_add(lost, Relaxed);
            }
            Ok(false) if lost > 0 => self.report_lost(at, lost),
            Ok(_) => {}
            Err(error) => {
                // No tick may follow, because it would hide the missing ones before it.
                self.window.clear(at);
                self.failed = Some(error);
            }
        }
    }

    /// Moves the source to a position and clears the window. Returns `false` if the source cannot
    /// be rewound.
    async fn move_source(&mut self, at: u64) -> Result<bool, SourceError> {
        if at < self.stream.taken() && !self.stream.rewind()? {
            return Ok(false);
        }
        let unacked = self.window.clear(at);
        self.progress.ticks.fetch_sub(unacked as u64, Relaxed);
        self.unreported_drops = 0;
        while self.stream.taken() < at {
            if self.cancel.is_cancelled() {
                self.stream.stop();
                if self.stream.has_ended() {
                    break; // no tick of this run is unacknowledged
                }
            }
            let skipped = self.stream.skip((at - self.stream.taken()).min(SKIP_TICKS))?;
            if skipped == 0 {
                break;
            }
            if !self.aligned {
                self.progress.resumed_after.fetch_add(skipped, Relaxed);
            }
            tokio::task::yield_now().await;
        }
        Ok(true)
    }

    /// Puts a message before all others that reports `lost` ticks after position `at` of the source
    /// as lost.
    fn report_lost(&mut self, at: u64, lost: u64) {
        tracing::warn!("the hub lost {lost} acknowledged ticks, and this source cannot be rewound");
        self.progress.lost.fetch_add(lost, Relaxed);
        self.message.clear();
        let end = self.window.begin();
        let message = self.seal(lost, end);
        self.window.push_front(at, Unacked { message, ticks: 0, end });
    }
}
