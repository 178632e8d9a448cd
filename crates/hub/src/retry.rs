//! How long clients have to wait before they reconnect to a hub that shuts down.
//!
//! At shutdown the hub closes its sessions one after the other, over a time called the *drain*. The
//! close frame of each session asks the client to wait for one whole drain plus [`RESTART_TIME`].
//! Since all clients wait equally long, they return in the order and at the pace in which they were
//! closed, and none returns before the hub has had time to restart.

use std::time::Duration;

use crate::fanout::CloseReason;

/// Time that the hub may take to stop after the drain, and to start again.
const RESTART_TIME: Duration = Duration::from_secs(1);

/// Returns the reconnect delay for a session that is closed during a drain of this duration.
pub(crate) const fn session_retry_delay(drain: Duration) -> Duration {
    drain.saturating_add(RESTART_TIME)
}

/// Returns the reconnect delay for a publisher. Publishers are closed after the drain, so they wait
/// for the restart only.
pub(crate) const fn publisher_retry_delay() -> Duration {
    RESTART_TIME
}

/// Returns the reason in the close frame of a client that is closed because the hub shuts down.
pub(crate) fn close_text(retry: Duration) -> String {
    format!("{} retry_ms={}", CloseReason::Shutdown.label(), retry.as_millis())
}
