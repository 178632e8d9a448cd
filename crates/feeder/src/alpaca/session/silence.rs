//! Detects an upstream that is connected but sends no ticks.
//!
//! The allowed silence depends on the subscriptions, and doubles with each connection that ends
//! this way, so that rarely traded symbols do not cause endless reconnects. It is reset once ticks
//! have arrived steadily; a single tick is not enough, because every new connection may bring one.

use std::time::Duration;

use tickwire_protocol::{Channel, UnixNanos};

use super::super::hours::MarketHours;
use super::super::subscriber::Subscriber;

/// Minimum allowed silence if only bars are subscribed.
const BARS_TIMEOUT_MIN: Duration = Duration::from_secs(180);
/// Maximum number of doublings of the allowed silence: up to 16 times.
const DOUBLINGS_MAX: u32 = 4;
/// Ticks must arrive steadily for this many times the allowed silence, without a silence of that
/// length, before the doublings are reset.
const STEADY_TIMEOUTS: u32 = 10;

#[derive(Debug)]
pub(super) struct Silence {
    /// The configured length of a silence that counts as a fault while the market is open; `None`
    /// turns the detection off.
    timeout: Option<Duration>,
    hours: MarketHours,
    /// Allowed silence of the current subscriptions, before doublings; `None` if none of them ticks
    /// regularly.
    patience: Option<Duration>,
    /// Start of the current silence: the last tick, or the last change of the allowed silence.
    lively: UnixNanos,
    /// Start of the current period of steady ticks, in which no silence was as long as the allowed
    /// one.
    steady: UnixNanos,
    doublings: u32,
}

impl Silence {
    pub(super) const fn new(timeout: Option<Duration>, hours: MarketHours) -> Self {
        let never = UnixNanos(0);
        Self { timeout, hours, patience: None, lively: never, steady: never, doublings: 0 }
    }

    /// Handles the start of a connection: measures silence from now on.
    pub(super) const fn begin(&mut self, now: UnixNanos) {
        self.expect(None, now);
    }

    const fn expect(&mut self, patience: Option<Duration>, now: UnixNanos) {
        self.patience = patience;
        self.lively = now;
        self.steady = now;
    }

    /// Measures the silence from now on: the process could not receive ticks.
    pub(super) const fn on_suspension(&mut self, now: UnixNanos) {
        self.lively = now;
    }

    pub(super) fn ticked(&mut self, now: UnixNanos) {
        let Some(patience) = self.patience else { return };
        if now.since(self.lively) >= patience {
            self.steady = now;
        } else if now.since(self.steady) >= patience * STEADY_TIMEOUTS {
            self.doublings = 0;
        }
        self.lively = now;
    }

    /// Returns the length of the current silence if it exceeds half of what is allowed, or an error
    /// text if it exceeds all of it.
    pub(super) fn check(
        &mut self,
        subscriber: &Subscriber,
        now: UnixNanos,
    ) -> Result<Option<Duration>, String> {
        let patience = self.timeout.and_then(|timeout| patience(timeout, subscriber));
        if patience != self.patience {
            self.expect(patience, now);
        }
        let (Some(patience), Some(open)) = (patience, self.hours.open_since(now)) else {
            return Ok(None);
        };
        let most = patience * (1 << self.doublings);
        let quiet = now.since(self.lively.max(open));
        if quiet >= most {
            self.doublings = (self.doublings + 1).min(DOUBLINGS_MAX);
            return Err(format!(
                "connected, but no ticks for {} s while the market is open ({})",
                quiet.as_secs(),
                self.hours
            ));
        }
        Ok((quiet >= most / 2).then_some(quiet))
    }
}

/// Returns the allowed silence of the current subscriptions, before doublings; `None` if none of
/// them ticks regularly.
fn patience(timeout: Duration, subscriber: &Subscriber) -> Option<Duration> {
    if subscriber.holds(Channel::Trades) || subscriber.holds(Channel::Quotes) {
        Some(timeout)
    } else if subscriber.holds(Channel::Bars) {
        Some(timeout.max(BARS_TIMEOUT_MIN))
    } else {
        None
    }
}
