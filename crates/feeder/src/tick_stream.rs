//! The stream of ticks that a publisher session sends: a source on its schedule, or a live source.

use std::future::{Future, pending};

use tickwire_protocol::{SourceReport, SubscriptionSet, Tick, UnixNanos};

use crate::{Progress, SourceError};

/// The next step of a [`TickStream`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next tick, and the time at which it was due.
    Send(Tick, UnixNanos),
    /// No tick is due before this time, unless [`TickStream::ready`] completes earlier.
    Wait(UnixNanos),
    /// The stream has ended.
    End,
}

/// A stream that yields ticks when they become due. The position of a tick is the number of ticks
/// taken before it.
pub(crate) trait TickStream {
    /// Takes the next tick if it is due. After an error the stream has ended.
    fn next(&mut self, now: UnixNanos) -> Result<Next, SourceError>;

    /// Skips up to `count` ticks, due or not. Returns how many were skipped.
    fn skip(&mut self, count: u64) -> Result<u64, SourceError>;

    /// Returns to the first tick. Returns `false` if the stream cannot be read again.
    fn rewind(&mut self) -> Result<bool, SourceError>;

    /// Stops the stream: it takes no further ticks from its source. Ticks that it must still
    /// publish are yielded ([`TickStream::has_unpublished`]).
    fn stop(&mut self);

    /// Returns whether [`TickStream::stop`] was called.
    fn is_stopped(&self) -> bool;

    /// Returns whether no tick will follow.
    fn has_ended(&self) -> bool;

    /// Returns whether the stream holds ticks that must still be published before a cancelled feed
    /// may end.
    fn has_unpublished(&self) -> bool;

    /// Returns the number of ticks taken or skipped since the first one.
    fn taken(&self) -> u64;

    /// Identifies the stream: see [`Source::identity`](crate::Source::identity).
    fn identity(&self) -> u64;

    /// Writes the progress of the source into `progress`.
    fn update(&self, progress: &Progress);

    /// Returns the number of ticks that the stream dropped since the last call, before the next
    /// tick.
    fn take_dropped(&mut self) -> u64 {
        0
    }

    /// Completes when a tick may be due earlier than [`Next::Wait`] said. Cancel safe.
    fn ready(&self) -> impl Future<Output = ()> {
        pending()
    }

    /// Returns whether a later run can continue at the position where this one ends.
    fn resumes(&self) -> bool {
        true
    }

    /// Returns whether the hub shall report the demand of its subscribers.
    fn wants_demand(&self) -> bool {
        false
    }

    /// Handles the start of a session with a hub of this epoch. The first demand report of the
    /// session lists all demand. Returns a report on the source to send before the first tick, if
    /// there is one.
    fn begin(&mut self, _epoch: Option<&str>) -> Option<SourceReport> {
        None
    }

    /// Applies a change of demand: names that gained their first or lost their last subscriber.
    fn on_demand(&mut self, _added: &SubscriptionSet, _removed: &SubscriptionSet) {}

    /// Replaces what each client of the hub demands.
    fn on_demand_by_client(&mut self, _clients: &[SubscriptionSet]) {}

    /// Waits for a report on the source to send to the hub. Cancel safe.
    fn report(&self) -> impl Future<Output = SourceReport> {
        pending()
    }
}
