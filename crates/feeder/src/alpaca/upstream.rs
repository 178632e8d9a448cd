//! Connections to an upstream, one after the other.

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

/// How often the session is asked what time has brought. Changes of demand wait for it, so that they
/// come together.
const BEAT: Duration = Duration::from_millis(250);

/// The upstream is the hub that the ticks go to.
#[derive(Debug)]
pub(super) struct SameHub;

#[derive(Debug)]
pub(super) struct Upstream {
    config: AlpacaConfig,
    session: Session,
    intake: Intake,
    clock: Clock,
    /// State, and how many names were refused, when the log said it last.
    logged: (FeedState, usize),
}

impl Upstream {
    pub(super) fn new(config: AlpacaConfig, session: Session, intake: Intake) -> Self {
        let logged = (FeedState::Down, 0);
        Self { config, session, intake, clock: Clock::start(), logged }
    }

    /// Connects again and again, until it is stopped, or turns out to be the hub that the ticks go to.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), SameHub> {
        self.connect(&stop).await;
        if self.intake.goes_round() { Err(SameHub) } else { Ok(()) }
    }

    async fn connect(&mut self, stop: &CancellationToken) {
        loop {
            let opened = tokio::select! {
                opened = Connection::open(&self.config) => opened,
                () = stop.cancelled() => return,
            };
            if let Ok(connection) = &opened {
                self.intake.comes_from(connection.epoch.as_deref());
            }
            let wait = match opened {
                Ok(connection) => self.serve(connection, stop).await,
                Err(end) => Some(self.ended(&end)),
            };
            let Some(wait) = wait.filter(|_| !self.intake.goes_round()) else { return };
            tokio::select! {
                () = sleep(wait) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// One connection: how long to stay away afterwards, `None` if it was stopped.
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
            if self.intake.goes_round() {
                return Err(End::Refused("it is the hub that the ticks go to".to_owned()));
            }
            self.tell();
            connection.send(self.session.take_outbox()).await?;
            tokio::select! {
                message = connection.next() => {
                    let (message, now) = (message?, self.clock.now());
                    let frame = match &message {
                        Message::Text(text) => Frame::Text(text.as_bytes()),
                        Message::Binary(bytes) => Frame::Binary(bytes),
                        _ => Frame::Sign,
                    };
                    self.intake.push(self.session.hear(frame, now)?, now);
                    // A flood is always ready to be read; the publisher has to have its turns.
                    yield_now().await;
                }
                _ = beat.tick() => {
                    let now = self.clock.now();
                    if self.intake.demand.has_changed().unwrap_or(false) {
                        self.session.want(&self.intake.demand.borrow_and_update(), now);
                    }
                    self.session.due(now)?;
                }
            }
        }
    }

    /// There is no connection, or no longer: says so, and how long to stay away.
    fn ended(&mut self, end: &End) -> Duration {
        let wait = self.session.ended(end, self.clock.now(), rand::random());
        if !self.intake.goes_round() {
            let seconds = wait.as_secs_f64();
            tracing::warn!("{}: {}; next try in {seconds:.0} s", self.config.url, end.reason());
        }
        self.tell();
        wait
    }

    /// Tells the hub and people what is new.
    fn tell(&mut self) {
        let Some(report) = self.session.news(self.clock.now()) else { return };
        let now = (report.state, self.session.refused().unwrap_or(self.logged.1));
        if report.state != FeedState::Down && now != self.logged {
            let (url, detail) = (&self.config.url, report.detail.as_deref().unwrap_or_default());
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
