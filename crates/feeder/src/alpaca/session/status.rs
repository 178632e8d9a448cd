//! The state of the upstream, as reported to the hub and in the log.

use std::time::Duration;

use tickwire_protocol::{FeedState, REPORT_TEXT_BYTES_MAX, SourceReport, UnixNanos};

/// Interval between reports in which only counters changed.
const NUMBERS_INTERVAL: Duration = Duration::from_secs(1);

/// The state of the upstream, and which part of it the hub already knows.
#[derive(Debug)]
pub(super) struct Status {
    upstream: String,
    /// Whether all requests of this connection have been answered.
    live: bool,
    /// Description of the subscriptions, or the reason for their absence.
    detail: String,
    /// Whether the upstream has no room for all wanted names.
    is_full: bool,
    /// Length of the current silence in seconds, if it is suspiciously long.
    quiet_secs: Option<u64>,
    numbers: Numbers,
    /// Whether anything except counters changed since the last report.
    changed: bool,
    reported: (Numbers, UnixNanos),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Numbers {
    connects: u64,
    errors: u64,
    ticks: u64,
}

impl Status {
    pub(super) fn new(upstream: &str) -> Self {
        Self {
            upstream: cut(upstream),
            live: false,
            detail: "connecting".to_owned(),
            is_full: false,
            quiet_secs: None,
            numbers: Numbers::default(),
            changed: true,
            reported: (Numbers::default(), UnixNanos(0)),
        }
    }

    pub(super) fn opened(&mut self) {
        self.numbers.connects += 1;
        self.set_detail("connected, logging in".to_owned());
    }

    pub(super) fn ticked(&mut self, ticks: usize) {
        self.numbers.ticks += ticks as u64;
        self.set_quiet(None);
    }

    pub(super) const fn count_error(&mut self) {
        self.numbers.errors += 1;
    }

    /// Sets the length of a suspiciously long silence; `None` ends it.
    pub(super) fn set_quiet(&mut self, quiet: Option<Duration>) {
        let quiet_secs = quiet.map(|quiet| quiet.as_secs());
        self.changed |= quiet_secs != self.quiet_secs;
        self.quiet_secs = quiet_secs;
    }

    pub(super) fn set_detail(&mut self, detail: String) {
        self.changed |= detail != self.detail;
        self.detail = detail;
    }

    /// Notes that all requests have been answered, and whether the upstream has no room for all
    /// wanted names.
    pub(super) fn settled(&mut self, is_full: bool) {
        self.changed |= !self.live || is_full != self.is_full;
        self.live = true;
        self.is_full = is_full;
    }

    pub(super) fn ended(&mut self, reason: &str, wait: Duration) {
        self.live = false;
        self.set_quiet(None);
        self.count_error();
        self.set_detail(format!("{reason}; next try in {:.0} s", wait.as_secs_f64()));
        self.changed = true;
    }

    /// Returns the current report.
    pub(super) fn report(&self) -> SourceReport {
        let (state, detail) = match self.quiet_secs {
            _ if !self.live => (FeedState::Down, cut(&self.detail)),
            None => (FeedState::Live, cut(&self.detail)),
            Some(seconds) => {
                (FeedState::Stale, cut(&format!("no ticks for {seconds} s, {}", self.detail)))
            }
        };
        let Numbers { connects, errors, ticks } = self.numbers;
        let upstream = Some(self.upstream.clone());
        SourceReport {
            state,
            detail: Some(detail),
            upstream,
            connects,
            errors,
            ticks,
            no_bars: false,
            is_full: self.is_full,
        }
    }

    /// Returns a report if one is due: at once after a change of the state, otherwise once a second
    /// if counters have changed.
    pub(super) fn take_report(&mut self, now: UnixNanos) -> Option<SourceReport> {
        let (numbers, at) = self.reported;
        let numbers = numbers != self.numbers && now.since(at) >= NUMBERS_INTERVAL;
        (self.changed || numbers).then(|| {
            self.changed = false;
            self.reported = (self.numbers, now);
            self.report()
        })
    }
}

/// Truncates a text to the length that a report allows.
fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(REPORT_TEXT_BYTES_MAX)].to_owned()
}
