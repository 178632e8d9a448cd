//! Log lines about refused sessions and commands.
//!
//! Most client programs hide the errors that the hub sends them. Without these lines an operator
//! could not see why a client receives nothing. Refused clients tend to retry without end, so the
//! number of lines is limited.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tickwire_protocol::Printable;

use crate::log_rate_limit::LogRateLimit;

/// Maximum number of lines written per [`WINDOW`].
const LINES_MAX: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);

/// One limit for the whole process, since the process has one log.
static RATE_LIMIT: Mutex<LogRateLimit> = Mutex::new(LogRateLimit::new(LINES_MAX, WINDOW));

/// Logs that a client was refused, and why. `key` is the name of its key, if it presented a valid
/// one.
pub(crate) fn note(now: Instant, peer: IpAddr, view: &str, key: Option<&str>, why: &str) {
    let taken = RATE_LIMIT.lock().unwrap_or_else(PoisonError::into_inner).take(now);
    let Some(suppressed) = taken else { return };
    let view = Printable(view).cut(64);
    let why = Printable(why);
    let key = Printable(key.unwrap_or("(none)"));
    match suppressed {
        0 => tracing::info!(%peer, %view, %key, %why, "refused"),
        suppressed => tracing::info!(%peer, %view, %key, %why, suppressed, "refused"),
    }
}
