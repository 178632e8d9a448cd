//! Where a session begins: what the hub has of the source decides.
//!
//! The hub's mark says how many ticks of which source it has taken. Between two sessions it may have
//!
//! - taken some of the messages that were not acknowledged: they are dropped, the others sent again;
//! - lost what it had acknowledged, when its machine failed: a source that can be read again goes
//!   back to the mark and is published from there; a live source cannot, and tells how many ticks are
//!   gone;
//! - lost all it knew of us, when it keeps no log on disk: what it had is gone with its epoch, and
//!   the market goes on from where the source is.

use std::sync::atomic::Ordering::Relaxed;

use super::connection::Problem;
use super::mark;
use super::session::Publisher;
use super::window::Unacked;
use crate::progress::add;
use crate::tick_stream::TickStream;
use crate::{PublishError, SourceError};

/// Ticks passed over between two looks at the cancellation.
const SKIP_TICKS: u64 = 10_000;

/// How the hub's mark and the source go together.
#[derive(Debug, PartialEq, Eq)]
enum Stand {
    /// So many ticks of this source have been taken.
    At(u64),
    /// The hub does not know this publisher.
    Unknown,
    /// It has been told of another source.
    Elsewhere,
}

impl<S: TickStream> Publisher<S> {
    /// Puts source and window where the hub stands.
    pub(super) async fn align(&mut self, last: u64, mark: Option<&str>) -> Result<(), Problem> {
        let identity = self.stream.identity();
        let stand = mark.map_or(Stand::Unknown, |mark| {
            mark::read(identity, mark).map_or(Stand::Elsewhere, Stand::At)
        });
        match stand {
            Stand::At(at) => self.meet(at).await,
            Stand::Unknown => {
                if self.window.begin() > 0 {
                    tracing::warn!(
                        "the hub does not know this publisher any more: going on without what it had taken"
                    );
                }
            }
            Stand::Elsewhere if !self.aligned => {
                if self.stream.resumes() {
                    tracing::warn!(
                        "the hub's mark for this publisher id is of another source: starting at its beginning"
                    );
                }
                self.foreign = mark.map(str::to_owned);
            }
            // It has taken nothing of ours, or has lost all of it.
            Stand::Elsewhere if self.foreign.as_deref() == mark => self.meet(0).await,
            Stand::Elsewhere => return Err(Problem::Fatal(PublishError::OtherSource)),
        }
        self.window.number_from(last);
        self.aligned = true;
        Ok(())
    }

    /// The hub stands somewhere in our source.
    async fn meet(&mut self, at: u64) {
        if let Some(taken) = self.window.settle(at) {
            add(&self.progress.acked, taken);
            return;
        }
        let lost = self.window.begin().saturating_sub(at);
        match self.go_to(at).await {
            Ok(true) if lost > 0 => {
                tracing::warn!(
                    "the hub has lost {lost} ticks it had acknowledged: publishing them again"
                );
                self.progress.republished.fetch_add(lost, Relaxed);
            }
            Ok(false) if lost > 0 => self.tell_gone(at, lost),
            Ok(_) => {}
            Err(error) => {
                // Nothing may follow: it would hide that something is missing before it.
                self.window.clear(at);
                self.failed = Some(error);
            }
        }
    }

    /// Moves the source there, and forgets what was taken from it before; `false` if it cannot.
    async fn go_to(&mut self, at: u64) -> Result<bool, SourceError> {
        if at < self.stream.taken() && !self.stream.rewind()? {
            return Ok(false);
        }
        let unacked = self.window.clear(at);
        self.progress.ticks.fetch_sub(unacked as u64, Relaxed);
        self.untold = 0;
        while self.stream.taken() < at {
            if self.cancel.is_cancelled() {
                self.stream.stop();
                if self.stream.has_ended() {
                    break; // it has published nothing that it would owe
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

    /// Tells the hub, before all that follows, how many ticks are gone.
    fn tell_gone(&mut self, at: u64, gone: u64) {
        tracing::warn!(
            "the hub has lost {gone} ticks it had acknowledged, and this source cannot be read again"
        );
        self.progress.lost.fetch_add(gone, Relaxed);
        self.message.clear();
        let end = self.window.begin();
        let message = self.seal(gone, end);
        self.window.push_front(at, Unacked { message, ticks: 0, end });
    }
}
