//! What the hub's answers to commands change.

use tickwire_protocol::{Delivery, ResumeOutcome, SubscriptionSet};

use super::commands::Unanswered;
use super::{Change, Session};
use crate::wanted::{How, Start, each};
use crate::{Position, Topic};

/// Some names are latest because the session lagged, so it stays where it was.
#[derive(Debug, Default)]
pub(super) struct Lag {
    /// Behind which position those that are every again began; the least of them.
    again: Option<u64>,
}

/// What the answer to a subscribe says, besides its names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) delivery: Delivery,
    pub(super) pos: Option<u64>,
    pub(super) resumed: Option<ResumeOutcome>,
}

impl Session {
    /// Whether no command that goes back is without an answer.
    pub(super) fn is_answered(&self) -> bool {
        !self.unanswered.iter().any(|command| command.goes_back)
    }

    /// The hub has acknowledged a command: `names` are what it changed. Returns how far the
    /// application has come if it is to be told.
    pub(super) fn grant(
        &mut self,
        command: &Unanswered,
        names: &SubscriptionSet,
        answer: Answer,
    ) -> Option<Position> {
        let topics = self.topics(names);
        let topics: Vec<(Topic, bool)> =
            topics.into_iter().map(|topic| (topic, self.is_latest(&topic))).collect();
        let mut position = None;
        match &command.change {
            Change::Subscribe(_) => {
                self.granted.add(names, &How { delivery: answer.delivery, start: Start::Now });
                self.degraded = false;
                position = self.begin(command, names, answer);
            }
            Change::Unsubscribe => {
                self.granted.remove(names);
                self.catch_up_with_lag();
                // Only now: ticks that were on their way have set bases again since.
                self.sequence.retain(|topic| self.wanted.covers(topic));
            }
        }
        self.rebase(command, answer.resumed, &topics);
        position
    }

    /// The names of a subscribe begin.
    fn begin(
        &mut self,
        command: &Unanswered,
        names: &SubscriptionSet,
        answer: Answer,
    ) -> Option<Position> {
        let known = self.is_answered();
        let alone = !self.wanted.has_begun() && self.beginning.is_empty();
        if answer.resumed == Some(ResumeOutcome::NewEpoch) {
            self.beginning.push(names.clone());
            return None;
        }
        if !self.wanted.begin(names) {
            return None;
        }
        let mut pos = answer.pos?;
        if answer.resumed == Some(ResumeOutcome::Gap) {
            // What is missing has not been told yet.
            pos = command.behind.map_or(pos, |behind| behind.min(pos));
        }
        let Some(lag) = &mut self.lag else { return self.progress.begun(pos, alone, known) };
        let again = lag.again.map_or(pos, |again| again.min(pos));
        lag.again = Some(again);
        self.catch_up_with_lag();
        if self.lag.is_some() { None } else { self.progress.begun(again, true, known) }
    }

    /// Ends the time in which positions do not count if no name is latest that should not be.
    fn catch_up_with_lag(&mut self) {
        if self.lag.is_some() && !self.granted.lags(&self.wanted) {
            self.lag = None;
        }
    }

    /// Topics of an answered command begin somewhere else, so their numbers do, too. With each stands
    /// whether it was latest before.
    fn rebase(
        &mut self,
        command: &Unanswered,
        resumed: Option<ResumeOutcome>,
        topics: &[(Topic, bool)],
    ) {
        let goes_on = matches!(resumed, Some(ResumeOutcome::Complete | ResumeOutcome::Gap));
        for (topic, was_latest) in topics {
            if self.is_latest(topic) {
                continue;
            }
            match command.start() {
                // What latest left out is not missing, so the first of every tick sets the base.
                _ if *was_latest => self.sequence.forget(topic),
                Some(Start::Replay(_)) => self.sequence.forget(topic),
                Some(Start::Behind(_)) if goes_on => self.sequence.go_back(*topic),
                // By "*", or another command, it has come on this connection already.
                Some(Start::Begun) if goes_on => self.sequence.hold_topic(topic),
                _ => {}
            }
        }
    }

    /// The topics of some names, of `"*"` those that have a number and no name of their own.
    fn topics(&self, names: &SubscriptionSet) -> Vec<Topic> {
        let mut topics = Vec::new();
        for (channel, symbol) in each(names) {
            match symbol {
                Some(symbol) => topics.push(Topic { symbol, channel }),
                None => topics.extend(
                    self.sequence.topics(channel).filter(|topic| !self.granted.names(topic)),
                ),
            }
        }
        topics
    }

    /// The hub has refused a command: its names are what they were. Returns the request.
    pub(super) fn refused(&mut self, number: u64) -> Option<u64> {
        let Unanswered { change, changed, request, .. } = self.answered(Some(number))?;
        if let Change::Subscribe(How { delivery, .. }) = change {
            self.wanted.undo(changed, delivery);
            self.catch_up_with_lag();
        }
        request
    }

    pub(super) fn answered(&mut self, number: Option<u64>) -> Option<Unanswered> {
        let index = self.unanswered.iter().position(|command| Some(command.number) == number)?;
        self.unanswered.remove(index)
    }
}
