//! How the hub takes its leave: over what time it closes sessions, and when it tells them to be back.
//!
//! Sessions are closed one after the other over `drain_duration`, which is *the drain*. Each is told to
//! come back when the drain is over and the hub has had [`RESTART`] to start again, and as much later
//! as it was closed after the drain's beginning. That makes the same wait for all; so clients come
//! back in the order and at the pace in which they were sent away, and none before there is a hub.

use std::time::Duration;

use crate::fanout::CloseReason;

/// What the hub's end behind the drain, and its start, may take.
const RESTART: Duration = Duration::from_secs(1);

/// How long a session that is closed now should stay away.
pub(crate) const fn session_retry_delay(drain: Duration) -> Duration {
    drain.saturating_add(RESTART)
}

/// How long a publisher that is closed now should stay away: it is closed when the drain is over.
pub(crate) const fn publisher_retry_delay() -> Duration {
    RESTART
}

/// Text of the close frame that ends somebody because the hub goes away.
pub(crate) fn close_text(retry: Duration) -> String {
    format!("{} retry_ms={}", CloseReason::Shutdown.label(), retry.as_millis())
}
