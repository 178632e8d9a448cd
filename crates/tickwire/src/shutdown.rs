//! Signals: the first SIGINT or SIGTERM ends a command cleanly, a second one at once.

use tokio_util::sync::CancellationToken;

use crate::output::LogFlush;

/// Returns a token that is cancelled on the next SIGINT or SIGTERM. Needs a tokio runtime with I/O.
///
/// # Errors
/// Fails if the signal handlers cannot be installed.
pub(crate) fn on_signal() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let token = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let cancel = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        cancel.cancel();
    });
    Ok(token)
}

/// Makes the next SIGINT or SIGTERM end the process at once, with exit code 1. Needs a tokio
/// runtime with I/O.
///
/// # Errors
/// Fails if the signal handlers cannot be installed.
pub(crate) fn at_once_on_next_signal(log: &LogFlush) -> std::io::Result<()> {
    let next = on_signal()?;
    let log = log.clone();
    tokio::spawn(async move {
        next.cancelled().await;
        tracing::warn!("a second signal ended the process at once");
        log.flush();
        std::process::exit(1);
    });
    Ok(())
}
