//! When silence of an upstream is taken for a fault.
//!
//! How long it may last depends on what is subscribed, and doubles with each connection that ends
//! so: names that seldom tick must not look like a fault again and again. It is short again once
//! ticks have come steadily, not with the first one: that one the next connection brings too.

use std::time::Duration;

use tickwire_protocol::{Channel, UnixNanos};

use super::super::hours::MarketHours;
use super::super::subscriber::Subscriber;

/// The least time where nothing is subscribed that ticks more often than bars do.
const BARS_TIMEOUT_MIN: Duration = Duration::from_secs(180);
/// So often it may double: 16 times as long.
const DOUBLINGS_MAX: u32 = 4;
/// For so many times the timeout ticks have to come without a gap as long as that.
const STEADY_TIMEOUTS: u32 = 10;

#[derive(Debug)]
pub(super) struct Silence {
    /// Silence for so long, while the market is open, is a fault; `None`: it never is.
    timeout: Option<Duration>,
    hours: MarketHours,
    /// As long as that for what is subscribed now; `None`: nothing ticks regularly.
    patience: Option<Duration>,
    /// When there was a tick last, or reason to begin waiting for one.
    lively: UnixNanos,
    /// Since when there was none for as long as the patience.
    steady: UnixNanos,
    doublings: u32,
}

impl Silence {
    pub(super) const fn new(timeout: Option<Duration>, hours: MarketHours) -> Self {
        let never = UnixNanos(0);
        Self { timeout, hours, patience: None, lively: never, steady: never, doublings: 0 }
    }

    /// A connection begins.
    pub(super) const fn begin(&mut self, now: UnixNanos) {
        self.expect(None, now);
    }

    const fn expect(&mut self, patience: Option<Duration>, now: UnixNanos) {
        (self.patience, self.lively, self.steady) = (patience, now, now);
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

    /// For how long there has been nothing, if that is suspicious; an error tells why it is a fault.
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

/// How long what is subscribed may be silent.
fn patience(timeout: Duration, subscriber: &Subscriber) -> Option<Duration> {
    if subscriber.holds(Channel::Trades) || subscriber.holds(Channel::Quotes) {
        Some(timeout)
    } else if subscriber.holds(Channel::Bars) {
        Some(timeout.max(BARS_TIMEOUT_MIN))
    } else {
        None
    }
}
