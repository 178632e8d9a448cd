//! How the upstream is, as the hub and people are told.

use std::time::Duration;

use tickwire_protocol::{FeedState, REPORT_TEXT_BYTES_MAX, SourceReport, UnixNanos};

/// Between two reports in which only the numbers differ.
const NUMBERS_INTERVAL: Duration = Duration::from_secs(1);

/// What is known, and what of it has been told.
#[derive(Debug)]
pub(super) struct Status {
    upstream: String,
    /// Whether everything that is wanted was asked for and answered, in this connection.
    live: bool,
    /// What is subscribed, or why nothing is.
    detail: String,
    /// For how many seconds it has been suspiciously silent.
    quiet_secs: Option<u64>,
    numbers: Numbers,
    /// Whether anything but the numbers has changed since the last report.
    changed: bool,
    told: (Numbers, UnixNanos),
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
            quiet_secs: None,
            numbers: Numbers::default(),
            changed: true,
            told: (Numbers::default(), UnixNanos(0)),
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

    /// Silent for so long that it is suspicious.
    pub(super) fn set_quiet(&mut self, quiet: Option<Duration>) {
        let quiet_secs = quiet.map(|quiet| quiet.as_secs());
        self.changed |= quiet_secs != self.quiet_secs;
        self.quiet_secs = quiet_secs;
    }

    pub(super) fn set_detail(&mut self, detail: String) {
        self.changed |= detail != self.detail;
        self.detail = detail;
    }

    pub(super) fn settled(&mut self) {
        self.changed |= !self.live;
        self.live = true;
    }

    pub(super) fn ended(&mut self, reason: &str, wait: Duration) {
        self.live = false;
        self.set_quiet(None);
        self.count_error();
        self.set_detail(format!("{reason}; next try in {:.0} s", wait.as_secs_f64()));
        self.changed = true;
    }

    /// How it is, and why.
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
        }
    }

    /// A report, if there is something to tell: at once about how it is, once a second about numbers.
    pub(super) fn news(&mut self, now: UnixNanos) -> Option<SourceReport> {
        let (numbers, at) = self.told;
        let numbers = numbers != self.numbers && now.since(at) >= NUMBERS_INTERVAL;
        (self.changed || numbers).then(|| {
            self.changed = false;
            self.told = (self.numbers, now);
            self.report()
        })
    }
}

/// As much of a text as a report may hold.
fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(REPORT_TEXT_BYTES_MAX)].to_owned()
}
