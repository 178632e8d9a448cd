//! Sessions that give up their names and take them again.
//!
//! Command number `k` of all is due `k / rate` seconds after the start and belongs to session
//! `k mod sessions`. Once a millisecond the sessions that wait for an answer are looked at, and what is
//! due is sent: answers wake nobody, so this takes little of the machine that it shares with the hub. Times to the answer are therefore up
//! to a millisecond too long, or an eighth.

use std::io::{ErrorKind, Write as _};
use std::ops::RangeInclusive;
use std::thread;
use std::time::{Duration, Instant};

use tickwire_benches::frames::write_frame;
use tickwire_protocol::Control;

use crate::options::Options;
use crate::session::{ANSWER_WITHIN, Message, Session};
use crate::universe::{NAMES, Universe, check};
use crate::{Result, now};

/// Commands are sent, and answers are looked for, so often.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Who has waited long for an answer is looked at more rarely, or a hub that is behind would be slowed
/// down by those looks: after an eighth of the wait, and after no more than this.
const REST_MAX: Duration = Duration::from_millis(10);

/// When commands are due.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    start: Instant,
    /// Commands per second.
    rate: u64,
    sessions: u64,
}

impl Schedule {
    /// When a command is due, all of them counted from 0.
    fn due(self, command: u64) -> Instant {
        self.start + Duration::from_nanos(command * 1_000_000_000 / self.rate)
    }

    /// How far commands are apart.
    const fn between(self) -> Duration {
        Duration::from_nanos(1_000_000_000 / self.rate)
    }

    /// When the command is due that a session, counted from 0, numbers with `id`, from 1.
    fn due_of(self, session: u64, id: u64) -> Instant {
        self.due((id - 1) * self.sessions + session)
    }
}

/// All commands have been answered as they should.
#[derive(Debug)]
pub(crate) struct Answered {
    /// Of every command, from when it was due, ascending.
    latencies: Vec<Duration>,
    /// From the first that was due to the last answer.
    took: Duration,
}

impl Answered {
    pub(crate) const fn count(&self) -> usize {
        self.latencies.len()
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.count() as f64 / self.took.as_secs_f64()
    }

    /// What a share of the commands, from 0 to 1, do not exceed.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a length is a length"
    )]
    pub(crate) fn latency(&self, share: f64) -> Duration {
        let rank = (self.count() as f64 * share).ceil() as usize;
        self.latencies.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// Opens all sessions and subscribes each to its names.
pub(crate) fn open(options: &Options, universe: &Universe) -> Result<Vec<Churning>> {
    let sessions = (0..).take(usize::try_from(options.sessions)?);
    sessions.map(|number| Churning::open(&options.hub, universe.names_of(number))).collect()
}

/// Sends all commands when they are due and reads all answers.
pub(crate) fn run(options: &Options, mut sessions: Vec<Churning>) -> Result<Answered> {
    let (rate, commands) = (options.rate, options.commands());
    let schedule = Schedule { start: now(), rate, sessions: options.sessions };
    let mut due = (0..commands).zip((0..sessions.len()).cycle()).peekable();
    let (mut latencies, mut last) =
        (Vec::with_capacity(usize::try_from(commands)?), schedule.start);
    while due.peek().is_some() || sessions.iter().any(Churning::is_owed) {
        let looked = now();
        let owed = |session: &Churning| session.is_owed() && session.look_at <= looked;
        for (number, session) in (0..).zip(&mut sessions).filter(|(_, session)| owed(session)) {
            let ids = session.look().map_err(|error| format!("session {number}: {error}"))?;
            for id in ids {
                last = now();
                latencies.push(last.saturating_duration_since(schedule.due_of(number, id)));
            }
            let waited =
                looked.saturating_duration_since(schedule.due_of(number, session.oldest()));
            session.look_at = looked + (waited / 8).min(REST_MAX);
        }
        if looked.saturating_duration_since(last) > ANSWER_WITHIN + schedule.between() {
            return Err(format!("no answer in {} s", ANSWER_WITHIN.as_secs()).into());
        }
        while let Some((_, session)) = due.next_if(|(command, _)| schedule.due(*command) <= now()) {
            sessions[session].ask()?;
        }
        thread::sleep(LOOK_EVERY.saturating_sub(looked.elapsed()));
    }
    latencies.sort_unstable();
    Ok(Answered { latencies, took: last - schedule.start })
}

/// A session whose names come and go.
#[derive(Debug)]
pub(crate) struct Churning {
    session: Session,
    /// Its names as the end of a command.
    names: String,
    /// Number of the last command made.
    asked: u64,
    /// Number of the last command answered.
    answered: u64,
    /// Commands the socket has not taken.
    unsent: Vec<u8>,
    expects: Expects,
    /// No look before this.
    look_at: Instant,
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Expects {
    /// An answer, and ticks before it if the last command was a subscribe.
    Answer,
    /// The head of the snapshot behind an answer.
    Snapshot,
    /// So many last values, and then their end.
    LastValues(u64),
}

impl Churning {
    /// Opens a session that holds its names, by command 0.
    fn open(hub: &str, names: String) -> Result<Self> {
        let mut session = Session::open(hub)?;
        session.send(&command(0, &names))?;
        let answer = session.expect(|control| matches!(control, Control::Subscription { .. }))?;
        check(&answer, 0, NAMES, NAMES as u64)?;
        session.expect(|control| matches!(control, Control::Live))?;
        session.stream.set_nonblocking(true)?;
        let (unsent, expects) = (Vec::new(), Expects::Answer);
        Ok(Self { session, names, asked: 0, answered: 0, unsent, expects, look_at: now() })
    }

    /// Sends the next command.
    fn ask(&mut self) -> Result<()> {
        self.asked += 1;
        write_frame(command(self.asked, &self.names).as_bytes(), &mut self.unsent);
        self.send()
    }

    /// Sends what the socket takes.
    fn send(&mut self) -> Result<()> {
        match self.session.stream.write(&self.unsent) {
            Ok(sent) => drop(self.unsent.drain(..sent)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Whether an answer is missing, or the last values behind it.
    fn is_owed(&self) -> bool {
        self.answered < self.asked || self.expects != Expects::Answer
    }

    /// The command whose answer has come last or comes next, whichever is not complete.
    fn oldest(&self) -> u64 {
        self.asked.min(self.answered + 1)
    }

    /// Takes what has come; says which commands that has answered.
    fn look(&mut self) -> Result<RangeInclusive<u64>> {
        if !self.unsent.is_empty() {
            self.send()?;
        }
        let first = self.answered + 1;
        self.session.read()?;
        while let Some(message) = self.session.take()? {
            self.expects = self.after(&message)?;
        }
        Ok(first..=self.answered)
    }

    /// What may come after a message.
    fn after(&mut self, message: &Message) -> Result<Expects> {
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
                Err(format!("{other:?} behind the answer to {answered}, {expected:?} expected")
                    .into())
            }
        }
    }
}

/// Command number `id` of a session: every other one gives its names up.
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
    fn a_session_knows_when_its_commands_were_due() {
        let schedule = Schedule { start: now(), rate: 20_000, sessions: 400 };
        let due_us = |session, id| (schedule.due_of(session, id) - schedule.start).as_micros();
        assert_eq!((due_us(0, 1), due_us(1, 1), due_us(3, 51)), (0, 50, 1_000_150));
    }

    #[test]
    fn latencies_are_taken_by_rank() {
        let latencies: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        let answered = Answered { latencies, took: Duration::from_secs(2) };
        let ms = |share| answered.latency(share).as_millis();
        assert_eq!((ms(0.5), ms(0.99), ms(1.0)), (100, 198, 200));
        assert!((answered.per_second() - 100.0).abs() < 1e-9);
    }
}
