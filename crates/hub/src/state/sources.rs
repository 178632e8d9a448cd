//! The publishers of a feed, and what they report of where their ticks come from.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slab::Slab;
use tickwire_protocol::{FeedState, SourceReport, UnixNanos};

/// The publishers' sessions of one feed. As many as `publishers_max` at the most.
#[derive(Debug, Default)]
pub(crate) struct Sources(Mutex<Slab<Source>>);

/// One publisher's session.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Its id, once it has told it.
    pub(crate) publisher: Option<Arc<str>>,
    /// Since when it has been there, or in the state that it reports.
    pub(crate) since: UnixNanos,
    /// What it has said last.
    pub(crate) report: Option<SourceReport>,
}

/// The place of a session among the [`Sources`] of its feed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SourceId(usize);

impl Sources {
    /// A publisher's session begins.
    pub(crate) fn enter(&self, now: UnixNanos) -> SourceId {
        SourceId(self.lock().insert(Source { publisher: None, since: now, report: None }))
    }

    /// It says who it is. A session that said the same before has been replaced, and has no name any
    /// more: a name belongs to one.
    pub(crate) fn name(&self, id: SourceId, publisher: &Arc<str>) {
        let mut sources = self.lock();
        for (_, source) in sources.iter_mut() {
            source.publisher.take_if(|known| known == publisher);
        }
        sources[id.0].publisher = Some(publisher.clone());
    }

    /// It says how the place is where its ticks come from.
    pub(crate) fn report(&self, id: SourceId, report: SourceReport, now: UnixNanos) {
        let source = &mut self.lock()[id.0];
        if source.state() != report.state {
            source.since = now;
        }
        source.report = Some(report);
    }

    /// A session has ended.
    pub(crate) fn leave(&self, id: SourceId) {
        self.lock().remove(id.0);
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The best that the feed can be by what its publishers say: down if there is none.
    pub(crate) fn best(&self) -> FeedState {
        let states = self.lock().iter().map(|(_, source)| source.state()).collect::<Vec<_>>();
        let best = [FeedState::Live, FeedState::Stale].into_iter().find(|s| states.contains(s));
        best.unwrap_or(FeedState::Down)
    }

    /// All that have told who they are, by name.
    pub(crate) fn named(&self) -> Vec<(Arc<str>, Source)> {
        let sources = self.lock();
        let named =
            |(_, source): (usize, &Source)| Some((source.publisher.clone()?, source.clone()));
        let mut all: Vec<_> = sources.iter().filter_map(named).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Source>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    /// What it reports; who reports nothing is there.
    pub(crate) fn state(&self) -> FeedState {
        self.report.as_ref().map_or(FeedState::Live, |report| report.state)
    }
}
