//! How the feeds are: who publishes, and whether ticks come in.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tickwire_protocol::{Control, Feed, FeedState, UnixNanos};

use crate::fanout::FeedId;
use crate::state::sources::Sources;

/// All feeds there are, in the order of their numbers.
#[derive(Debug)]
pub(crate) struct Feeds {
    feeds: Vec<FeedStatus>,
    /// Counts changes of what is told, over all feeds.
    version: AtomicU64,
    stale_after: Duration,
    /// The feed that the hub itself feeds, if there is one.
    own: Option<FeedId>,
}

/// One feed.
#[derive(Debug)]
pub(crate) struct FeedStatus {
    pub(crate) name: Feed,
    /// Its publishers, and what they say of where their ticks come from.
    pub(crate) sources: Sources,
    /// Ticks taken from publishers.
    ticks: AtomicU64,
    /// When its last tick was numbered; 0 before the first.
    last_tick: AtomicU64,
    /// When the last POST brought ticks; 0 before the first. It counts as a publisher for a while.
    last_post: AtomicU64,
    /// Ticks its publishers had to drop at their sources, since the hub started.
    lost: AtomicU64,
    told: Mutex<Told>,
    /// Version of [`Feeds`] at which what is told changed last.
    version: AtomicU64,
}

/// What sessions are told of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    state: FeedState,
    since: UnixNanos,
    lost: u64,
}

impl Feeds {
    pub(crate) fn new(names: Vec<Feed>, stale_after: Duration, now: UnixNanos) -> Self {
        let feeds = names
            .into_iter()
            .map(|name| FeedStatus {
                name,
                sources: Sources::default(),
                ticks: AtomicU64::new(0),
                last_tick: AtomicU64::new(0),
                last_post: AtomicU64::new(0),
                lost: AtomicU64::new(0),
                told: Mutex::new(Told { state: FeedState::Down, since: now, lost: 0 }),
                version: AtomicU64::new(0),
            })
            .collect();
        Self { feeds, version: AtomicU64::new(0), stale_after, own: None }
    }

    /// The same where the last feed is fed by the hub itself: it is always live.
    pub(crate) fn with_own(mut self) -> Self {
        let last = self.feeds.len().checked_sub(1).and_then(|last| u8::try_from(last).ok());
        self.own = last.map(FeedId);
        self
    }

    /// The feed that the hub itself feeds, if there is one.
    pub(crate) const fn own(&self) -> Option<FeedId> {
        self.own
    }

    /// Names of the feeds that publishers may feed.
    pub(crate) fn open_names(&self) -> impl Iterator<Item = &str> {
        let open = self.feeds.len() - usize::from(self.own.is_some());
        self.feeds[..open].iter().map(|feed| feed.name.as_str())
    }

    pub(crate) fn all(&self) -> &[FeedStatus] {
        &self.feeds
    }

    pub(crate) fn get(&self, id: FeedId) -> &FeedStatus {
        &self.feeds[usize::from(id.0)]
    }

    /// The feed of a name; the first one if none is named.
    pub(crate) fn find(&self, name: Option<&str>) -> Option<FeedId> {
        let at = match name {
            None => 0,
            Some(name) => self.feeds.iter().position(|feed| feed.name.as_str() == name)?,
        };
        u8::try_from(at).ok().map(FeedId)
    }

    /// Looks at every feed and says whether what is to be told of any has changed.
    pub(crate) fn refresh(&self, now: UnixNanos) -> bool {
        let next = self.version() + 1;
        let mut changed = false;
        for (id, feed) in (0..).map(FeedId).zip(&self.feeds) {
            let is = if self.own == Some(id) {
                FeedState::Live
            } else {
                feed.state_by(now, self.stale_after)
            };
            changed |= feed.refresh(is, now, next);
        }
        if changed {
            self.version.store(next, Ordering::Release);
        }
        changed
    }

    /// Number of the last change.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Feeds of which something has changed since a version.
    pub(crate) fn changed_since(&self, version: u64) -> Vec<FeedId> {
        let changed = |(id, feed): (u8, &FeedStatus)| {
            (feed.version.load(Ordering::Acquire) > version).then_some(FeedId(id))
        };
        (0..).zip(&self.feeds).filter_map(changed).collect()
    }
}

impl FeedStatus {
    /// So many of its ticks were numbered.
    pub(crate) fn ticked(&self, ticks: usize, now: UnixNanos) {
        self.ticks.fetch_add(ticks as u64, Ordering::Relaxed);
        self.last_tick.store(now.0, Ordering::Relaxed);
    }

    /// Ticks taken from its publishers.
    pub(crate) fn ticks(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }

    pub(crate) fn posted(&self, now: UnixNanos) {
        self.last_post.store(now.0, Ordering::Relaxed);
    }

    /// A publisher had to drop ticks at its source.
    pub(crate) fn lose(&self, ticks: u64) {
        self.lost.fetch_add(ticks, Ordering::Relaxed);
    }

    /// Ticks that publishers had to drop at their sources.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Its state and since when.
    pub(crate) fn state(&self) -> (FeedState, UnixNanos) {
        let Told { state, since, .. } = self.told();
        (state, since)
    }

    fn told(&self) -> Told {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The element that tells how it is.
    pub(crate) fn element(&self) -> Control {
        let Told { state, since, lost } = self.told();
        Control::Feed { feed: self.name.clone(), state, since, lost }
    }

    /// How it is by its publishers and its ticks.
    fn state_by(&self, now: UnixNanos, stale_after: Duration) -> FeedState {
        let recent = |last: &AtomicU64| {
            let last = UnixNanos(last.load(Ordering::Relaxed));
            last.0 != 0 && now.since(last) < stale_after
        };
        let best = if recent(&self.last_post) { FeedState::Live } else { self.sources.best() };
        match best {
            FeedState::Live if !recent(&self.last_tick) => FeedState::Stale,
            best => best,
        }
    }

    fn refresh(&self, is: FeedState, now: UnixNanos, version: u64) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let since = if told.state == is { told.since } else { now };
        if told.state != is {
            tracing::info!(feed = %self.name, state = is.name(), "feed");
        }
        let next = Told { state: is, since, lost: self.lost() };
        let changed = *told != next;
        if changed {
            *told = next;
            self.version.store(version, Ordering::Release);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_is_live_with_ticks_stale_without_and_down_without_publishers() {
        let at = |s: u64| UnixNanos((1_000 + s) * 1_000_000_000);
        let feeds = Feeds::new(vec![Feed::default()], Duration::from_secs(10), at(0));
        let feed = feeds.get(FeedId(0));
        assert_eq!(feed.state(), (FeedState::Down, at(0)));
        let publisher = feed.sources.enter(at(1));
        assert!(feeds.refresh(at(1)));
        assert_eq!(feeds.changed_since(0), [FeedId(0)]);
        assert_eq!(feed.state(), (FeedState::Stale, at(1)));
        feed.ticked(1, at(2));
        assert!(feeds.refresh(at(3)));
        assert_eq!(feed.state(), (FeedState::Live, at(3)));
        assert!(!feeds.refresh(at(11)));
        assert_eq!(feeds.changed_since(feeds.version()), []);
        assert!(feeds.refresh(at(12)));
        feed.ticked(1, at(13));
        feed.sources.leave(publisher);
        feeds.refresh(at(14));
        assert_eq!(feed.state(), (FeedState::Down, at(14)), "at once, however fresh its ticks");
    }

    #[test]
    fn ticks_lost_at_the_source_are_told_and_leave_the_state_as_it_is() {
        let at = |s: u64| UnixNanos((1_000 + s) * 1_000_000_000);
        let feeds = Feeds::new(vec![Feed::default()], Duration::from_secs(10), at(0));
        let feed = feeds.get(FeedId(0));
        feed.lose(5);
        feed.lose(2);
        assert!(feeds.refresh(at(1)));
        assert_eq!(feed.state(), (FeedState::Down, at(0)));
        assert!(matches!(feed.element(), Control::Feed { lost: 7, .. }));
        assert!(!feeds.refresh(at(2)));
    }

    #[test]
    fn a_feed_of_the_hub_itself_is_live_without_publishers() {
        let feeds = vec![Feed::default(), Feed::new("own").unwrap()];
        let feeds = Feeds::new(feeds, Duration::from_secs(10), UnixNanos(1)).with_own();
        feeds.refresh(UnixNanos(2));
        assert_eq!(
            (feeds.own(), feeds.get(FeedId(1)).state().0),
            (Some(FeedId(1)), FeedState::Live)
        );
        assert_eq!(feeds.get(FeedId(0)).state().0, FeedState::Down);
        assert_eq!(feeds.open_names().collect::<Vec<_>>(), ["main"]);
    }

    #[test]
    fn posts_count_as_a_publisher_for_a_while() {
        let at = |s: u64| UnixNanos((1_000 + s) * 1_000_000_000);
        let feeds = Feeds::new(vec![Feed::default()], Duration::from_secs(10), at(0));
        let feed = feeds.get(FeedId(0));
        feed.posted(at(1));
        feed.ticked(1, at(1));
        feeds.refresh(at(2));
        assert_eq!(feed.state().0, FeedState::Live);
        feeds.refresh(at(11));
        assert_eq!(feed.state().0, FeedState::Down);
    }
}
