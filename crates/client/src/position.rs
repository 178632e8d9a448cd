//! How far a stream has come, and where it continues.
//!
//! # What is exact here, and why
//!
//! The hub says after each message how far it has come: everything wanted up to position P has been
//! sent. One position per session is enough to lose nothing, because it may lie too low but never
//! too high for any name; the numbers of the topics take care of the rest. In detail:
//!
//! - *Too low does no harm.* What lies behind P and has come already has a number that is not larger
//!   than the last one seen of its topic, so it is not given to the application again. A topic
//!   without a number has not come yet, so there is nothing to repeat.
//! - *Never too high.* While the answer to a command that goes back (a resume, a replay) is not
//!   there, positions say nothing about its names and are passed over. The answer says where they
//!   begin; if that is lower, the session is there. From then on each position holds for all names.
//! - *Names that are added* begin at the hub's newest position, which is not lower than the
//!   session's. They resume at the session's too: what is between happened before they were asked
//!   for, and their snapshot has told its numbers. Only where no snapshot came (`"*"`, or it was not
//!   wanted) may a few ticks from before the subscription come in addition, in order.
//! - *Quiet sessions* know their position too: from the answer to their first command, and from
//!   heartbeats.
//! - *What is missing comes first.* An answer that tells gaps says nothing about how far the session
//!   is: until a position comes behind the gaps, its names would be asked for as they were.
//! - *Delivery `latest`* does not resume; it has its snapshot. A session that lagged into it stays where
//!   it was, whatever positions come, until all its names are `every` again: after a reconnect comes
//!   what it has not had, and its gaps are not told again.
//! - *An application that restarts* has no numbers, so its position must be exact: it is told only
//!   when nothing behind it has come, that is not while the session goes through a part again.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tickwire_protocol::ValueError;

/// A place in the stream of a hub, to continue behind it: what
/// [`Event::Position`](crate::Event::Position) tells and [`Client::resume`](crate::Client::resume)
/// takes. As text, to be kept in a file, it is `EPOCH:NUMBER`.
///
/// ```
/// use tickwire_client::Position;
///
/// let position: Position = "8c1f6e0b52d94a37:1042".parse()?;
/// assert_eq!(position.to_string(), "8c1f6e0b52d94a37:1042");
/// # Ok::<(), tickwire_client::ValueError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Position {
    pub(crate) epoch: Arc<str>,
    pub(crate) number: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.number)
    }
}

impl FromStr for Position {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let parts = text.rsplit_once(':').filter(|(epoch, _)| !epoch.is_empty());
        let parsed = parts.and_then(|(epoch, number)| Some((epoch, number.parse().ok()?)));
        let (epoch, number) = parsed.ok_or_else(|| {
            let shown: String = text.chars().take(64).collect();
            ValueError::Invalid(format!("{shown:?}: expected EPOCH:NUMBER"))
        })?;
        Ok(Self { epoch: epoch.into(), number })
    }
}

/// How far the stream of a client has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    epoch: Option<Arc<str>>,
    /// Everything wanted up to here has come; perhaps more has. Invariant: `None` without an epoch.
    upto: Option<u64>,
    /// Nothing behind this has come in this epoch.
    reached: u64,
    /// What the application was told last.
    told: Option<u64>,
}

impl Progress {
    /// The hub has greeted. Whether it is in another life than it was.
    pub(crate) fn connected(&mut self, epoch: &str) -> bool {
        if self.epoch.as_deref() == Some(epoch) {
            return false;
        }
        let before = std::mem::take(self).epoch;
        self.epoch = Some(epoch.into());
        before.is_some()
    }

    /// The hub has sent everything up to a position. `known` is false while that does not hold for all
    /// names. Returns what the application may be told.
    pub(crate) fn told(&mut self, number: u64, known: bool) -> Option<Position> {
        self.reached = self.reached.max(number);
        if !known {
            return None;
        }
        self.upto = Some(number);
        self.tell()
    }

    /// The hub has answered a subscribe, and says where its names begin. `anew` is true if no other
    /// names are to be continued; `known` is false while another command that goes back has no answer.
    pub(crate) fn begun(&mut self, number: u64, anew: bool, known: bool) -> Option<Position> {
        if anew {
            self.reached = self.reached.max(number);
            self.upto = Some(number);
        } else {
            self.upto = self.upto.map(|upto| upto.min(number));
        }
        if known { self.tell() } else { None }
    }

    /// Where names continue that have been subscribed to.
    pub(crate) fn position(&self) -> Option<Position> {
        let epoch = Arc::clone(self.epoch.as_ref()?);
        Some(Position { epoch, number: self.upto? })
    }

    /// The position, if it is exact and not the one told last.
    fn tell(&mut self) -> Option<Position> {
        let position = self.position().filter(|position| position.number >= self.reached)?;
        let before = self.told.replace(position.number);
        (before != Some(position.number)).then_some(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(position: Option<Position>) -> Option<u64> {
        position.map(|position| position.number)
    }

    fn connected() -> Progress {
        let mut progress = Progress::default();
        assert!(!progress.connected("one"), "there was no life before");
        progress
    }

    #[test]
    fn a_position_survives_as_text() {
        for text in ["e:0", "8c1f6e0b52d94a37:18446744073709551615", "a:b:7"] {
            assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
        }
        for text in ["", ":", ":1", "e:", "e:-1", "e:1.5", "e:18446744073709551616", "e"] {
            let error = text.parse::<Position>().unwrap_err().to_string();
            assert!(error.contains("expected EPOCH:NUMBER"), "{error}");
        }
    }

    #[test]
    fn a_quiet_session_knows_its_position_from_its_first_answer() {
        let mut progress = connected();
        assert_eq!(number(progress.begun(100, true, true)), Some(100));
        assert_eq!(number(progress.begun(120, false, true)), None, "other names may be behind");
        assert_eq!(number(progress.position()), Some(100));
        assert_eq!(number(progress.told(130, true)), Some(130));
        assert_eq!(number(progress.told(130, true)), None, "it has been told");
    }

    #[test]
    fn positions_say_nothing_about_names_that_have_not_been_answered() {
        let mut progress = connected();
        progress.begun(100, true, true);
        assert_eq!(number(progress.told(150, false)), None);
        assert_eq!(number(progress.position()), Some(100));
    }

    #[test]
    fn a_part_that_comes_again_is_resumed_but_not_told() {
        let mut progress = connected();
        progress.begun(100, true, true);
        progress.told(150, false);
        progress.begun(100, false, true);
        assert_eq!(number(progress.told(120, true)), None, "up to 150 has been given already");
        assert_eq!(number(progress.position()), Some(120));
        assert_eq!(number(progress.told(160, true)), Some(160));
    }

    #[test]
    fn nothing_is_told_while_other_names_may_be_further_back() {
        let mut progress = connected();
        assert_eq!(progress.begun(50, true, false), None);
        assert_eq!(progress.begun(20, false, true), None, "up to 50 may have been given");
        assert_eq!(number(progress.position()), Some(20));
        assert_eq!(number(progress.told(50, true)), Some(50));
    }

    #[test]
    fn a_new_life_knows_no_position() {
        let mut progress = connected();
        progress.begun(100, true, true);
        assert!(!progress.connected("one"));
        assert_eq!(number(progress.position()), Some(100));
        assert!(progress.connected("two"));
        assert_eq!(progress.position(), None);
        assert_eq!(number(progress.begun(3, true, true)), Some(3));
    }
}
