//! What sessions are told of their names.

use tickwire_protocol::{
    Control, Delivery, DeliveryGroup, PerChannel, ResumeOutcome, SubscriptionSet, Symbol,
    UnixNanos, write_alpaca_subscription,
};

use super::super::session::Acks;
use super::super::topics::LocalId;
use super::super::{Position, SessionId, frame};
use super::Shard;
use super::commands::{Refused, beyond};

/// Most bytes of an ack that names the whole set.
const ACK_BYTES_MAX: usize = 1_000_000;
/// What such an ack takes without a symbol, at the most.
const EMPTY_ACK_BYTES_MAX: usize = 256;
/// What a symbol takes in it beside its own bytes, at the most.
const QUOTES_AND_COMMA: usize = 3;

/// What an answer says besides the session's own state.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) id: Option<u64>,
    pub(super) names: SubscriptionSet,
    pub(super) delivery: Delivery,
    pub(super) modes: Vec<DeliveryGroup>,
    pub(super) resumed: Option<ResumeOutcome>,
    pub(super) from: Option<UnixNanos>,
    /// Where the session stands before it has been told what it misses; `None` if it misses nothing.
    pub(super) pos: Option<u64>,
}

impl Shard {
    /// How many names a session would have, by channel, with more beside those it has; `"*"` counts as
    /// one.
    #[must_use]
    pub fn totals_with(&self, id: SessionId, more: &SubscriptionSet) -> PerChannel<usize> {
        let session = &self.sessions[id.slot()];
        let mut totals = PerChannel::default();
        for (channel, selection) in more.iter() {
            let is_new = |symbol: &&Symbol| {
                let topic = self.topics.find(&(session.feed, channel, **symbol));
                topic.is_none_or(|topic| session.find(topic).is_err())
            };
            let mut added: Vec<&Symbol> = selection.symbols.iter().filter(is_new).collect();
            added.sort_unstable();
            added.dedup();
            let wild = selection.all && session.wild[channel].is_none();
            totals[channel] = session.totals[channel] as usize + added.len() + usize::from(wild);
        }
        totals
    }

    /// An ack of the whole set is one message, and there are clients that take none of 1 MiB.
    pub(super) fn check_ack(&self, id: SessionId, added: &[LocalId]) -> Result<(), Refused> {
        let session = &self.sessions[id.slot()];
        if session.acks == Acks::Changes {
            return Ok(());
        }
        let names = session.names.iter().map(|name| name.topic).chain(added.iter().copied());
        let bytes: usize =
            names.map(|topic| self.topics.get(topic).key.2.as_str().len() + QUOTES_AND_COMMA).sum();
        match bytes + EMPTY_ACK_BYTES_MAX {
            0..=ACK_BYTES_MAX => Ok(()),
            bytes => Err(beyond(format!(
                "the answer, which names all symbols, would take {bytes} bytes: at most \
                 {ACK_BYTES_MAX}; \"*\" stands for every symbol"
            ))),
        }
    }

    /// Everything a session subscribes to.
    pub(super) fn names(&self, id: SessionId) -> SubscriptionSet {
        let session = &self.sessions[id.slot()];
        let topics: Vec<LocalId> = session.names.iter().map(|name| name.topic).collect();
        let mut names = self.names_of(&topics);
        for (channel, _) in session.wild_channels() {
            names[channel].all = true;
        }
        names
    }

    pub(super) fn names_of(&self, topics: &[LocalId]) -> SubscriptionSet {
        let mut names = SubscriptionSet::default();
        for topic in topics {
            let (_, channel, symbol) = self.topics.get(*topic).key;
            names[channel].symbols.push(symbol);
        }
        names
    }

    pub(super) fn acknowledge(&mut self, id: SessionId, answer: Answer) {
        match self.sessions[id.slot()].acks {
            Acks::WholeSet => self.acknowledge_whole(id),
            Acks::Changes => self.acknowledge_changes(id, answer),
        }
        if let Some(queued) = self.sessions[id.slot()].control.back_mut() {
            queued.answers = true;
        }
    }

    fn acknowledge_changes(&mut self, id: SessionId, answer: Answer) {
        let session = &self.sessions[id.slot()];
        let mut total = PerChannel::default();
        for (channel, count) in session.totals.iter() {
            total[channel] = u64::from(*count);
        }
        let ack = Control::Subscription {
            id: answer.id,
            names: Box::new(answer.names),
            total,
            delivery: answer.delivery,
            on_lag: session.on_lag,
            modes: answer.modes,
            pos: self.position(id).map(|Position(pos)| answer.pos.unwrap_or(pos).min(pos)),
            resumed: answer.resumed,
            from: answer.from,
        };
        self.control(id, &ack);
    }

    fn acknowledge_whole(&mut self, id: SessionId) {
        let (names, encoding) = (self.names(id), self.sessions[id.slot()].encoding);
        let mut frames = Vec::new();
        frame::write_message(encoding, &mut frames, |out| {
            write_alpaca_subscription(&names, encoding, out);
        });
        self.queue_frames(id, frames);
    }
}
