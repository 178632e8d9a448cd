//! The feeds of the hub, and the state of each: live, stale or down.

mod reported_states;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tickwire_protocol::{Control, Feed, FeedState, UnixNanos};

use crate::fanout::FeedId;
use crate::state::publisher_sessions::PublisherSessions;
use crate::state::views::LIVE_TIMELINE;
use reported_states::{ReportedState, ReportedStates};

/// All feeds of the hub, by id.
#[derive(Debug)]
pub(crate) struct Feeds {
    feeds: Vec<FeedStatus>,
    /// Version of the reported states, incremented whenever that of any feed changes.
    version: AtomicU64,
    /// Time without ticks after which a feed is stale.
    stale_after: Duration,
    /// The built-in test feed, if there is one.
    test_feed: Option<FeedId>,
}

/// A feed: its publishers, counters and state.
#[derive(Debug)]
pub(crate) struct FeedStatus {
    pub(crate) name: Feed,
    pub(crate) publishers: PublisherSessions,
    /// Ticks received from publishers.
    ticks: AtomicU64,
    /// Time at which the router last numbered a tick of the feed; 0 if never.
    last_tick: AtomicU64,
    /// Time of the last POST with ticks; 0 if there was none. A POST counts as a live publisher for
    /// a while.
    last_post: AtomicU64,
    /// Number of ticks that publishers reported as dropped at their sources since the hub started.
    lost: AtomicU64,
    /// Trades too far ahead of the hub's clock to advance the feed's clock, since the hub started.
    trades_ahead: AtomicU64,
    reported: Mutex<ReportedStates>,
}

impl Feeds {
    /// Creates feeds with these names, in the order of their ids. All are down.
    pub(crate) fn new(names: Vec<Feed>, stale_after: Duration, now: UnixNanos) -> Self {
        let reported = || ReportedStates::new(&[Duration::ZERO], now);
        let feeds = names
            .into_iter()
            .map(|name| FeedStatus {
                name,
                publishers: PublisherSessions::default(),
                ticks: AtomicU64::new(0),
                last_tick: AtomicU64::new(0),
                last_post: AtomicU64::new(0),
                lost: AtomicU64::new(0),
                trades_ahead: AtomicU64::new(0),
                reported: Mutex::new(reported()),
            })
            .collect();
        Self { feeds, version: AtomicU64::new(0), stale_after, test_feed: None }
    }

    /// Sets the delays of the timelines, by index: the live one first. On all of them the feeds are
    /// down until a first state is due.
    pub(crate) fn with_delays(mut self, delays: &[Duration], now: UnixNanos) -> Self {
        for feed in &mut self.feeds {
            feed.reported = Mutex::new(ReportedStates::new(delays, now));
        }
        self
    }

    /// Makes the last feed the built-in test feed, which is always live and not open to publishers.
    pub(crate) fn with_test_feed(mut self) -> Self {
        let last = self.feeds.len().checked_sub(1).and_then(|last| u8::try_from(last).ok());
        self.test_feed = last.map(FeedId);
        self
    }

    /// Returns the built-in test feed, if there is one.
    pub(crate) const fn test_feed(&self) -> Option<FeedId> {
        self.test_feed
    }

    /// Returns the names of the feeds that are open to publishers.
    pub(crate) fn publishable_names(&self) -> impl Iterator<Item = &str> {
        let publishable = self.feeds.len() - usize::from(self.test_feed.is_some());
        self.feeds[..publishable].iter().map(|feed| feed.name.as_str())
    }

    /// Returns all feeds, by id.
    pub(crate) fn all(&self) -> &[FeedStatus] {
        &self.feeds
    }

    /// Returns the feed with this id.
    pub(crate) fn get(&self, id: FeedId) -> &FeedStatus {
        &self.feeds[usize::from(id.0)]
    }

    /// Finds the feed with this name; without a name, the first feed.
    pub(crate) fn find(&self, name: Option<&str>) -> Option<FeedId> {
        let index = match name {
            None => 0,
            Some(name) => self.feeds.iter().position(|feed| feed.name.as_str() == name)?,
        };
        u8::try_from(index).ok().map(FeedId)
    }

    /// Computes the state of every feed. Returns whether anything that is reported has changed.
    pub(crate) fn refresh(&self, now: UnixNanos) -> bool {
        let next = self.version() + 1;
        let mut changed = false;
        for (id, feed) in (0..).map(FeedId).zip(&self.feeds) {
            let state = if self.test_feed == Some(id) {
                FeedState::Live
            } else {
                feed.state_at(now, self.stale_after)
            };
            changed |= feed.report(state, now, next);
        }
        if changed {
            self.version.store(next, Ordering::Release);
        }
        changed
    }

    /// Returns the version of the reported states. It grows with every change.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Returns the feeds whose reported state has changed since a version, each with the index of a
    /// timeline on which it has.
    pub(crate) fn changed_since(&self, version: u64) -> Vec<(FeedId, usize)> {
        let mut changed = Vec::new();
        for (id, feed) in (0..).map(FeedId).zip(&self.feeds) {
            changed.extend(feed.lock_reported().changed_since(version).map(|on| (id, on)));
        }
        changed
    }
}

impl FeedStatus {
    /// Counts ticks that the router has numbered.
    pub(crate) fn count_ticks(&self, ticks: usize, now: UnixNanos) {
        self.ticks.fetch_add(ticks as u64, Ordering::Relaxed);
        self.last_tick.store(now.0, Ordering::Relaxed);
    }

    /// Returns the ticks received from publishers since the hub started.
    pub(crate) fn ticks(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// Notes that a POST has brought ticks.
    pub(crate) fn note_post(&self, now: UnixNanos) {
        self.last_post.store(now.0, Ordering::Relaxed);
    }

    /// Counts ticks that a publisher had to drop at its source.
    pub(crate) fn count_lost(&self, ticks: u64) {
        let add = |lost: u64| Some(lost.saturating_add(ticks)); // publishers may send any number
        let _always = self.lost.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Returns the number of ticks that publishers reported as dropped at their sources since the
    /// hub started.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Counts trades that are too far ahead of the hub's clock to advance the feed's clock.
    pub(crate) fn count_trades_ahead(&self, trades: u64) {
        self.trades_ahead.fetch_add(trades, Ordering::Relaxed);
    }

    /// Returns the number of trades too far ahead of the hub's clock, since the hub started.
    pub(crate) fn trades_ahead(&self) -> u64 {
        self.trades_ahead.load(Ordering::Relaxed)
    }

    /// Returns the reported state, and the time since which it holds.
    pub(crate) fn state(&self) -> (FeedState, UnixNanos) {
        let ReportedState { state, since, .. } = self.lock_reported().get(LIVE_TIMELINE);
        (state, since)
    }

    fn lock_reported(&self) -> MutexGuard<'_, ReportedStates> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the control element that reports the state to sessions, as a timeline shows it.
    /// `view` and `delay` are those of the session.
    pub(crate) fn element(&self, timeline: usize, view: &str, delay: Duration) -> Control {
        let ReportedState { state, since, lost } = self.lock_reported().get(timeline);
        let view = (view != self.name.as_str()).then(|| view.to_owned());
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        Control::Feed { feed: self.name.clone(), state, since, lost, view, delay_ms }
    }

    /// Returns the state at a time: the best state of the feed's publishers (live before stale
    /// before down), but stale instead of live if no tick arrived within `stale_after`.
    fn state_at(&self, now: UnixNanos, stale_after: Duration) -> FeedState {
        let is_recent = |last: &AtomicU64| {
            let last = UnixNanos(last.load(Ordering::Relaxed));
            last.0 != 0 && now.since(last) < stale_after
        };
        let posted = is_recent(&self.last_post);
        let best = if posted { FeedState::Live } else { self.publishers.best_state() };
        match best {
            FeedState::Live if !is_recent(&self.last_tick) => FeedState::Stale,
            best => best,
        }
    }

    /// Updates the reported state. Returns whether it has changed.
    fn report(&self, state: FeedState, now: UnixNanos, version: u64) -> bool {
        let mut reported = self.lock_reported();
        let before = reported.get(LIVE_TIMELINE);
        let since = if before.state == state { before.since } else { now };
        if before.state != state {
            tracing::info!(feed = %self.name, state = state.name(), "feed");
        }
        reported.report(ReportedState { state, since, lost: self.lost() }, now, version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feed_is_live_with_ticks_stale_without_and_down_without_publishers() {
        let at = |s: u64| UnixNanos((1_000 + s) * 1_000_000_000);
        let feeds = Feeds::new(vec![Feed::default()], Duration::from_secs(10), at(0));
        let feed = feeds.get(FeedId(0));
        assert_eq!(feed.state(), (FeedState::Down, at(0)));
        let publisher = feed.publishers.add(at(1));
        assert!(feeds.refresh(at(1)));
        assert_eq!(feeds.changed_since(0), [(FeedId(0), LIVE_TIMELINE)]);
        assert_eq!(feed.state(), (FeedState::Stale, at(1)));
        feed.count_ticks(1, at(2));
        assert!(feeds.refresh(at(3)));
        assert_eq!(feed.state(), (FeedState::Live, at(3)));
        assert!(!feeds.refresh(at(11)));
        assert_eq!(feeds.changed_since(feeds.version()), []);
        assert!(feeds.refresh(at(12)));
        feed.count_ticks(1, at(13));
        feed.publishers.remove(publisher);
        feeds.refresh(at(14));
        assert_eq!(feed.state(), (FeedState::Down, at(14)), "at once, even with recent ticks");
    }

    #[test]
    fn ticks_lost_at_the_source_are_reported_without_a_change_of_state() {
        let at = |s: u64| UnixNanos((1_000 + s) * 1_000_000_000);
        let feeds = Feeds::new(vec![Feed::default()], Duration::from_secs(10), at(0));
        let feed = feeds.get(FeedId(0));
        feed.count_lost(5);
        feed.count_lost(2);
        assert!(feeds.refresh(at(1)));
        assert_eq!(feed.state(), (FeedState::Down, at(0)));
        assert!(matches!(
            feed.element(LIVE_TIMELINE, "main", Duration::ZERO),
            Control::Feed { lost: 7, .. }
        ));
        assert!(!feeds.refresh(at(2)));
    }

    #[test]
    fn test_feed_is_live_without_publishers() {
        let feeds = vec![Feed::default(), Feed::new("test").unwrap()];
        let feeds = Feeds::new(feeds, Duration::from_secs(10), UnixNanos(1)).with_test_feed();
        feeds.refresh(UnixNanos(2));
        assert_eq!(
            (feeds.test_feed(), feeds.get(FeedId(1)).state().0),
            (Some(FeedId(1)), FeedState::Live)
        );
        assert_eq!(feeds.get(FeedId(0)).state().0, FeedState::Down);
        assert_eq!(feeds.publishable_names().collect::<Vec<_>>(), ["main"]);
    }

    #[test]
    fn post_counts_as_a_live_publisher_for_a_while() {
        let at = |s: u64| UnixNanos((1_000 + s) * 1_000_000_000);
        let feeds = Feeds::new(vec![Feed::default()], Duration::from_secs(10), at(0));
        let feed = feeds.get(FeedId(0));
        feed.note_post(at(1));
        feed.count_ticks(1, at(1));
        feeds.refresh(at(2));
        assert_eq!(feed.state().0, FeedState::Live);
        feeds.refresh(at(11));
        assert_eq!(feed.state().0, FeedState::Down);
    }
}
