//! The progress of a load test: a bar on a terminal, otherwise lines.

use std::mem::{Discriminant, discriminant};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tickwire_client::load::{Phase, Plan, Progress};

use super::print::{grouped, rounded};
use crate::output;

/// The interval of lines without a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Reports progress on standard error.
pub(super) struct ProgressReporter {
    /// `None` without a terminal.
    bar: Option<ProgressBar>,
    connections: usize,
    ramp: Duration,
    duration: Duration,
    /// The phase and the time of the last line.
    last_line: Option<(Discriminant<Phase>, Instant)>,
}

impl ProgressReporter {
    pub(super) fn start(plan: &Plan) -> Self {
        let bar = output::stderr_is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:24} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self {
            bar,
            connections: plan.connections,
            ramp: plan.ramp,
            duration: plan.duration,
            last_line: None,
        }
    }

    pub(super) fn show(&mut self, progress: &Progress) {
        let text = self.text(progress);
        if let Some(bar) = &self.bar {
            bar.set_position(self.thousandths(progress));
            bar.set_message(text);
        } else if self.is_due(progress.phase) {
            output::notice(&text);
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    fn thousandths(&self, progress: &Progress) -> u64 {
        let part = match progress.phase {
            Phase::Opening => progress.open as f64 / self.connections as f64,
            Phase::WarmingUp => 0.0,
            Phase::Measuring(elapsed) => elapsed.as_secs_f64() / self.duration.as_secs_f64(),
        };
        (part.clamp(0.0, 1.0) * 1000.0) as u64
    }

    fn text(&self, progress: &Progress) -> String {
        let open = format!(
            "{} of {} open",
            grouped(progress.open as u64),
            grouped(self.connections as u64)
        );
        let mut text = match progress.phase {
            Phase::Opening => format!("opening over {:.0?}: {open}", self.ramp),
            Phase::WarmingUp => format!("warming up: {open}"),
            Phase::Measuring(elapsed) => {
                let left = self.duration.saturating_sub(elapsed).as_secs();
                let mut text = format!("measuring, {left} s left: {open}");
                if let Some(second) = progress.second {
                    text += &format!(", {} ticks/s", rounded(second.ticks_per_s));
                    if let (Some(p50), Some(p99)) = (second.p50_ms, second.p99_ms) {
                        text += &format!(", p50 {p50:.1} ms, p99 {p99:.1} ms");
                    }
                }
                text
            }
        };
        for (count, what) in [(progress.refused, "refused"), (progress.closed, "closed")] {
            if count > 0 {
                text += &format!(", {count} {what}");
            }
        }
        text
    }

    /// Returns whether a line is due: at the start of every phase, and at intervals within it.
    fn is_due(&mut self, phase: Phase) -> bool {
        let phase = discriminant(&phase);
        let now = now();
        let is_due =
            self.last_line.is_none_or(|(last, at)| last != phase || now - at >= LINE_INTERVAL);
        if is_due {
            self.last_line = Some((phase, now));
        }
        is_due
    }
}

#[expect(clippy::disallowed_methods, reason = "a command's own clock, for progress")]
fn now() -> Instant {
    Instant::now()
}
