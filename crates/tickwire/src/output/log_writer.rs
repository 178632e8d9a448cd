//! The writer of log lines: a thread writes them to standard error.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
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
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// All lines before this message have been written once the sender is dropped.
    Flush(SyncSender<()>),
}

impl LogWriter {
    /// Starts the thread that writes to standard error.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(crate) fn start() -> io::Result<Self> {
        Self::start_with(io::stderr())
    }

    fn start_with(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, lines) = sync_channel(LINES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            write_lines(out, &lines, &counter);
        })?;
        Ok(Self { queue, dropped })
    }

    /// Waits until pending lines have been written, but no longer than a second.
    pub(crate) fn flush_pending(&self) {
        let (done, written) = sync_channel(0);
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            let _written_or_late = written.recv_timeout(FLUSH_TIME_MAX);
        }
    }
}

/// Writes lines until the last writer is dropped. Errors are ignored: standard error may work again
/// later, such as when a full disk has room again.
fn write_lines(mut out: impl Write, lines: &Receiver<Message>, dropped: &AtomicU64) {
    for message in lines {
        match message {
            Message::Line(line) => {
                let _best_effort = out.write_all(&line);
                let missing = dropped.swap(0, Ordering::Relaxed);
                if missing > 0 {
                    let _best_effort = writeln!(
                        out,
                        "{missing} log lines are missing: standard error did not accept them"
                    );
                }
            }
            Message::Flush(done) => drop(done),
        }
    }
}

impl Write for LogWriter {
    /// Enqueues one line. `tracing` makes one call for each line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Message::Line(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
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
        let (gate, written) = (Arc::default(), Arc::default());
        let out = Out { gate, written, fails };
        (LogWriter::start_with(out.clone()).unwrap(), out)
    }

    #[test]
    fn lines_are_written_in_order_before_a_flush_returns() {
        let (mut writer, out) = writer(false);
        for line in ["one\n", "two\n", "three\n"] {
            writer.write_all(line.as_bytes()).unwrap();
        }
        writer.flush_pending();
        assert_eq!(*out.written.lock().unwrap(), b"one\ntwo\nthree\n");
    }

    #[test]
    fn blocked_output_delays_no_writer_and_missing_lines_are_counted() {
        let (mut writer, out) = writer(false);
        let blocked = out.gate.lock().unwrap();
        // The thread holds at most one line beside the queue.
        for _ in 0..LINES_MAX + 10 {
            writer.write_all(b"x\n").unwrap();
        }
        assert!(writer.dropped.load(Ordering::Relaxed) >= 9);
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
        writer.flush_pending();
        assert!(out.written.lock().unwrap().is_empty());
    }
}
