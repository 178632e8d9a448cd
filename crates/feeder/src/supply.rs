//! What a publisher publishes: a source on its schedule, or what a live source has brought.

use std::future::{Future, pending};

use tickwire_protocol::{SourceReport, SubscriptionSet, Tick, UnixNanos};

use crate::{Progress, SourceError};

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Send this; it was due at that time.
    Send(Tick, UnixNanos),
    /// Nothing is due before this time, unless [`Supply::ready`] says otherwise.
    Wait(UnixNanos),
    /// Nothing will be due any more.
    End,
}

/// Ticks as they become due. Positions count those taken from the beginning.
pub(crate) trait Supply {
    /// The next tick if it is due. After an error it has ended.
    fn next(&mut self, now: UnixNanos) -> Result<Next, SourceError>;

    /// Passes over up to `count` ticks, whenever they are due; returns how many.
    fn skip(&mut self, count: u64) -> Result<u64, SourceError>;

    /// Goes back to the beginning; `false` if it cannot.
    fn rewind(&mut self) -> Result<bool, SourceError>;

    /// Nothing that has not been taken yet is taken from now on.
    fn stop(&mut self);

    /// Whether it has been stopped.
    fn is_stopped(&self) -> bool;

    /// Whether nothing will come any more.
    fn has_ended(&self) -> bool;

    /// Whether there is something that has to be published before it may end.
    fn owes(&self) -> bool;

    /// Ticks taken or passed over, counted from the beginning.
    fn taken(&self) -> u64;

    /// Tells it from others: see [`Source::identity`](crate::Source::identity).
    fn identity(&self) -> u64;

    /// Tells how far it is.
    fn tell(&self, progress: &Progress);

    /// Ticks that it dropped before the next one, since it was asked last.
    fn take_dropped(&mut self) -> u64 {
        0
    }

    /// Waits until something may be due earlier than was said. Cancel safe.
    fn ready(&self) -> impl Future<Output = ()> {
        pending()
    }

    /// Whether a later run of it can go on where this one ends.
    fn resumes(&self) -> bool {
        true
    }

    /// Whether the hub is to tell what its subscribers want.
    fn wants_demand(&self) -> bool {
        false
    }

    /// A session with the hub of an epoch begins: what it says of demand begins anew. Returns what the hub
    /// is to know before the first tick of the session.
    fn begin(&mut self, _epoch: Option<&str>) -> Option<SourceReport> {
        None
    }

    /// What subscribers want now and did not before, and the other way round.
    fn hear_demand(&mut self, _names: &SubscriptionSet, _gone: &SubscriptionSet) {}

    /// Waits for news about itself that the hub is to know. Cancel safe.
    fn report(&self) -> impl Future<Output = SourceReport> {
        pending()
    }
}
