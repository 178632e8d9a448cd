//! SIGINT and SIGTERM end every command cleanly; where that takes time, a second one ends it at once.

use tokio_util::sync::CancellationToken;

/// A token that is cancelled on the first SIGINT or SIGTERM. Needs a tokio runtime with I/O.
///
/// # Errors
/// If the signal handlers cannot be installed.
pub(crate) fn on_signal() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let token = CancellationToken::new();
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
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

/// From now on SIGINT and SIGTERM end the process at once, as a failure. Needs what [`on_signal`] needs.
///
/// # Errors
/// If the signal handlers cannot be installed.
pub(crate) fn at_once_on_next_signal() -> std::io::Result<()> {
    let next = on_signal()?;
    tokio::spawn(async move {
        next.cancelled().await;
        tracing::warn!("ended at once, as asked to by a second signal");
        std::process::exit(1);
    });
    Ok(())
}
