//! Signals: the first SIGINT or SIGTERM ends a command cleanly, a second one at once. SIGHUP, which
//! a closed terminal sends, has a hub reload its files and ends other commands cleanly.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::output::LogFlush;

/// Returns a token that is cancelled on the next SIGINT or SIGTERM. Needs a tokio runtime with I/O.
///
/// # Errors
/// Fails if the signal handlers cannot be installed.
pub(crate) fn on_signal() -> std::io::Result<CancellationToken> {
    on_signal_or(None)
}

/// Like [`on_signal`], and also cancelled on SIGHUP, unless the process was started with that
/// signal ignored, as by `nohup`.
///
/// # Errors
/// Fails if the signal handlers cannot be installed.
pub(crate) fn on_signal_or_hangup() -> std::io::Result<CancellationToken> {
    let hangups = if is_hangup_ignored() { None } else { Some(hangups()?) };
    on_signal_or(hangups)
}

fn on_signal_or(hangups: Option<Signal>) -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let cancel = token.clone();
    tokio::spawn(async move {
        let hangup = async {
            match hangups {
                Some(mut hangups) => _ = hangups.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = hangup => {}
        }
        cancel.cancel();
    });
    Ok(token)
}

/// Returns a stream of SIGHUPs, which do not end the process from here on. Needs a tokio runtime
/// with I/O.
///
/// # Errors
/// Fails if the signal handler cannot be installed.
pub(crate) fn hangups() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Returns whether SIGHUP is ignored. Where the system does not say so, it counts as ignored, and
/// keeps its default action.
fn is_hangup_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").map_or(true, |status| ignores_hangup(&status))
}

/// Returns whether a process of this status ignores SIGHUP, which is signal 1.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_none_or(|mask| mask & 1 != 0)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_hangup_is_read_from_the_status_of_the_process() {
        let status =
            |mask| format!("Name:\ttickwire\nSigIgn:\t{mask}\nSigCgt:\t0000000000000001\n");
        assert!(ignores_hangup(&status("0000000000001001")));
        assert!(!ignores_hangup(&status("0000000000001000")));
        assert!(ignores_hangup("Name:\ttickwire\n"));
    }
}
