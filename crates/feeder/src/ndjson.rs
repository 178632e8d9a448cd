//! Writes ticks as lines of JSON.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tickwire_protocol::push_printable_json;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::progress::add;
use crate::schedule::Schedule;
use crate::tick_stream::{Next, TickStream};
use crate::{Counts, FeedError, Pace, Progress, Source};

/// Ticks between two checks of the clock and of the cancellation.
const TURN_TICKS: usize = 1_000;

/// Writes the ticks of a source as lines of JSON, at a pace, until the source ends or `cancel` is
/// cancelled.
///
/// # Errors
/// Fails if writing fails, or the source fails; ticks before the failure have been written.
pub async fn write_ndjson<S: Source, W: Write>(
    source: S,
    pace: Pace,
    mut out: W,
    cancel: CancellationToken,
    progress: Arc<Progress>,
) -> Result<Counts, FeedError> {
    let clock = Clock::start();
    let mut schedule = Schedule::new(source, pace);
    let mut lines = Vec::new();
    let mut json = Vec::new();
    let mut ended = false;
    while !ended && !cancel.is_cancelled() {
        let now = clock.now();
        let mut wait = None;
        let mut failed = None;
        lines.clear();
        let mut ticks = 0;
        while ticks < TURN_TICKS {
            match schedule.next(now) {
                Ok(Next::Send(tick, _)) => {
                    json.clear();
                    tick.write_json(&mut json);
                    // Standard output may be a terminal.
                    push_printable_json(&String::from_utf8_lossy(&json), &mut lines);
                    lines.push(b'\n');
                    ticks += 1;
                }
                Ok(Next::Wait(until)) => {
                    wait = Some(clock.instant_of(until));
                    break;
                }
                Ok(Next::End) => {
                    ended = true;
                    break;
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        out.write_all(&lines).map_err(FeedError::Write)?;
        add(&progress.ticks, ticks);
        add(&progress.acked, ticks);
        add(&progress.bytes, lines.len());
        schedule.update(&progress);
        if let Some(error) = failed {
            out.flush().map_err(FeedError::Write)?;
            return Err(error.into());
        }
        match wait {
            None => tokio::task::yield_now().await,
            Some(until) => {
                out.flush().map_err(FeedError::Write)?;
                tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    () = cancel.cancelled() => {}
                }
            }
        }
    }
    out.flush().map_err(FeedError::Write)?;
    progress.connected.store(false, Relaxed);
    Ok(progress.counts())
}
