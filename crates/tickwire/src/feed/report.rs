//! Progress of `tickwire feed` on standard error: a bar on a terminal, a line every few seconds
//! elsewhere, and a summary at the end.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tickwire_feeder::Counts;
use tracing_subscriber::filter::LevelFilter;

use super::destination::Destination;
use crate::logging::printable_fields;
use crate::output::{self, LogWriter};

/// Length of the bar: progress is measured in millionths.
const MILLION: f64 = 1e6;
/// Interval between lines when standard error is not a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Delays below this are normal and not reported.
const BEHIND_MIN: Duration = Duration::from_millis(100);

/// Reports the progress of a feed.
pub(super) struct Report {
    /// Hidden if standard error is not a terminal.
    bar: ProgressBar,
    log: LogWriter,
    verb: &'static str,
    to_hub: bool,
    /// Ticks and elapsed time at the last rate update.
    last_update: (u64, Duration),
    next_line: Duration,
}

impl Report {
    pub(super) const INTERVAL: Duration = Duration::from_millis(200);

    /// Creates the report of a feed.
    ///
    /// # Errors
    /// Fails if the thread that writes to standard error cannot be started.
    pub(super) fn new(destination: &Destination) -> io::Result<Self> {
        let to_hub = matches!(destination, Destination::Hub(_));
        // Ticks printed to the same terminal would corrupt a bar.
        let on_screen = matches!(destination, Destination::Stdout) && output::stdout_is_terminal();
        let bar = if output::stderr_is_terminal() && !on_screen {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        bar.set_style(style("{spinner} {msg}"));
        let verb = if to_hub { "published" } else { "wrote" };
        let log = LogWriter::start()?;
        let last_update = (0, Duration::ZERO);
        Ok(Self { bar, log, verb, to_hub, last_update, next_line: LINE_INTERVAL })
    }

    /// Disables the periodic lines, for feeds that run for months.
    pub(super) fn of_events_only(self) -> Self {
        Self { next_line: Duration::MAX, ..self }
    }

    /// Prints the title. From here on, log lines are written through the report, so that they do
    /// not corrupt the bar.
    pub(super) fn start(&self, title: &str) {
        let writer = self.lines();
        let log = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .fmt_fields(printable_fields())
            .with_max_level(LevelFilter::INFO)
            .with_target(false)
            .without_time()
            .log_internal_errors(false)
            .with_ansi(output::stderr_is_terminal());
        // A logger that is already installed serves as well.
        log.try_init().ok();
        self.line(title);
    }

    pub(super) fn update(&mut self, counts: &Counts, elapsed: Duration) {
        if self.bar.is_hidden() && elapsed < self.next_line {
            return;
        }
        let text = self.describe(counts, elapsed);
        if self.bar.is_hidden() {
            self.line(&text);
            self.next_line = elapsed + LINE_INTERVAL;
            self.last_update = (counts.ticks, elapsed);
            return;
        }
        // A rate over less than a second fluctuates too much.
        if elapsed.saturating_sub(self.last_update.1) >= Duration::from_secs(1) {
            self.last_update = (counts.ticks, elapsed);
        }
        if let Some(done) = counts.done {
            if self.bar.length().is_none() {
                self.bar.set_length(millionths(1.0));
                self.bar.set_style(style("{bar:30} {percent:>3}%  {msg}"));
            }
            self.bar.set_position(millionths(done));
        }
        self.bar.set_message(text);
        self.bar.tick();
    }

    /// Describes the progress: ticks, rate, time left, and faults.
    fn describe(&self, counts: &Counts, elapsed: Duration) -> String {
        let (ticks, then) = self.last_update;
        let seconds = elapsed.saturating_sub(then).as_secs_f64().max(1e-3);
        let rate = counts.ticks.saturating_sub(ticks) as f64 / seconds;
        let mut parts = vec![format!("{} ticks", HumanCount(counts.ticks)), format!("{rate:.0}/s")];
        if let Some(done) = counts.done {
            if self.bar.is_hidden() {
                parts.push(format!("{:.0} %", done * 100.0));
            }
            parts.extend(time_left(done, elapsed).map(|left| format!("ETA {left}")));
        }
        if counts.ticks == 0 && counts.resumed_after > 0 {
            parts.push(format!(
                "skipping {} already published by an earlier run",
                HumanCount(counts.resumed_after)
            ));
        }
        if self.to_hub && !counts.connected {
            parts.push("waiting for the hub".to_owned());
        }
        let behind = Duration::from_nanos(counts.behind_ns);
        if behind >= BEHIND_MIN {
            parts.push(format!("{:.1} s behind schedule", behind.as_secs_f64()));
        }
        parts.extend(faults(counts));
        parts.join(", ")
    }

    pub(super) fn finish(&self, counts: &Counts, elapsed: Duration) {
        self.bar.finish_and_clear();
        let seconds = elapsed.as_secs_f64();
        let mut parts = vec![format!(
            "{} {} ticks in {seconds:.1} s ({:.0}/s)",
            self.verb,
            HumanCount(counts.acked),
            counts.acked as f64 / seconds
        )];
        if counts.acked < counts.ticks {
            parts.push(format!("{} not acknowledged", HumanCount(counts.ticks - counts.acked)));
        }
        if counts.resumed_after > 0 {
            let hint =
                if counts.ticks == 0 { " (use another --publisher to start over)" } else { "" };
            let passed = HumanCount(counts.resumed_after);
            parts.push(format!("resumed after {passed} of an earlier run{hint}"));
        }
        parts.extend(faults(counts));
        self.line(&parts.join(", "));
        self.log.flush_pending();
    }

    fn lines(&self) -> Lines {
        Lines { bar: self.bar.clone(), log: self.log.clone() }
    }

    fn line(&self, text: &str) {
        let _never_fails = self.lines().write_all(format!("{text}\n").as_bytes());
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is well formed")
}

#[expect(clippy::cast_possible_truncation, reason = "between 0 and a million")]
fn millionths(share: f64) -> u64 {
    (share * MILLION) as u64
}

/// Estimates the time left from the share that is done; `None` while there is too little to tell.
fn time_left(done: f64, elapsed: Duration) -> Option<humantime::FormattedDuration> {
    let left = (done > 0.001).then(|| elapsed.as_secs_f64() * (1.0 - done) / done)?;
    let left = Duration::try_from_secs_f64(left.round()).ok()?;
    Some(humantime::format_duration(left))
}

/// Returns a text for each kind of fault that occurred.
fn faults(counts: &Counts) -> impl Iterator<Item = String> {
    [
        (counts.skipped, "malformed lines skipped"),
        (counts.refused, "messages refused by the hub"),
        (counts.dropped, "dropped because they were late"),
        (counts.republished, "published again because the hub had lost them"),
        (counts.lost, "lost by the hub permanently"),
        (counts.reconnects, "reconnects"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{what}: {}", HumanCount(count)))
}

/// Writes lines to standard error and hides the bar meanwhile. Never fails, and waits for a
/// terminal only: a feed whose standard error is gone or stuck continues.
#[derive(Clone)]
struct Lines {
    bar: ProgressBar,
    log: LogWriter,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bar.is_hidden() {
            return self.log.write(bytes);
        }
        self.bar.suspend(|| output::write_to_stderr(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
