//! Standard output and standard error: the only module that writes to them.
//!
//! Results go to standard output, and an error is reported. Everything else goes to standard error
//! and is best effort: a closed pipe, a full disk or a reader that has stopped reading must not end
//! a hub or a feed. The macros of the standard library panic on such errors, which ends the
//! process.

mod log_writer;

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use tickwire_protocol::Printable;

pub(crate) use log_writer::{LogFlush, LogWriter};

/// Prints a result. A reader that has closed the pipe, as `head` does, has seen enough.
///
/// # Errors
/// Fails if the text cannot be written for another reason, such as a full disk.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match print_all(text) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to standard output"),
    }
}

/// Prints a result that must reach its reader, such as a new secret.
///
/// # Errors
/// Fails if the text cannot be written, also if the reader has closed the pipe.
pub(crate) fn print_all(text: &str) -> std::io::Result<()> {
    print_bytes(text.as_bytes())
}

/// Like [`print_all`], for bytes.
///
/// # Errors
/// As for [`print_all`].
pub(crate) fn print_bytes(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Returns standard output for a stream of results, whose errors the caller reports.
pub(crate) fn result_stream() -> std::io::StdoutLock<'static> {
    std::io::stdout().lock()
}

/// Writes to standard error as far as it accepts the bytes.
pub(crate) fn write_to_stderr(bytes: &[u8]) {
    // Nowhere to report a failure.
    let _best_effort = std::io::stderr().write_all(bytes);
}

/// Time that the last notice of the process has. A reader of standard error that has stopped
/// reading must not keep the process alive.
const LAST_NOTICE_TIME_MAX: Duration = Duration::from_secs(1);

/// Maximum number of characters in a line of a notice.
const LINE_CHARS_MAX: usize = 4_000;

/// Writes a text to standard error, as one or more lines.
pub(crate) fn notice(text: &str) {
    write_to_stderr(printable_lines(text).as_bytes());
}

/// Writes the last notice of the process to standard error, for at most a second.
pub(crate) fn last_notice(text: &str) {
    let lines = printable_lines(text);
    write_for(LAST_NOTICE_TIME_MAX, move || write_to_stderr(lines.as_bytes()));
}

/// Calls `write` in a thread, and waits until it returns, but no longer than `time_max`.
fn write_for(time_max: Duration, write: impl FnOnce() + Send + 'static) {
    let (done, written) = sync_channel::<()>(0);
    let thread = thread::Builder::new().spawn(move || {
        write();
        drop(done);
    });
    if thread.is_ok() {
        let _written_or_late = written.recv_timeout(time_max);
    }
}

/// Returns a text as lines without characters that would control a terminal: the cause of an error
/// may be text of a peer.
fn printable_lines(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", Printable(line).cut(LINE_CHARS_MAX))).collect()
}

/// Returns whether standard output is a terminal.
pub(crate) fn stdout_is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Returns whether standard error is a terminal.
pub(crate) fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_notice_does_not_wait_for_a_reader_that_has_stopped() {
        let (release, blocked) = sync_channel::<()>(0);
        write_for(Duration::from_millis(10), move || blocked.recv().unwrap());
        assert!(release.send(()).is_ok(), "the write is still blocked");
        let (sender, written) = sync_channel(1);
        write_for(Duration::from_secs(60), move || sender.send(1).unwrap());
        assert_eq!(written.try_recv(), Ok(1));
    }

    #[test]
    fn notices_keep_their_lines_and_are_printable() {
        assert_eq!(printable_lines("error: a\n  b"), "error: a\n  b\n");
        assert_eq!(printable_lines("a\u{9b}2J\u{202e}\rb"), "a\\u{9b}2J\\u{202e}\\rb\n");
        assert!(printable_lines(&"x".repeat(10 << 20)).len() < 5_000);
    }
}
