//! Runs connections to an upstream, one after the other.

use std::convert::Infallible;
use std::time::Duration;

use tickwire_protocol::FeedState;
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::AlpacaConfig;
use super::connection::Connection;
use super::live::Intake;
use super::retry::End;
use super::session::{Frame, Session};
use crate::clock::Clock;

/// Interval of the session's timer. Changes of demand wait for it, so that they are sent together.
const BEAT: Duration = Duration::from_millis(250);

/// The upstream turned out to be the hub to which the ticks are published.
#[derive(Debug)]
pub(super) struct SameHub;

#[derive(Debug)]
pub(super) struct Upstream {
    config: AlpacaConfig,
    session: Session,
    intake: Intake,
    clock: Clock,
    /// The state and the number of refused names in the last log line about them.
    logged: (FeedState, usize),
}

impl Upstream {
    pub(super) fn new(config: AlpacaConfig, session: Session, intake: Intake) -> Self {
        let logged = (FeedState::Down, 0);
        Self { config, session, intake, clock: Clock::start(), logged }
    }

    /// Runs connections, one after the other, until stopped. Fails if the upstream turns out to be
    /// the hub to which the ticks are published.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), SameHub> {
        self.connect(&stop).await;
        if self.intake.is_loop() { Err(SameHub) } else { Ok(()) }
    }

    async fn connect(&mut self, stop: &CancellationToken) {
        loop {
            let opened = tokio::select! {
                opened = Connection::open(&self.config) => opened,
                () = stop.cancelled() => return,
            };
            if let Ok(connection) = &opened {
                self.intake.set_upstream_epoch(connection.epoch.as_deref());
            }
            let wait = match opened {
                Ok(connection) => self.serve(connection, stop).await,
                Err(end) => Some(self.ended(&end)),
            };
            let Some(wait) = wait.filter(|_| !self.intake.is_loop()) else { return };
            tokio::select! {
                () = sleep(wait) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Runs one connection. Returns the delay before the next one, or `None` after a stop.
    async fn serve(
        &mut self,
        mut connection: Connection,
        stop: &CancellationToken,
    ) -> Option<Duration> {
        self.session.opened(self.clock.now());
        let wait = tokio::select! {
            end = self.talk(&mut connection) => match end {
                Ok(never) => match never {},
                Err(end) => Some(self.ended(&end)),
            },
            () = stop.cancelled() => None,
        };
        connection.close().await;
        wait
    }

    async fn talk(&mut self, connection: &mut Connection) -> Result<Infallible, End> {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.intake.is_loop() {
                return Err(End::Refused(
                    "the upstream is the hub to which the ticks go".to_owned(),
                ));
            }
            self.publish_report();
            connection.send(self.session.take_outbox()).await?;
            tokio::select! {
                message = connection.next() => {
                    let message = message?;
                    let now = self.clock.now();
                    let frame = match &message {
                        Message::Text(text) => Frame::Text(text.as_bytes()),
                        Message::Binary(bytes) => Frame::Binary(bytes),
                        _ => Frame::KeepAlive,
                    };
                    self.intake.push(self.session.on_frame(frame, now)?, now);
                    // During a flood reading never blocks; yield to the publisher.
                    yield_now().await;
                }
                _ = beat.tick() => {
                    let now = self.clock.now();
                    if self.intake.demand.has_changed().unwrap_or(false) {
                        self.session.set_demand(&self.intake.demand.borrow_and_update(), now);
                    }
                    self.session.on_timer(now)?;
                }
            }
        }
    }

    /// Handles the end or failure of a connection. Returns the delay before the next one.
    fn ended(&mut self, end: &End) -> Duration {
        let wait = self.session.ended(end, self.clock.now(), rand::random());
        if !self.intake.is_loop() {
            let seconds = wait.as_secs_f64();
            tracing::warn!("{}: {}; next try in {seconds:.0} s", self.config.url, end.reason());
        }
        self.publish_report();
        wait
    }

    /// Passes a report to the publisher if one is due, and logs changes of the state.
    fn publish_report(&mut self) {
        let Some(report) = self.session.take_report(self.clock.now()) else { return };
        let now = (report.state, self.session.refused().unwrap_or(self.logged.1));
        if report.state != FeedState::Down && now != self.logged {
            let url = &self.config.url;
            let detail = report.detail.as_deref().unwrap_or_default();
            if now == (FeedState::Live, 0) {
                tracing::info!("{url}: {detail}");
            } else {
                tracing::warn!("{url}: {detail}");
            }
        }
        self.logged = now;
        self.intake.report(report);
    }
}
