//! Sessions that unsubscribe from their symbols and subscribe again.
//!
//! Command number `k` of all is due `k / rate` seconds after the start and belongs to session
//! `k mod sessions`. Once a millisecond, the driver polls the sessions that wait for a response and
//! sends the due commands. Polling takes less CPU than being woken by each response, and the driver
//! shares the machine with the hub. Measured response times are therefore too long by up to a
//! millisecond, or by up to an eighth.

use std::io::{ErrorKind, Write as _};
use std::ops::RangeInclusive;
use std::thread;
use std::time::{Duration, Instant};

use tickwire_benches::quantile::quantile;
use tickwire_protocol::Control;
use tickwire_testkit::frames::{self, OPEN_TEXT};

use crate::options::Options;
use crate::session::{ANSWER_WITHIN, Message, Session};
use crate::universe::{NAMES, Universe, check};
use crate::{Result, now};

/// Interval at which commands are sent and sessions are polled.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Longest pause between two polls of a session. The pause is an eighth of the time the session has
/// waited: polling many waiting sessions more often would slow down a hub that is behind.
const POLL_PAUSE_MAX: Duration = Duration::from_millis(10);

/// When commands are due.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    start: Instant,
    /// Commands per second.
    rate: u64,
    sessions: u64,
}

impl Schedule {
    /// Returns when a command is due, counted from 0 over all sessions.
    fn due(self, command: u64) -> Instant {
        self.start + Duration::from_nanos(command * 1_000_000_000 / self.rate)
    }

    /// Returns the time between two commands.
    const fn between(self) -> Duration {
        Duration::from_nanos(1_000_000_000 / self.rate)
    }

    /// Returns when command `id` of a session is due. Sessions count from 0, ids from 1.
    fn due_of(self, session: u64, id: u64) -> Instant {
        self.due((id - 1) * self.sessions + session)
    }
}

/// Response times of all commands.
#[derive(Debug)]
pub(crate) struct Answers {
    /// Response time of each command since it was due, ascending.
    latencies: Vec<Duration>,
    /// Time from the first due command to the last response.
    took: Duration,
}

impl Answers {
    pub(crate) const fn count(&self) -> usize {
        self.latencies.len()
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.count() as f64 / self.took.as_secs_f64()
    }

    /// Returns the response time that a share of the commands, from 0 to 1, does not exceed.
    pub(crate) fn latency(&self, share: f64) -> Duration {
        quantile(&self.latencies, share).unwrap_or_default()
    }
}

/// Opens all sessions and subscribes each to its symbols.
pub(crate) fn open(options: &Options, universe: &Universe) -> Result<Vec<ChurningSession>> {
    let sessions = (0..).take(usize::try_from(options.sessions)?);
    sessions.map(|number| ChurningSession::open(&options.hub, universe.names_of(number))).collect()
}

/// Sends all commands when they are due and checks all responses.
pub(crate) fn run(options: &Options, mut sessions: Vec<ChurningSession>) -> Result<Answers> {
    let rate = options.rate;
    let commands = options.commands();
    let schedule = Schedule { start: now(), rate, sessions: options.sessions };
    let mut due = (0..commands).zip((0..sessions.len()).cycle()).peekable();
    let mut latencies = Vec::with_capacity(usize::try_from(commands)?);
    let mut last = schedule.start;
    while due.peek().is_some() || sessions.iter().any(ChurningSession::awaits_answer) {
        let polled_at = now();
        let is_due =
            |session: &ChurningSession| session.awaits_answer() && session.poll_at <= polled_at;
        for (number, session) in (0..).zip(&mut sessions).filter(|(_, session)| is_due(session)) {
            let ids = session.poll().map_err(|error| format!("session {number}: {error}"))?;
            for id in ids {
                last = now();
                latencies.push(last.saturating_duration_since(schedule.due_of(number, id)));
            }
            let waited =
                polled_at.saturating_duration_since(schedule.due_of(number, session.oldest()));
            session.poll_at = polled_at + (waited / 8).min(POLL_PAUSE_MAX);
        }
        if polled_at.saturating_duration_since(last) > ANSWER_WITHIN + schedule.between() {
            return Err(format!("no response in {} s", ANSWER_WITHIN.as_secs()).into());
        }
        while let Some((_, session)) = due.next_if(|(command, _)| schedule.due(*command) <= now()) {
            sessions[session].send_next()?;
        }
        thread::sleep(POLL_INTERVAL.saturating_sub(polled_at.elapsed()));
    }
    latencies.sort_unstable();
    Ok(Answers { latencies, took: last - schedule.start })
}

/// A session that alternately unsubscribes from its symbols and subscribes to them.
#[derive(Debug)]
pub(crate) struct ChurningSession {
    session: Session,
    /// Its symbols, formatted as the end of a command.
    names: String,
    /// Id of the last command sent.
    asked: u64,
    /// Id of the last command answered.
    answered: u64,
    /// Bytes that the socket has not accepted yet.
    unsent: Vec<u8>,
    expects: Expects,
    /// Earliest time of the next poll.
    poll_at: Instant,
}

/// What the hub may send next.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Expects {
    /// A response, with ticks before it if the session is subscribed.
    Answer,
    /// The start of the snapshot after a response.
    Snapshot,
    /// This number of last values, and then the end of the snapshot.
    LastValues(u64),
}

impl ChurningSession {
    /// Opens a session and subscribes it to its symbols, by command 0.
    fn open(hub: &str, names: String) -> Result<Self> {
        let mut session = Session::open(hub)?;
        session.send(&command(0, &names))?;
        let answer = session.expect(|control| matches!(control, Control::Subscription { .. }))?;
        check(&answer, 0, NAMES, NAMES as u64)?;
        session.expect(|control| matches!(control, Control::Live))?;
        session.stream.set_nonblocking(true)?;
        Ok(Self {
            session,
            names,
            asked: 0,
            answered: 0,
            unsent: Vec::new(),
            expects: Expects::Answer,
            poll_at: now(),
        })
    }

    /// Sends the next command.
    fn send_next(&mut self) -> Result<()> {
        self.asked += 1;
        frames::write(OPEN_TEXT, command(self.asked, &self.names).as_bytes(), &mut self.unsent);
        self.flush()
    }

    /// Writes as many of the unsent bytes as the socket accepts.
    fn flush(&mut self) -> Result<()> {
        match self.session.stream.write(&self.unsent) {
            Ok(sent) => drop(self.unsent.drain(..sent)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Returns whether a response, or the snapshot after it, is not complete.
    fn awaits_answer(&self) -> bool {
        self.answered < self.asked || self.expects != Expects::Answer
    }

    /// Returns the id of the oldest command whose response is not complete.
    fn oldest(&self) -> u64 {
        self.asked.min(self.answered + 1)
    }

    /// Reads what has arrived and returns the ids of the commands it answers.
    fn poll(&mut self) -> Result<RangeInclusive<u64>> {
        if !self.unsent.is_empty() {
            self.flush()?;
        }
        let first = self.answered + 1;
        self.session.read()?;
        while let Some(message) = self.session.take()? {
            self.expects = self.expected_after(&message)?;
        }
        Ok(first..=self.answered)
    }

    /// Checks a message and returns what may follow it.
    fn expected_after(&mut self, message: &Message) -> Result<Expects> {
        let subscribed = subscribes(self.answered);
        match (self.expects, message) {
            (Expects::Answer, Message::Ticks(_)) if subscribed => Ok(Expects::Answer),
            (
                Expects::Answer,
                Message::Control(Control::Feed { .. } | Control::Heartbeat { .. }),
            ) => Ok(Expects::Answer),
            (Expects::Answer, Message::Control(answer)) => {
                self.answered += 1;
                let subscribed = subscribes(self.answered);
                let total = if subscribed { NAMES as u64 } else { 0 };
                check(answer, self.answered, NAMES, total)?;
                Ok(if subscribed { Expects::Snapshot } else { Expects::Answer })
            }
            (Expects::Snapshot, Message::Control(Control::Snapshot { ticks }))
                if *ticks == NAMES as u64 =>
            {
                Ok(Expects::LastValues(*ticks))
            }
            (Expects::LastValues(left), Message::Ticks(came)) if left >= *came => {
                Ok(Expects::LastValues(left - came))
            }
            (Expects::LastValues(0), Message::Control(Control::Live)) => Ok(Expects::Answer),
            (expected, other) => {
                let answered = self.answered;
                Err(format!("{other:?} after the response to {answered}, expected {expected:?}")
                    .into())
            }
        }
    }
}

/// Returns command `id` of a session. Odd ids unsubscribe, even ids subscribe.
fn command(id: u64, names: &str) -> String {
    let action = if subscribes(id) { "subscribe" } else { "unsubscribe" };
    format!(r#"{{"action":"{action}","id":{id}{names}"#)
}

const fn subscribes(id: u64) -> bool {
    id.is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_a_session_are_due_at_the_total_rate() {
        let schedule = Schedule { start: now(), rate: 20_000, sessions: 400 };
        let due_us = |session, id| (schedule.due_of(session, id) - schedule.start).as_micros();
        assert_eq!((due_us(0, 1), due_us(1, 1), due_us(3, 51)), (0, 50, 1_000_150));
    }

    #[test]
    fn rate_is_that_of_all_answers() {
        let latencies = vec![Duration::from_millis(3); 200];
        let answered = Answers { latencies, took: Duration::from_secs(2) };
        assert!((answered.per_second() - 100.0).abs() < 1e-9);
    }
}
