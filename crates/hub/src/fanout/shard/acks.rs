//! Answers to commands: which subscriptions a session has.

use tickwire_protocol::{
    Control, Delivery, DeliveryGroup, PerChannel, ResumeOutcome, SubscriptionSet, Symbol,
    UnixNanos, write_alpaca_subscription,
};

use super::super::{LocalTopicId, Position, SessionId, TopicKey, frame};
use super::Shard;
use super::refusal::Refusal;
use super::session::Acks;

/// Largest ack that names the whole set, in bytes: there are clients that accept no message of 1
/// MiB.
const ACK_BYTES_MAX: usize = 1_000_000;
/// Largest ack of an empty set, in bytes.
const EMPTY_ACK_BYTES_MAX: usize = 256;
/// What a symbol adds to an ack besides its own bytes.
const QUOTES_AND_COMMA: usize = 3;

/// The size of an ack that names the whole set of a session, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct AckSize(usize);

/// The contents of an ack that are not part of the session's state.
#[derive(Default)]
pub(super) struct Ack {
    /// The id of the command.
    pub(super) command: Option<u64>,
    /// The names that the command changed.
    pub(super) names: SubscriptionSet,
    pub(super) delivery: Delivery,
    pub(super) groups: Vec<DeliveryGroup>,
    pub(super) resumed: Option<ResumeOutcome>,
    /// The time at which a replay begins.
    pub(super) from: Option<UnixNanos>,
    /// The position to resume from until the session has been sent its gaps; `None` if it has none.
    pub(super) position_before_gaps: Option<u64>,
}

impl Shard {
    /// Returns how many subscriptions a session would have with more names, by channel; `"*"`
    /// counts as one.
    #[must_use]
    pub fn totals_with(&self, id: SessionId, more: &SubscriptionSet) -> PerChannel<usize> {
        let session = &self.sessions[id];
        let mut totals = PerChannel::default();
        for (channel, selection) in more.iter() {
            let is_new = |symbol: &&Symbol| {
                let key = TopicKey { feed: session.feed, channel, symbol: **symbol };
                self.topics.find(&key).is_none_or(|topic| session.find_named(topic).is_err())
            };
            let mut added: Vec<&Symbol> = selection.symbols.iter().filter(is_new).collect();
            added.sort_unstable();
            added.dedup();
            let adds_wildcard = selection.all && session.wildcards[channel].is_none();
            totals[channel] =
                session.totals[channel] as usize + added.len() + usize::from(adds_wildcard);
        }
        totals
    }

    /// Returns the size of an ack of the whole set of a session.
    pub(super) fn ack_size(&self, id: SessionId) -> AckSize {
        let named = self.sessions[id].named.iter().map(|named| named.topic);
        self.grown(id, AckSize(EMPTY_ACK_BYTES_MAX), named)
    }

    /// Returns the size of an ack of the whole set with added topics.
    pub(super) fn ack_size_with(
        &self,
        id: SessionId,
        size: AckSize,
        added: &[LocalTopicId],
    ) -> AckSize {
        self.grown(id, size, added.iter().copied())
    }

    fn grown(
        &self,
        id: SessionId,
        AckSize(bytes): AckSize,
        topics: impl Iterator<Item = LocalTopicId>,
    ) -> AckSize {
        if self.sessions[id].acks == Acks::Changes {
            return AckSize(bytes); // it never names the whole set
        }
        let symbol_bytes = |topic| self.topics.get(topic).key.symbol.as_str().len();
        let added: usize = topics.map(|topic| symbol_bytes(topic) + QUOTES_AND_COMMA).sum();
        AckSize(bytes + added)
    }

    /// Checks that an ack is not too long.
    pub(super) fn check_ack(&self, AckSize(bytes): AckSize) -> Result<(), Refusal> {
        match bytes {
            0..=ACK_BYTES_MAX => Ok(()),
            bytes => Err(Refusal::limit(format!(
                "the answer, which names all symbols, would take {bytes} bytes: at most \
                 {ACK_BYTES_MAX} are allowed; \"*\" stands for every symbol"
            ))),
        }
    }

    /// Returns all subscriptions of a session.
    pub(super) fn subscription_set(&self, id: SessionId) -> SubscriptionSet {
        let session = &self.sessions[id];
        let topics: Vec<LocalTopicId> = session.named.iter().map(|named| named.topic).collect();
        let mut set = self.names_of(&topics);
        for (channel, _) in session.wildcard_channels() {
            set[channel].all = true;
        }
        set
    }

    /// Returns the names of topics.
    pub(super) fn names_of(&self, topics: &[LocalTopicId]) -> SubscriptionSet {
        let mut names = SubscriptionSet::default();
        for topic in topics {
            let key = self.topics.get(*topic).key;
            names[key.channel].symbols.push(key.symbol);
        }
        names
    }

    pub(super) fn acknowledge(&mut self, id: SessionId, ack: Ack) {
        match self.sessions[id].acks {
            Acks::WholeSet => self.acknowledge_whole_set(id),
            Acks::Changes => self.acknowledge_changes(id, ack),
        }
        if let Some(queued) = self.sessions[id].control.back_mut() {
            queued.is_answer = true;
        }
    }

    fn acknowledge_changes(&mut self, id: SessionId, ack: Ack) {
        let session = &self.sessions[id];
        let mut total = PerChannel::default();
        for (channel, count) in session.totals.iter() {
            total[channel] = u64::from(*count);
        }
        let position = self.position(id);
        let pos = position.map(|Position(pos)| ack.position_before_gaps.unwrap_or(pos).min(pos));
        let control = Control::Subscription {
            id: ack.command,
            names: Box::new(ack.names),
            total,
            delivery: ack.delivery,
            on_lag: session.on_lag,
            modes: ack.groups,
            pos,
            resumed: ack.resumed,
            from: ack.from,
        };
        self.control(id, &control);
    }

    fn acknowledge_whole_set(&mut self, id: SessionId) {
        let set = self.subscription_set(id);
        let encoding = self.sessions[id].encoding;
        let mut frames = Vec::new();
        frame::write_message(encoding, &mut frames, |out| {
            write_alpaca_subscription(&set, encoding, out);
        });
        self.queue_frames(id, frames);
    }
}
