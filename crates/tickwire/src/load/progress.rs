//! How a load test tells how it stands: a bar on a terminal, lines elsewhere.

use std::io::IsTerminal;
use std::mem::{Discriminant, discriminant};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tickwire_client::load::{Phase, Plan, Progress};

use super::print::{grouped, rounded};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Progress on standard error.
pub(super) struct Bar {
    /// `None` where there is no terminal.
    bar: Option<ProgressBar>,
    connections: usize,
    ramp: Duration,
    duration: Duration,
    /// The phase of the last line, and when that was.
    told: Option<(Discriminant<Phase>, Instant)>,
}

impl Bar {
    pub(super) fn start(plan: &Plan) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:24} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        let (connections, ramp, duration) = (plan.connections, plan.ramp, plan.duration);
        Self { bar, connections, ramp, duration, told: None }
    }

    pub(super) fn show(&mut self, progress: &Progress) {
        let text = self.text(progress);
        if let Some(bar) = &self.bar {
            bar.set_position(self.thousandths(progress));
            bar.set_message(text);
        } else if self.is_due(progress.phase) {
            line(&text);
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

    /// Whether a line is due: at the start of every phase, and now and then within it.
    fn is_due(&mut self, phase: Phase) -> bool {
        let (phase, now) = (discriminant(&phase), now());
        let due = self.told.is_none_or(|(told, at)| told != phase || now - at >= LINE_EVERY);
        if due {
            self.told = Some((phase, now));
        }
        due
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "lines come by the clock of the person who reads them"
)]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::print_stderr, reason = "progress is for people, beside the report")]
fn line(text: &str) {
    eprintln!("{text}");
}
