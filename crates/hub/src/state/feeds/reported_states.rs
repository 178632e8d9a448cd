//! The states of a feed that sessions are sent: at once on the live timeline, later on delayed
//! ones.

use std::collections::VecDeque;
use std::time::Duration;

use tickwire_protocol::{FeedState, UnixNanos};

/// Maximum number of changes that are kept for delayed timelines. When it is reached, the newest
/// change replaces the one before it, so that delayed timelines show it later, never earlier.
const CHANGES_MAX: usize = 1_024;

/// The state of a feed that sessions are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReportedState {
    pub(super) state: FeedState,
    /// When the feed entered the state.
    pub(super) since: UnixNanos,
    /// Ticks that publishers reported as dropped at their sources.
    pub(super) lost: u64,
}

/// The reported state of a feed on each timeline. A timeline with a delay shows the state that the
/// feed had that long ago; before the hub started, the feed was down.
#[derive(Debug)]
pub(super) struct ReportedStates {
    /// What each timeline shows, by the index of the timeline.
    shown: Vec<Shown>,
    /// The changes that the most delayed timeline shows next, oldest first, with their times. The
    /// first one may be shown already.
    changes: VecDeque<(UnixNanos, ReportedState)>,
}

#[derive(Debug)]
struct Shown {
    delay: Duration,
    state: ReportedState,
    /// Version of the feeds when `state` last changed.
    version: u64,
}

impl ReportedStates {
    /// Creates the state of a feed that is down on all timelines, which have these delays.
    pub(super) fn new(delays: &[Duration], now: UnixNanos) -> Self {
        let state = ReportedState { state: FeedState::Down, since: now, lost: 0 };
        let shown = |delay: &Duration| Shown { delay: *delay, state, version: 0 };
        Self { shown: delays.iter().map(shown).collect(), changes: VecDeque::new() }
    }

    /// Returns what a timeline shows.
    pub(super) fn get(&self, timeline: usize) -> ReportedState {
        self.shown[timeline].state
    }

    /// Returns the timelines whose state has changed since a version of the feeds.
    pub(super) fn changed_since(&self, version: u64) -> impl Iterator<Item = usize> {
        let changed =
            move |(timeline, shown): (usize, &Shown)| (shown.version > version).then_some(timeline);
        self.shown.iter().enumerate().filter_map(changed)
    }

    /// Sets the present state, and updates what the timelines show. `version` is the version of the
    /// feeds if anything changes. Returns whether anything has changed.
    pub(super) fn report(&mut self, next: ReportedState, now: UnixNanos, version: u64) -> bool {
        let newest = self.changes.back().map_or(self.shown[0].state, |(_, newest)| *newest);
        if newest != next {
            self.add_change(next, now);
        }
        let mut has_changed = false;
        for shown in &mut self.shown {
            let until = before(now, shown.delay);
            let past = self.changes.partition_point(|(time, _)| *time <= until);
            let Some((_, state)) = past.checked_sub(1).map(|index| self.changes[index]) else {
                continue;
            };
            if shown.state != state {
                shown.state = state;
                shown.version = version;
                has_changed = true;
            }
        }
        self.forget_shown(now);
        has_changed
    }

    fn add_change(&mut self, next: ReportedState, now: UnixNanos) {
        // Numbers of lost ticks change often. They need not use up the room for changes of state.
        let spacing = self.delay_max() / u32::try_from(CHANGES_MAX / 2).unwrap_or(u32::MAX);
        let mut newest = self.changes.iter().rev();
        let replaces = match (newest.next(), newest.next()) {
            (Some((_, last)), Some((before_last, _))) => {
                self.changes.len() >= CHANGES_MAX
                    || (last.state == next.state && now.since(*before_last) < spacing)
            }
            _ => false,
        };
        if replaces {
            self.changes.pop_back();
        }
        self.changes.push_back((now, next));
    }

    /// Removes the changes before the last one that every timeline shows.
    fn forget_shown(&mut self, now: UnixNanos) {
        let until = before(now, self.delay_max());
        while self.changes.get(1).is_some_and(|(time, _)| *time <= until) {
            self.changes.pop_front();
        }
    }

    fn delay_max(&self) -> Duration {
        self.shown.iter().map(|shown| shown.delay).max().unwrap_or_default()
    }
}

/// Returns the time that lies `delay` before `now`.
fn before(now: UnixNanos, delay: Duration) -> UnixNanos {
    let delay_ns = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
    UnixNanos(now.0.saturating_sub(delay_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(s: u64) -> UnixNanos {
        UnixNanos((1_000 + s) * 1_000_000_000)
    }

    const fn reported(state: FeedState, since: u64, lost: u64) -> ReportedState {
        ReportedState { state, since: at(since), lost }
    }

    #[test]
    fn delayed_timeline_shows_each_state_once_its_delay_has_passed() {
        let mut states = ReportedStates::new(&[Duration::ZERO, Duration::from_secs(10)], at(0));
        let [live, stale] = [(FeedState::Live, 1), (FeedState::Stale, 5)]
            .map(|(state, since)| reported(state, since, 0));
        let down = states.get(1);
        for (time, state, of_live, of_delayed, changed) in [
            (1, live, live, down, &[0][..]),
            (2, live, live, down, &[]),
            (5, stale, stale, down, &[0]),
            (10, stale, stale, down, &[]),
            (11, stale, stale, live, &[1]),
            (14, stale, stale, live, &[]),
            (15, stale, stale, stale, &[1]),
            (16, live, live, stale, &[0]),
        ] {
            assert_eq!(states.report(state, at(time), time), !changed.is_empty(), "{time} s");
            assert_eq!((states.get(0), states.get(1)), (of_live, of_delayed), "{time} s");
            assert_eq!(states.changed_since(time - 1).collect::<Vec<_>>(), changed, "{time} s");
        }
        assert!(states.changes.len() <= 2, "{:?}", states.changes);
    }

    #[test]
    fn changes_are_bounded_and_never_shown_early() {
        let delay = Duration::from_secs(900);
        let mut states = ReportedStates::new(&[Duration::ZERO, delay], at(0));
        for time in 1..20_000 {
            let state = if time % 3 == 0 { FeedState::Stale } else { FeedState::Live };
            states.report(reported(state, time, time), at(time), time);
            assert_eq!(states.get(0).lost, time, "the live timeline shows every change");
            let shown = states.get(1);
            assert!(shown.since <= before(at(time), delay) || shown.lost == 0, "{shown:?} {time}");
            assert!(states.changes.len() <= CHANGES_MAX);
        }
        assert!(states.get(1).lost > 10_000, "{:?}", states.get(1));
    }
}
