//! How the hub's answers to commands change a session.

use tickwire_protocol::{Delivery, ResumeOutcome, SubscriptionSet};

use super::commands::PendingCommand;
use super::{Change, Session};
use crate::subscriptions::{Start, SubscribeOptions, each_name};
use crate::{Position, Topic};

/// State of a session that keeps its position because some of its names were downgraded to `latest`
/// when it lagged.
#[derive(Debug, Default)]
pub(super) struct LagRecovery {
    /// The lowest position at which a subscribe that was answered since the lag has started, with
    /// delivery `every`; `None` before the first such answer.
    resubscribed_at: Option<u64>,
}

/// The content of the answer to a subscribe, without its names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) delivery: Delivery,
    pub(super) pos: Option<u64>,
    pub(super) resumed: Option<ResumeOutcome>,
}

impl Session {
    /// Returns whether every command that starts in the past (a resume or a replay) has been
    /// answered.
    pub(super) fn past_is_answered(&self) -> bool {
        !self.pending.iter().any(|command| command.starts_in_past)
    }

    /// Handles the answer to a command, which changed `names`. Returns the position to report to
    /// the application, if there is one.
    pub(super) fn on_answer(
        &mut self,
        command: &PendingCommand,
        names: &SubscriptionSet,
        answer: Answer,
    ) -> Option<Position> {
        let topics = self.topics(names);
        let topics: Vec<(Topic, bool)> =
            topics.into_iter().map(|topic| (topic, self.is_latest(&topic))).collect();
        let mut position = None;
        match &command.change {
            Change::Subscribe(_) => {
                let options = SubscribeOptions { delivery: answer.delivery, start: Start::Now };
                self.acknowledged.add(names, &options);
                self.is_downgraded = false;
                position = self.start_names(command, names, answer);
            }
            Change::Unsubscribe => {
                self.acknowledged.remove(names);
                self.end_lag_recovery();
                // Not earlier: ticks that were on their way have set new bases since the command.
                self.sequence.retain(|topic| self.desired.covers(topic));
            }
        }
        self.rebase(command, answer.resumed, &topics);
        position
    }

    /// Marks the names of an answered subscribe as started and moves the session's position if
    /// necessary. Returns the position to report to the application, if there is one.
    fn start_names(
        &mut self,
        command: &PendingCommand,
        names: &SubscriptionSet,
        answer: Answer,
    ) -> Option<Position> {
        let covers_all = self.past_is_answered();
        let is_first = !self.desired.has_started() && self.awaiting_gaps.is_empty();
        if answer.resumed == Some(ResumeOutcome::NewEpoch) {
            self.awaiting_gaps.push(names.clone());
            return None;
        }
        if !self.desired.mark_started(names) {
            return None;
        }
        let mut pos = answer.pos?;
        if answer.resumed == Some(ResumeOutcome::Gap) {
            // The gaps follow this answer and have not been reported yet.
            pos = command.after.map_or(pos, |after| after.min(pos));
        }
        let Some(lag) = &mut self.lag else {
            return self.progress.start_at(pos, is_first, covers_all);
        };
        let resubscribed_at = lag.resubscribed_at.map_or(pos, |earlier| earlier.min(pos));
        lag.resubscribed_at = Some(resubscribed_at);
        self.end_lag_recovery();
        if self.lag.is_some() {
            None
        } else {
            self.progress.start_at(resubscribed_at, true, covers_all)
        }
    }

    /// Ends the recovery from a lag if no name is downgraded any more, so that positions count
    /// again.
    fn end_lag_recovery(&mut self) {
        if self.lag.is_some() && !self.acknowledged.is_downgraded_from(&self.desired) {
            self.lag = None;
        }
    }

    /// Adjusts the expected sequence numbers of the topics that an answered command continues at
    /// another tick than the next one. The flag of each topic tells whether its delivery was
    /// `latest` before.
    fn rebase(
        &mut self,
        command: &PendingCommand,
        resumed: Option<ResumeOutcome>,
        topics: &[(Topic, bool)],
    ) {
        let has_resumed = matches!(resumed, Some(ResumeOutcome::Complete | ResumeOutcome::Gap));
        for (topic, was_latest) in topics {
            if self.is_latest(topic) {
                continue;
            }
            match command.start() {
                // Ticks that `latest` left out are not missing, so the next tick sets a new base.
                _ if *was_latest => self.sequence.forget(topic),
                Some(Start::Replay(_)) => self.sequence.forget(topic),
                Some(Start::After(_)) if has_resumed => self.sequence.rewind(*topic),
                // Ticks may have been received on this connection already, by `"*"` or another
                // command.
                Some(Start::Started) if has_resumed => self.sequence.allow_repeats(topic),
                _ => {}
            }
        }
    }

    /// Returns the topics of names. For `"*"` these are the topics of which a tick has been
    /// received and that are not also subscribed to by their symbol.
    fn topics(&self, names: &SubscriptionSet) -> Vec<Topic> {
        let mut topics = Vec::new();
        for (channel, symbol) in each_name(names) {
            match symbol {
                Some(symbol) => topics.push(Topic { symbol, channel }),
                None => topics.extend(
                    self.sequence
                        .topics(channel)
                        .filter(|topic| !self.acknowledged.has_name_of(topic)),
                ),
            }
        }
        topics
    }

    /// Handles the rejection of a command: restores the previous options of its names. Returns the
    /// number of the application's request that led to the command, if one did.
    pub(super) fn on_rejected(&mut self, number: u64) -> Option<u64> {
        let PendingCommand { change, changed, request, .. } = self.take_pending(Some(number))?;
        if let Change::Subscribe(SubscribeOptions { delivery, .. }) = change {
            self.desired.revert(changed, delivery);
            self.end_lag_recovery();
        }
        request
    }

    /// Removes the command with this number from the unanswered ones and returns it, if there is
    /// one.
    pub(super) fn take_pending(&mut self, number: Option<u64>) -> Option<PendingCommand> {
        let index = self.pending.iter().position(|command| Some(command.number) == number)?;
        self.pending.remove(index)
    }
}
