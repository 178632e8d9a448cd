//! Subscribers of live ticks: the load generator of the client library.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Result;
use tickwire_client::load::{self, LoadError, Phase, Plan, Report};
use tickwire_client::{Channel, Delivery, Feed};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use crate::market;
use crate::peer::Peer;

/// Number of subscribers, and of the symbols of each.
const SUBSCRIBERS: usize = 20;
const SYMBOLS_EACH: usize = 20;
/// Time from the last connection to the start of a measurement without an attack.
pub(crate) const WARM_UP: Duration = Duration::from_secs(1);
/// Additional time after which the subscribers are stopped if they have not opened or ended.
const LATE_MAX: Duration = Duration::from_secs(20);

/// Progress of the subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(crate) enum Step {
    Opening,
    /// All subscribers are connected.
    Open,
    /// The measurement has begun.
    Measuring,
}

/// The subscribers, running in threads of their own.
#[derive(Debug)]
pub(crate) struct Live {
    run: JoinHandle<Result<Report, LoadError>>,
    steps: watch::Receiver<Step>,
    stop: Arc<AtomicBool>,
    time_max: Duration,
}

impl Live {
    /// Starts the subscribers, which measure for `duration` once `warm_up` has passed.
    ///
    /// # Errors
    /// The key cannot be sent.
    pub(crate) fn start(peer: &Peer, warm_up: Duration, duration: Duration) -> Result<Self> {
        let plan = Plan {
            hub: format!("ws://{}", peer.hub()).parse()?,
            feed: Feed::default(),
            token: Some(peer.token().parse()?),
            tls: None,
            connections: SUBSCRIBERS,
            symbols: market::symbols(),
            per_connection: SYMBOLS_EACH,
            channels: vec![Channel::Trades, Channel::Quotes],
            delivery: Delivery::Every,
            on_lag: None,
            ramp: Duration::ZERO,
            warmup: warm_up,
            duration,
            threads: 1,
        };
        let (sender, steps) = watch::channel(Step::Opening);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let run = spawn_blocking(move || {
            load::run(&plan, &stopped, &mut |progress| {
                sender.send_replace(match progress.phase {
                    Phase::Opening => Step::Opening,
                    Phase::WarmingUp => Step::Open,
                    Phase::Measuring(_) => Step::Measuring,
                });
            })
        });
        Ok(Self { run, steps, stop, time_max: warm_up + duration + LATE_MAX })
    }

    /// Waits until the subscribers have reached a step, or have ended.
    pub(crate) async fn reached(&mut self, step: Step) {
        let reached = self.steps.wait_for(|now| *now >= step);
        if timeout(self.time_max, reached).await.is_err() {
            self.stop.store(true, Relaxed);
        }
    }

    /// Waits for the report. Returns what prevented the subscribers from measuring, if anything
    /// did.
    pub(crate) async fn report(mut self) -> Result<Report, String> {
        let ended = match timeout(self.time_max, &mut self.run).await {
            Ok(ended) => ended,
            Err(_late) => {
                self.stop.store(true, Relaxed);
                self.run.await
            }
        };
        match ended {
            Ok(Ok(report)) => Ok(report),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}
