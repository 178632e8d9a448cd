//! Visits the topics of the channels whose `"*"` begins.

use tickwire_protocol::{Delivery, PerChannel, ResumeOutcome, SubscribeRequest};

use super::super::super::Position;
use super::super::resume::SubscribeOutcome;

/// A visit to the topics of some channels, in pieces.
#[derive(Debug, Default)]
pub(super) struct TopicScan {
    pub(super) next: usize,
    pub(super) end: usize,
    pub(super) visits: PerChannel<Visit>,
}

/// What a visit does for the topics of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Visit {
    /// Nothing.
    #[default]
    None,
    /// Sends the last values, after gaps if the peer was in another epoch.
    Begin { with_gaps: bool },
    /// Resumes the topics; the `"*"` continues at this position.
    Resume { at: Position },
}

impl TopicScan {
    /// Creates the visit that the `"*"` subscriptions of a command require. The topics have
    /// `slots` slots.
    pub(super) fn of(outcome: &SubscribeOutcome, request: &SubscribeRequest, slots: usize) -> Self {
        let mut visits = PerChannel::default();
        let with_gaps = outcome.resumed == Some(ResumeOutcome::NewEpoch);
        for channel in &outcome.new_wildcards {
            visits[*channel] = Visit::Begin { with_gaps };
        }
        for (channel, at) in &outcome.unvisited {
            visits[*channel] = Visit::Resume { at: *at };
        }
        let conflates = matches!(request.delivery, Delivery::Latest { .. });
        let is_needed = with_gaps
            || conflates
            || request.snapshot == Some(true)
            || !outcome.unvisited.is_empty();
        Self { next: 0, end: if is_needed { slots } else { 0 }, visits }
    }
}
