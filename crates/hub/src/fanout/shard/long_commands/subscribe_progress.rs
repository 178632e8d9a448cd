//! The progress of a subscribe command.

use std::collections::VecDeque;
use std::vec;

use tickwire_protocol::{Channel, SubscribeRequest, SubscriptionSet, Symbol, UnixNanos};

use super::super::super::latest::rate_groups::RateGroupId;
use super::super::super::{LocalTopicId, Position};
use super::super::acks::AckSize;
use super::super::refusal::Refusal;
use super::SnapshotFrames;
use super::topic_scan::TopicScan;

/// Names of a command that have not been handled, in their order.
#[derive(Debug, Default)]
pub(super) struct RemainingNames(VecDeque<(Channel, vec::IntoIter<Symbol>)>);

impl RemainingNames {
    pub(super) fn new(names: &SubscriptionSet) -> Self {
        let channels = names.iter().filter(|(_, selection)| !selection.symbols.is_empty());
        let symbols = channels.map(|(channel, selection)| (channel, selection.symbols.clone()));
        Self(symbols.map(|(channel, symbols)| (channel, symbols.into_iter())).collect())
    }

    /// Takes the next names, at most `max`, of one channel.
    pub(super) fn take(&mut self, max: usize) -> Option<(Channel, Vec<Symbol>)> {
        let (channel, symbols) = self.0.front_mut()?;
        let channel = *channel;
        let taken = symbols.take(max).collect();
        self.0.pop_front_if(|(_, symbols)| symbols.len() == 0);
        Some((channel, taken))
    }
}

/// What the next piece of a subscribe command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Adds names.
    Add,
    /// Changes the delivery of names that the session has.
    Move,
    /// Visits the topics of the channels whose `"*"` begins.
    Scan,
    /// Removes the names again, because the command is refused.
    Withdraw,
}

/// The progress of a subscribe command.
#[derive(Debug)]
pub(super) struct SubscribeProgress {
    pub(super) stage: Stage,
    /// The command, with the names of the current piece.
    pub(super) request: SubscribeRequest,
    pub(super) remaining: RemainingNames,
    pub(super) group: RateGroupId,
    /// Where a replay begins, and the time of that position.
    pub(super) replay_start: Option<(Position, UnixNanos)>,
    pub(super) ack_size: AckSize,
    pub(super) added: Vec<LocalTopicId>,
    pub(super) moved: Vec<LocalTopicId>,
    /// Channels whose `"*"` begins with this command.
    pub(super) wildcards: Vec<Channel>,
    pub(super) names: SubscriptionSet,
    pub(super) refusal: Option<Refusal>,
    pub(super) scan: TopicScan,
    pub(super) gaps: Vec<Vec<u8>>,
    pub(super) snapshot: SnapshotFrames,
    pub(super) has_snapshot: bool,
}

impl SubscribeProgress {
    /// Creates the progress of a command that begins. Its delivery is that of the group, and the
    /// `"*"` of these channels begins with it.
    pub(super) fn new(
        request: &SubscribeRequest,
        group: RateGroupId,
        wildcards: Vec<Channel>,
        replay_start: Option<(Position, UnixNanos)>,
        ack_size: AckSize,
    ) -> Self {
        Self {
            stage: Stage::Add,
            request: SubscribeRequest {
                names: SubscriptionSet::default(),
                snapshot: request.snapshot,
                delivery: request.delivery,
                on_lag: request.on_lag,
                pos: request.pos,
                resume: request.resume.clone(),
                replay: request.replay,
                id: request.id,
            },
            remaining: RemainingNames::new(&request.names),
            group,
            replay_start,
            ack_size,
            added: Vec::new(),
            moved: Vec::new(),
            wildcards,
            names: SubscriptionSet::default(),
            refusal: None,
            scan: TopicScan::default(),
            gaps: Vec::new(),
            snapshot: SnapshotFrames::default(),
            has_snapshot: false,
        }
    }

    /// Returns whether the snapshot of a `"*"` covers the topics of a channel.
    pub(super) fn is_covered(&self, channel: Channel) -> bool {
        self.request.snapshot == Some(true) && self.wildcards.contains(&channel)
    }
}
