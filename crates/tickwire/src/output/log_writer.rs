//! The writer of log lines: a thread writes them to standard error.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Maximum number of lines that wait for standard error. Beyond it, lines are dropped and counted.
const LINES_MAX: usize = 1_024;

/// Time that pending lines have at the end of the process. A reader that has stopped reading must
/// not keep the process alive.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(1);

/// Writes log lines to standard error without waiting for it, and never fails.
///
/// A write to a pipe whose reader has stopped blocks. In the thread of a shard or of the router,
/// that would stop the market, so that a thread of its own writes the lines.
#[derive(Debug, Clone)]
pub(crate) struct LogWriter {
    queue: SyncSender<Vec<u8>>,
    lines: Arc<LineCounts>,
}

/// Counts of lines, shared between the writers and the thread.
#[derive(Debug, Default)]
struct LineCounts {
    /// Lines that were put into the queue.
    enqueued: AtomicU64,
    /// Lines that the queue had no room for, since the last report of them.
    dropped: AtomicU64,
    /// Lines that the thread has written, or could not write.
    done: Mutex<u64>,
    /// Notified when `done` changes.
    progress: Condvar,
}

impl LogWriter {
    /// Starts the thread that writes to standard error.
    ///
    /// # Errors
    /// Fails if the thread cannot be started.
    pub(crate) fn start() -> io::Result<Self> {
        Self::start_with(io::stderr())
    }

    fn start_with(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, received) = sync_channel(LINES_MAX);
        let lines = Arc::new(LineCounts::default());
        let counts = lines.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            write_lines(out, &received, &counts);
        })?;
        Ok(Self { queue, lines })
    }

    /// Waits until pending lines have been written, but no longer than a second.
    pub(crate) fn flush_pending(&self) {
        self.flush_within(FLUSH_TIME_MAX);
    }

    /// Waits until pending lines have been written, but no longer than `time_max`.
    fn flush_within(&self, time_max: Duration) {
        let LineCounts { enqueued, done, progress, .. } = &*self.lines;
        let pending = enqueued.load(Ordering::Acquire);
        let done = done.lock().unwrap_or_else(PoisonError::into_inner);
        let _written_or_late = progress.wait_timeout_while(done, time_max, |done| *done < pending);
    }
}

/// Writes lines until the last writer is dropped. Errors are ignored: standard error may work again
/// later, such as when a full disk has room again.
fn write_lines(mut out: impl Write, received: &Receiver<Vec<u8>>, lines: &LineCounts) {
    for line in received {
        let _best_effort = out.write_all(&line);
        let missing = lines.dropped.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let _best_effort = writeln!(
                out,
                "{missing} log lines are missing: standard error did not accept them"
            );
        }
        *lines.done.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        lines.progress.notify_all();
    }
}

impl Write for LogWriter {
    /// Enqueues one line. `tracing` makes one call for each line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let count = match self.queue.try_send(line.to_vec()) {
            Ok(()) => &self.lines.enqueued,
            Err(_full) => &self.lines.dropped,
        };
        count.fetch_add(1, Ordering::Release);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes pending log lines when dropped, at the end of a command.
#[derive(Debug, Clone)]
pub(crate) struct LogFlush(LogWriter);

impl LogFlush {
    pub(crate) const fn new(writer: LogWriter) -> Self {
        Self(writer)
    }

    /// Writes pending log lines.
    pub(crate) fn flush(&self) {
        self.0.flush_pending();
    }
}

impl Drop for LogFlush {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Output that blocks while `gate` is locked, and fails if `fails`.
    #[derive(Clone)]
    struct Out {
        gate: Arc<Mutex<()>>,
        written: Arc<Mutex<Vec<u8>>>,
        fails: bool,
    }

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _open = self.gate.lock().unwrap();
            if self.fails {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Starts a writer, and returns it with its output.
    fn writer(fails: bool) -> (LogWriter, Out) {
        let gate = Arc::default();
        let written = Arc::default();
        let out = Out { gate, written, fails };
        (LogWriter::start_with(out.clone()).unwrap(), out)
    }

    #[test]
    fn lines_are_written_in_order_before_a_flush_returns() {
        let (mut writer, out) = writer(false);
        for line in ["one\n", "two\n", "three\n"] {
            writer.write_all(line.as_bytes()).unwrap();
        }
        writer.flush_within(tickwire_testkit::PATIENCE);
        assert_eq!(*out.written.lock().unwrap(), b"one\ntwo\nthree\n");
    }

    #[test]
    fn lines_of_a_full_queue_are_written_before_a_flush_returns() {
        let (mut writer, out) = writer(false);
        let blocked = out.gate.lock().unwrap();
        while writer.lines.dropped.load(Ordering::Relaxed) == 0 {
            writer.write_all(b"x\n").unwrap();
        }
        let accepted = writer.lines.enqueued.load(Ordering::Relaxed);
        assert!(accepted >= LINES_MAX as u64);
        drop(blocked);
        writer.flush_within(tickwire_testkit::PATIENCE);
        let text = String::from_utf8(out.written.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().filter(|line| *line == "x").count() as u64, accepted);
        assert!(text.contains("1 log lines are missing"), "{text}");
    }

    #[test]
    fn flush_of_blocked_output_ends() {
        let (mut writer, out) = writer(false);
        let blocked = out.gate.lock().unwrap();
        writer.write_all(b"x\n").unwrap();
        writer.flush_within(Duration::from_millis(10));
        assert!(out.written.lock().unwrap().is_empty());
        drop(blocked);
    }

    #[test]
    fn blocked_output_delays_no_writer_and_missing_lines_are_counted() {
        let (mut writer, out) = writer(false);
        let blocked = out.gate.lock().unwrap();
        // The thread holds at most one line beside the queue.
        for _ in 0..LINES_MAX + 10 {
            writer.write_all(b"x\n").unwrap();
        }
        assert!(writer.lines.dropped.load(Ordering::Relaxed) >= 9);
        drop(blocked);
        tickwire_testkit::until("the missing lines are reported", || {
            let text = String::from_utf8(out.written.lock().unwrap().clone()).unwrap();
            text.contains("log lines are missing")
        });
    }

    #[test]
    fn failing_output_is_no_error_of_the_writer() {
        let (mut writer, out) = writer(true);
        for _ in 0..10 {
            writer.write_all(b"x\n").unwrap();
        }
        writer.flush_within(tickwire_testkit::PATIENCE);
        assert!(out.written.lock().unwrap().is_empty());
    }
}
