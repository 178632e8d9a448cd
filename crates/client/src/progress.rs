//! The position of a session, from which it resumes after a reconnect.
//!
//! # Why one position suffices
//!
//! After each message the hub reports a position: all ticks of the session's names up to position P
//! have been sent. A session keeps one position for all names. It may be too low for some of them,
//! but never too high; sequence numbers take care of the rest. In detail:
//!
//! - *A position that is too low does no harm.* A tick after P that was already received has a
//!   number that is not larger than the last one of its topic, so it is not delivered again. A
//!   topic without a number has not been received yet, so nothing can be repeated.
//! - *A position is never too high.* While a command that starts in the past (a resume or a replay)
//!   is unanswered, reported positions do not cover its names and are ignored. The answer contains
//!   the position at which they start; if it is lower, the session moves back to it. After that,
//!   every reported position covers all names.
//! - *Names that are added later* start at the hub's newest position, which is not lower than the
//!   session's. After a reconnect they resume from the session's position, too: ticks in between
//!   happened before the subscription, and their numbers are known from the snapshot. Only without
//!   a snapshot (`"*"`, or snapshots are off) a few ticks from before the subscription may be
//!   delivered in addition, in order.
//! - *Quiet sessions* learn their position from the answer to their first command and from
//!   heartbeats.
//! - *Gaps come first.* An answer that announces gaps does not move the position: until a position
//!   follows the gaps, a reconnect repeats the same command.
//! - *Names of delivery `latest`* are not resumed; they start with a snapshot. A session that was
//!   downgraded to `latest` because it lagged keeps its position, whatever the hub reports, until
//!   all its names are `every` again. After a reconnect it receives the ticks that it missed, and
//!   its gaps are not reported again.
//! - *An application that restarts* has no sequence numbers, so the position that it is given must
//!   be exact: it is reported only if no tick after it has been received, so not while the session
//!   receives a part again.

use std::sync::Arc;

use crate::Position;

/// The position of a session.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    epoch: Option<Arc<str>>,
    /// All ticks up to this position have been received, and perhaps later ones. Invariant: `None`
    /// without an epoch.
    up_to: Option<u64>,
    /// No tick after this position has been received in this epoch.
    reached: u64,
    /// The last position that was reported to the application.
    reported: Option<u64>,
}

impl Progress {
    /// Sets the epoch that the hub reports when it accepts a connection. Returns whether it differs
    /// from the epoch before; the first one does not count as different.
    pub(crate) fn set_epoch(&mut self, epoch: &str) -> bool {
        if self.epoch.as_deref() == Some(epoch) {
            return false;
        }
        let previous = std::mem::take(self).epoch;
        self.epoch = Some(epoch.into());
        previous.is_some()
    }

    /// Handles a position up to which the hub has sent everything. `covers_all` is false while that
    /// does not hold for all names. Returns the position to report to the application, if there is
    /// one.
    pub(crate) fn advance(&mut self, number: u64, covers_all: bool) -> Option<Position> {
        self.reached = self.reached.max(number);
        if !covers_all {
            return None;
        }
        self.up_to = Some(number);
        self.report()
    }

    /// Handles the position at which the names of an answered subscribe start. `is_first` is true
    /// if no other names have started. `covers_all` is false while another command that starts in
    /// the past is unanswered. Returns the position to report to the application, if there is one.
    pub(crate) fn start_at(
        &mut self,
        number: u64,
        is_first: bool,
        covers_all: bool,
    ) -> Option<Position> {
        if is_first {
            self.reached = self.reached.max(number);
            self.up_to = Some(number);
        } else {
            self.up_to = self.up_to.map(|up_to| up_to.min(number));
        }
        if covers_all { self.report() } else { None }
    }

    /// Returns the position from which names resume after a reconnect.
    pub(crate) fn position(&self) -> Option<Position> {
        let epoch = Arc::clone(self.epoch.as_ref()?);
        Some(Position { epoch, number: self.up_to? })
    }

    /// Returns the position if it is exact and differs from the one that was reported last.
    fn report(&mut self) -> Option<Position> {
        let position = self.position().filter(|position| position.number >= self.reached)?;
        let previous = self.reported.replace(position.number);
        (previous != Some(position.number)).then_some(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(position: Option<Position>) -> Option<u64> {
        position.map(|position| position.number)
    }

    fn in_epoch_one() -> Progress {
        let mut progress = Progress::default();
        assert!(!progress.set_epoch("one"), "the first epoch is not a new one");
        progress
    }

    #[test]
    fn quiet_session_learns_its_position_from_its_first_answer() {
        let mut progress = in_epoch_one();
        assert_eq!(number(progress.start_at(100, true, true)), Some(100));
        assert_eq!(number(progress.start_at(120, false, true)), None, "other names may be at 100");
        assert_eq!(number(progress.position()), Some(100));
        assert_eq!(number(progress.advance(130, true)), Some(130));
        assert_eq!(number(progress.advance(130, true)), None, "130 has been reported");
    }

    #[test]
    fn positions_do_not_cover_names_without_an_answer() {
        let mut progress = in_epoch_one();
        progress.start_at(100, true, true);
        assert_eq!(number(progress.advance(150, false)), None);
        assert_eq!(number(progress.position()), Some(100));
    }

    #[test]
    fn repeated_part_moves_the_position_but_is_not_reported() {
        let mut progress = in_epoch_one();
        progress.start_at(100, true, true);
        progress.advance(150, false);
        progress.start_at(100, false, true);
        assert_eq!(number(progress.advance(120, true)), None, "ticks up to 150 were delivered");
        assert_eq!(number(progress.position()), Some(120));
        assert_eq!(number(progress.advance(160, true)), Some(160));
    }

    #[test]
    fn nothing_is_reported_while_other_names_may_start_earlier() {
        let mut progress = in_epoch_one();
        assert_eq!(progress.start_at(50, true, false), None);
        assert_eq!(progress.start_at(20, false, true), None, "ticks up to 50 may be delivered");
        assert_eq!(number(progress.position()), Some(20));
        assert_eq!(number(progress.advance(50, true)), Some(50));
    }

    #[test]
    fn new_epoch_has_no_position() {
        let mut progress = in_epoch_one();
        progress.start_at(100, true, true);
        assert!(!progress.set_epoch("one"));
        assert_eq!(number(progress.position()), Some(100));
        assert!(progress.set_epoch("two"));
        assert_eq!(progress.position(), None);
        assert_eq!(number(progress.start_at(3, true, true)), Some(3));
    }
}
