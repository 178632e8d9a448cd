//! The publisher sessions of a feed, and what each reports about its upstream.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slab::Slab;
use tickwire_protocol::{FeedState, SourceReport, UnixNanos};

/// The connected publisher sessions of one feed, at most `publishers_max`.
#[derive(Debug, Default)]
pub(crate) struct PublisherSessions(Mutex<Slab<PublisherSession>>);

/// One connected publisher session.
#[derive(Debug, Clone)]
pub(crate) struct PublisherSession {
    /// The publisher id, once the publisher has sent one.
    pub(crate) publisher: Option<Arc<str>>,
    /// When the session started, or entered its reported state.
    pub(crate) since: UnixNanos,
    /// The latest report of the publisher.
    pub(crate) report: Option<SourceReport>,
}

/// Identifies a session among the [`PublisherSessions`] of its feed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PublisherSessionId(usize);

impl PublisherSessions {
    /// Adds a session that has connected.
    pub(crate) fn add(&self, now: UnixNanos) -> PublisherSessionId {
        let session = PublisherSession { publisher: None, since: now, report: None };
        PublisherSessionId(self.lock().insert(session))
    }

    /// Sets the publisher id of a session. An older session with the same id loses it: that session
    /// has been replaced, and an id is listed once.
    pub(crate) fn set_publisher(&self, id: PublisherSessionId, publisher: &Arc<str>) {
        let mut sessions = self.lock();
        for (_, session) in sessions.iter_mut() {
            session.publisher.take_if(|known| known == publisher);
        }
        sessions[id.0].publisher = Some(publisher.clone());
    }

    /// Stores the latest report of a session.
    pub(crate) fn set_report(&self, id: PublisherSessionId, report: SourceReport, now: UnixNanos) {
        let session = &mut self.lock()[id.0];
        if session.state() != report.state {
            session.since = now;
        }
        session.report = Some(report);
    }

    /// Removes a session that has ended.
    pub(crate) fn remove(&self, id: PublisherSessionId) {
        self.lock().remove(id.0);
    }

    /// Returns the number of connected sessions.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Returns the best state of all sessions (live before stale before down); [`FeedState::Down`]
    /// without sessions.
    pub(crate) fn best_state(&self) -> FeedState {
        let states = self.lock().iter().map(|(_, session)| session.state()).collect::<Vec<_>>();
        let best = [FeedState::Live, FeedState::Stale].into_iter().find(|s| states.contains(s));
        best.unwrap_or(FeedState::Down)
    }

    /// Returns the sessions that have sent a publisher id, sorted by it.
    pub(crate) fn named(&self) -> Vec<(Arc<str>, PublisherSession)> {
        let sessions = self.lock();
        let named = |(_, session): (usize, &PublisherSession)| {
            Some((session.publisher.clone()?, session.clone()))
        };
        let mut named: Vec<_> = sessions.iter().filter_map(named).collect();
        named.sort_by(|a, b| a.0.cmp(&b.0));
        named
    }

    fn lock(&self) -> MutexGuard<'_, Slab<PublisherSession>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PublisherSession {
    /// Returns the reported state. A session that reports nothing counts as live.
    pub(crate) fn state(&self) -> FeedState {
        self.report.as_ref().map_or(FeedState::Live, |report| report.state)
    }
}
