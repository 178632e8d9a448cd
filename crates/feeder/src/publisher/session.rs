//! Runs publisher sessions, one after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tickwire_protocol::{
    Backoff, Command, Control, Encoding, ErrorCode, MessageBuf, Printable, Tick,
};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_tungstenite::tungstenite::Bytes;
use tokio_util::sync::CancellationToken;

use super::connection::{Link, Problem, session_error};
use super::window::{Unacked, Window};
use super::{PublisherConfig, mark};
use crate::clock::Clock;
use crate::progress::add;
use crate::tick_stream::{Next, TickStream};
use crate::{FeedError, Progress, PublishError, SourceError};

/// The most ticks to take from the source between two checks of the cancellation.
const TURN_TICKS: usize = 10_000;

/// The longest random delay before the first attempt to reconnect.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);

/// How much later than overdue an acknowledgement may still be read, after a suspension of the
/// process in particular.
const ACK_GRACE: Duration = Duration::from_secs(1);

/// Publishes ticks to a hub, over any number of sessions.
#[derive(Debug)]
pub(super) struct Publisher<S> {
    config: PublisherConfig,
    pub(super) cancel: CancellationToken,
    pub(super) progress: Arc<Progress>,
    clock: Clock,
    pub(super) stream: S,
    /// The error of the source, if it has failed. It is returned after the hub has acknowledged all
    /// ticks before it.
    pub(super) failed: Option<SourceError>,
    pub(super) window: Window,
    backoff: Backoff,
    pub(super) message: MessageBuf,
    /// Whether a session has started, so that the source is aligned with the hub's mark.
    pub(super) aligned: bool,
    /// The mark that the hub reported in the first session, if it belongs to another source.
    pub(super) foreign: Option<String>,
    /// Dropped ticks that were not reported to the hub yet.
    pub(super) unreported_drops: u64,
    /// Whether the hub's last acknowledgement said that messages are durable; true before the first
    /// one.
    durable: bool,
    /// Start of publishing in this session; `None` between sessions.
    publishing_since: Option<Instant>,
    /// Time of the next check for due ticks.
    wake: Instant,
    /// Start of the current wait for an acknowledgement: the last acknowledgement, or the send
    /// after which one became outstanding.
    acked_at: Instant,
    /// Until when an overdue acknowledgement is waited for.
    ack_grace: Instant,
}

impl<S: TickStream> Publisher<S> {
    pub(super) fn new(
        stream: S,
        config: PublisherConfig,
        cancel: CancellationToken,
        progress: Arc<Progress>,
    ) -> Self {
        let clock = Clock::start();
        Self {
            stream,
            failed: None,
            window: Window::new(config.unacked_messages_max, config.unacked_bytes_max),
            backoff: Backoff::new(BACKOFF_FIRST, config.backoff_max),
            message: MessageBuf::new(Encoding::MsgpackArray),
            aligned: false,
            foreign: None,
            unreported_drops: 0,
            durable: true,
            publishing_since: None,
            wake: clock.instant(),
            acked_at: clock.instant(),
            ack_grace: clock.instant(),
            clock,
            config,
            cancel,
            progress,
        }
    }

    /// Publishes, over as many sessions as needed, until every tick is acknowledged, or the feed is
    /// cancelled and no acknowledgement is outstanding.
    pub(super) async fn run(mut self) -> Result<(), FeedError> {
        while let Some((reason, requested)) = self.session().await? {
            self.progress.connected.store(false, Relaxed);
            if let Some(since) = self.publishing_since.take() {
                self.backoff.on_connection_lost(self.clock.instant() - since);
            }
            let wait = self.backoff.next_delay(requested, rand::random());
            tracing::warn!(
                "{}: {reason}; trying again in {:.1} s",
                self.config.hub,
                wait.as_secs_f64()
            );
            tokio::select! {
                () = sleep(wait) => {}
                () = self.cancel.cancelled(), if self.has_nothing_outstanding() => break,
            }
        }
        self.failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Runs one session. Returns `None` when everything is published, else the reason for its end
    /// and the delay that the hub requested, if any.
    async fn session(&mut self) -> Result<Option<(String, Option<Duration>)>, PublishError> {
        let link = tokio::select! {
            link = Link::open(&self.config, self.stream.wants_demand()) => link,
            () = self.cancel.cancelled(), if self.has_nothing_outstanding() => return Ok(None),
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
            Problem::Again(reason) => Ok(Some((reason, None))),
            Problem::Later(reason, wait) => Ok(Some((reason, Some(wait)))),
            Problem::Fatal(error) => Err(error),
        }
    }

    /// Returns whether no tick waits to be published or acknowledged.
    fn has_nothing_outstanding(&self) -> bool {
        self.window.is_empty() && !self.stream.has_unpublished()
    }

    async fn serve(&mut self, link: &mut Link) -> Result<(), Problem> {
        tracing::debug!(hub = %self.config.hub, last = link.last, "publishing");
        self.progress.connected.store(true, Relaxed);
        self.publishing_since = Some(self.clock.instant());
        if self.aligned {
            self.progress.reconnects.fetch_add(1, Relaxed);
        }
        self.align(link.last, link.mark.as_deref()).await?;
        if let Some(report) = self.stream.begin(link.epoch.as_deref()) {
            link.send_command(&Command::Report(report)).await?;
        }
        self.acked_at = self.clock.instant();
        link.send(self.window.messages()).await?;
        loop {
            if self.cancel.is_cancelled() {
                self.stream.stop();
            }
            if self.stream.has_ended() && self.window.is_empty() {
                return Ok(());
            }
            let may_take = !self.stream.has_ended() && self.window.has_room();
            tokio::select! {
                controls = link.next() => self.on_controls(controls?)?,
                () = sleep_until(self.wake), if may_take => self.send_due(link).await?,
                () = self.stream.ready(), if may_take => self.send_due(link).await?,
                report = self.stream.report() => link.send_command(&Command::Report(report)).await?,
                () = sleep_until(self.ack_limit().max(self.ack_grace)), if !self.window.is_empty() => {
                    self.on_ack_overdue()?;
                }
                () = self.cancel.cancelled(), if !self.stream.is_stopped() => {}
            }
        }
    }

    /// Returns when an acknowledgement is overdue.
    fn ack_limit(&self) -> Instant {
        self.acked_at + self.config.ack_timeout
    }

    /// Extends an overdue limit once: after a suspension of this process, acknowledgements are
    /// still to be read. After that, the connection counts as lost.
    fn on_ack_overdue(&mut self) -> Result<(), Problem> {
        if self.ack_grace < self.ack_limit() {
            self.ack_grace = self.clock.instant() + ACK_GRACE;
            return Ok(());
        }
        let seconds = self.config.ack_timeout.as_secs_f64();
        Err(Problem::Again(format!("no acknowledgement for {seconds} s")))
    }

    fn on_controls(&mut self, controls: Vec<Control>) -> Result<(), Problem> {
        for control in controls {
            match control {
                Control::Ack { up_to, durable } => {
                    if self.durable && !durable {
                        tracing::warn!(
                            "the hub's log on disk has failed: ticks from now on will not survive its restart"
                        );
                    }
                    self.durable = durable;
                    if let Some(ticks) = self.window.ack(up_to) {
                        add(&self.progress.acked, ticks);
                        self.acked_at = self.clock.instant();
                    }
                }
                Control::Demand { added, removed, .. } => self.stream.on_demand(&added, &removed),
                Control::DemandByClient { clients, .. } => {
                    self.stream.on_demand_by_client(&clients);
                }
                Control::Error { code, detail, .. } => {
                    if code == ErrorCode::InvalidSyntax {
                        self.progress.refused.fetch_add(1, Relaxed);
                    }
                    tracing::warn!(
                        "error from the hub: {} {} {}",
                        code.code(),
                        code.msg(),
                        Printable(detail.as_deref().unwrap_or_default())
                    );
                    session_error(code, detail)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Sends one message with the ticks that are due, if there are any.
    async fn send_due(&mut self, link: &mut Link) -> Result<(), Problem> {
        let until = self.fill();
        self.wake = until.unwrap_or_else(|| self.clock.instant());
        self.stream.update(&self.progress);
        let lost = std::mem::take(&mut self.unreported_drops);
        if self.message.is_empty() && lost == 0 {
            return Ok(());
        }
        let ticks = self.message.len();
        let end = self.stream.taken();
        let message = self.seal(lost, end);
        add(&self.progress.ticks, ticks);
        add(&self.progress.messages, 1);
        add(&self.progress.bytes, message.len());
        if self.window.is_empty() {
            self.acked_at = self.clock.instant();
        }
        self.window.push(Unacked { message: message.clone(), ticks, end });
        link.send([message]).await
    }

    /// Completes the message and returns it: adds the number of ticks that were lost before it, and
    /// the mark, which says that the source is at position `end` after it.
    pub(super) fn seal(&mut self, lost: u64, end: u64) -> Bytes {
        if lost > 0 {
            self.message.push_lost(lost);
        }
        self.message.push_mark(&mark::write(self.stream.identity(), end));
        Bytes::copy_from_slice(self.message.finish())
    }

    /// Fills the message with due ticks. Returns when the next tick is due, or `None` if the caller
    /// should fill the next message at once.
    fn fill(&mut self) -> Option<Instant> {
        let now = self.clock.now();
        self.message.clear();
        let dropped = self.stream.take_dropped();
        self.unreported_drops += dropped;
        self.progress.dropped.fetch_add(dropped, Relaxed);
        for _ in 0..TURN_TICKS {
            if self.message.len() >= self.config.message_ticks_max
                || self.message.bytes() >= self.config.message_bytes_max
            {
                break;
            }
            match self.stream.next(now) {
                Ok(Next::Send(tick, due)) => self.take(&tick, now.since(due)),
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

    /// Adds a tick to the message, or drops it if it is overdue by more than the configured
    /// maximum. `behind` is the time by which it is overdue.
    fn take(&mut self, tick: &Tick, behind: Duration) {
        let behind_ns = u64::try_from(behind.as_nanos()).unwrap_or(u64::MAX);
        self.progress.behind_ns.store(behind_ns, Relaxed);
        if self.config.behind_max.is_some_and(|most| behind > most) {
            self.unreported_drops += 1;
            self.progress.dropped.fetch_add(1, Relaxed);
        } else {
            self.message.push(tick);
        }
    }
}
