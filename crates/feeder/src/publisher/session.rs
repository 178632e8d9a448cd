//! Sessions with a hub, one after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tickwire_protocol::{Control, Encoding, ErrorCode, MessageBuf};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_tungstenite::tungstenite::Bytes;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::connection::{Link, Problem, judge};
use super::window::Window;
use super::{PublisherConfig, mark};
use crate::clock::Clock;
use crate::progress::add;
use crate::schedule::{Next, Schedule};
use crate::{FeedError, Pace, Progress, PublishError, Source, SourceError};

/// Ticks passed over between two looks at the cancellation.
const SKIP_TICKS: u64 = 10_000;

/// A source on its way to a hub, over as many sessions as it takes.
#[derive(Debug)]
pub(super) struct Publisher<S> {
    config: PublisherConfig,
    cancel: CancellationToken,
    progress: Arc<Progress>,
    clock: Clock,
    schedule: Schedule<S>,
    /// Why the source ended early; reported once what came before is acknowledged.
    failed: Option<SourceError>,
    window: Window,
    backoff: Backoff,
    message: MessageBuf,
    /// Whether the source stands where an earlier run left off.
    positioned: bool,
    /// When to look for due ticks again.
    wake: Instant,
    /// When the hub last acknowledged anything, or began to owe it.
    acked_at: Instant,
}

impl<S: Source> Publisher<S> {
    pub(super) fn new(
        source: S,
        pace: Pace,
        config: PublisherConfig,
        cancel: CancellationToken,
        progress: Arc<Progress>,
    ) -> Self {
        let clock = Clock::start();
        Self {
            schedule: Schedule::new(source, pace),
            failed: None,
            window: Window::new(config.unacked_messages_max, config.unacked_bytes_max),
            backoff: Backoff::new(config.backoff_max),
            message: MessageBuf::new(Encoding::MsgpackArray),
            positioned: false,
            wake: clock.instant(),
            acked_at: clock.instant(),
            clock,
            config,
            cancel,
            progress,
        }
    }

    /// Publishes until all is acknowledged, or nothing may be taken any more and nothing is owed.
    pub(super) async fn run(mut self) -> Result<(), FeedError> {
        while let Some(reason) = self.session().await? {
            self.progress.connected.store(false, Relaxed);
            let wait = self.backoff.next(rand::random());
            tracing::warn!(
                "{}: {reason}; trying again in {:.1} s",
                self.config.hub,
                wait.as_secs_f64()
            );
            tokio::select! {
                () = sleep(wait) => {}
                () = self.cancel.cancelled(), if self.window.is_empty() => break,
            }
        }
        self.failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// One session: `None` once everything is done, else why it ended.
    async fn session(&mut self) -> Result<Option<String>, PublishError> {
        let link = tokio::select! {
            link = Link::open(&self.config) => link,
            () = self.cancel.cancelled(), if self.window.is_empty() => return Ok(None),
        };
        let served = match link {
            Ok(mut link) => match self.serve(&mut link).await {
                Ok(()) => {
                    link.close().await;
                    return Ok(None);
                }
                Err(problem) => problem,
            },
            Err(problem) => problem,
        };
        match served {
            Problem::Again(reason) => Ok(Some(reason)),
            Problem::Fatal(error) => Err(error),
        }
    }

    async fn serve(&mut self, link: &mut Link) -> Result<(), Problem> {
        tracing::debug!(hub = %self.config.hub, last = link.last, "publishing");
        self.progress.connected.store(true, Relaxed);
        let taken = self.window.resume(link.last);
        add(&self.progress.acked, taken);
        self.acked_at = self.clock.instant();
        link.send(self.window.messages()).await?;
        if self.positioned {
            self.progress.reconnects.fetch_add(1, Relaxed);
        } else {
            self.positioned = true;
            self.position(link.mark.as_deref()).await;
        }
        loop {
            if self.cancel.is_cancelled() {
                self.schedule.stop();
            }
            if self.schedule.has_ended() && self.window.is_empty() {
                return Ok(());
            }
            let may_take = !self.schedule.has_ended() && self.window.has_room();
            tokio::select! {
                controls = link.next() => self.hear(controls?)?,
                () = sleep_until(self.wake), if may_take => self.send_due(link).await?,
                () = sleep_until(self.acked_at + self.config.ack_timeout),
                    if !self.window.is_empty() =>
                {
                    let seconds = self.config.ack_timeout.as_secs_f64();
                    return Err(Problem::Again(format!("no acknowledgement for {seconds} s")));
                }
                () = self.cancel.cancelled(), if !self.schedule.has_ended() => {}
            }
        }
    }

    /// Goes on where an earlier run of the same publisher left off.
    async fn position(&mut self, mark: Option<&str>) {
        let Some(mark) = mark else { return };
        let Some(mut left) = mark::read(self.schedule.source().identity(), mark) else {
            tracing::warn!(
                "the hub's mark for this publisher id is of another source: starting at its beginning"
            );
            return;
        };
        while left > 0 && !self.cancel.is_cancelled() {
            match self.schedule.skip(left.min(SKIP_TICKS)) {
                Ok(0) => break,
                Ok(skipped) => {
                    left -= skipped;
                    self.progress.resumed_after.fetch_add(skipped, Relaxed);
                }
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
            tokio::task::yield_now().await;
        }
    }

    fn hear(&mut self, controls: Vec<Control>) -> Result<(), Problem> {
        for control in controls {
            match control {
                Control::Ack { upto, .. } => {
                    let ticks = self.window.ack(upto);
                    if ticks > 0 {
                        add(&self.progress.acked, ticks);
                        self.acked_at = self.clock.instant();
                        self.backoff.reset();
                    }
                }
                Control::Error { code, detail, .. } => {
                    if code == ErrorCode::InvalidSyntax {
                        self.progress.refused.fetch_add(1, Relaxed);
                    }
                    tracing::warn!(
                        "the hub says: error {} {} {}",
                        code.code(),
                        code.msg(),
                        detail.as_deref().unwrap_or_default()
                    );
                    judge(code, detail)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Sends one message of what is due, if anything is.
    async fn send_due(&mut self, link: &mut Link) -> Result<(), Problem> {
        let until = self.fill();
        self.wake = until.unwrap_or_else(|| self.clock.instant());
        let source = self.schedule.source();
        self.progress.set_source(source.skipped(), source.fraction_done());
        if self.message.is_empty() {
            return Ok(());
        }
        let ticks = self.message.len();
        self.message.push_mark(&mark::write(source.identity(), self.schedule.taken()));
        let message = Bytes::copy_from_slice(self.message.finish());
        add(&self.progress.ticks, ticks);
        add(&self.progress.messages, 1);
        add(&self.progress.bytes, message.len());
        if self.window.is_empty() {
            self.acked_at = self.clock.instant();
        }
        self.window.push(message.clone(), ticks);
        link.send([message]).await
    }

    /// Fills the message with what is due. Returns when to look again, `None` for at once.
    fn fill(&mut self) -> Option<Instant> {
        let now = self.clock.now();
        self.message.clear();
        while self.message.len() < self.config.message_ticks_max
            && self.message.bytes() < self.config.message_bytes_max
        {
            match self.schedule.next(now) {
                Ok(Next::Send(tick, due)) => {
                    self.message.push(&tick);
                    let behind = u64::try_from(now.since(due).as_nanos()).unwrap_or(u64::MAX);
                    self.progress.behind_ns.store(behind, Relaxed);
                }
                Ok(Next::Wait(until)) => return Some(self.clock.instant_of(until)),
                Ok(Next::End) => break,
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        None
    }
}
