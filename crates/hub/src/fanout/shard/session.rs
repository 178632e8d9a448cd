//! The state of one session.

use std::collections::VecDeque;
use std::ops::Range;

use tickwire_protocol::{Channel, Encoding, OnLag, PerChannel, UnixNanos};

use super::super::history::cursor::CatchUpCursor;
use super::super::latest::rate_groups::{RateGroupId, RateGroups};
use super::super::{ClientId, FeedId, LocalTopicId};
use super::backlog::Backlog;
use super::close_reason::CloseReason;
use super::input_queue::InputState;
use super::log_coverage::Present;

/// How a session's subscribe and unsubscribe commands are acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acks {
    /// With the names that the command changed, and the new number of subscriptions.
    #[default]
    Changes,
    /// With all names of the session in one message, as Alpaca's protocol requires: some of its
    /// clients take their own set of names from this message.
    WholeSet,
}

/// What a session waits for before it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum WriteState {
    /// Nothing is pending.
    #[default]
    Idle,
    /// The session waits for the timer of its next send time.
    Waiting,
    /// The session is in the shard's queue of sessions to be written.
    Ready,
    /// The session's socket accepts no more data.
    Blocked,
}

/// The part of a session that every tick touches. It is separate and small for the CPU cache.
#[derive(Debug, Default)]
pub(crate) struct HotState {
    /// Ticks of the log that are pending, if every tick is delivered.
    pub(crate) backlog: Backlog,
    /// Topics of which the newest tick is pending; `None` while no subscription is `latest`.
    pub(crate) latest: Option<Box<RateGroups>>,
    pub(crate) write_state: WriteState,
    pub(crate) delivery: DeliveryState,
}

/// How ticks reach the backlog of a session, as far as every tick is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum DeliveryState {
    /// The shard pushes them when it applies a batch.
    #[default]
    Live,
    /// The session's [`CatchUpCursor`] finds them in the log.
    CatchingUp,
    /// Not at all: the session lags, is ending, or has closed.
    Detached,
}

/// The part of a session that ticks do not touch.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) feed: FeedId,
    pub(crate) encoding: Encoding,
    /// The client whose share of limits the session uses.
    pub(crate) client: Option<ClientId>,
    pub(crate) acks: Acks,
    /// Topics that the session subscribes to by name, sorted by number.
    pub(crate) named: Vec<NamedTopic>,
    /// Channels that the session subscribes to with `"*"`, and how their ticks are delivered.
    pub(crate) wildcards: PerChannel<Option<RateGroupId>>,
    /// Number of subscriptions by channel; `"*"` counts as one.
    pub(crate) totals: PerChannel<u32>,
    /// Pending frames that hold no live ticks, oldest first.
    pub(crate) control: VecDeque<ControlFrames>,
    /// Invariant: the sum of `frames.len()` over `control`.
    pub(crate) control_bytes: usize,
    /// Number of backlog ticks that have gone into frames; determines the place of `control` frames
    /// among the ticks.
    pub(crate) sent: u64,
    /// Range of counts of `sent` whose backlog ticks were found by a cursor. These ticks are exempt
    /// from the age limit, and gaps report those that leave the log.
    pub(crate) backfilled: Range<u64>,
    /// The reason for which the session ends once everything pending is sent.
    pub(crate) ending: Option<CloseReason>,
    /// When the socket stopped accepting data.
    pub(crate) blocked_since: UnixNanos,
    /// What happens when the session lags.
    pub(crate) on_lag: OnLag,
    /// Whether the session asked for positions.
    pub(crate) wants_positions: bool,
    /// Whether corrections and cancels have frames of their own.
    pub(crate) separates_corrections: bool,
    pub(crate) input: InputState,
    /// The cursor of a session that catches up.
    pub(crate) cursor: Option<Box<CatchUpCursor>>,
    /// When a command arrived that is carried out in pieces; `None` if there is no such command.
    /// Until its answer, the session is sent only ticks that were pending at that time.
    pub(crate) held_at: Option<Present>,
}

/// A topic that a session subscribes to by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NamedTopic {
    pub(crate) topic: LocalTopicId,
    /// Index of the session in the topic's list of subscribers.
    pub(crate) index: u32,
}

/// Frames that are sent once `after` backlog ticks have been sent.
#[derive(Debug)]
pub(crate) struct ControlFrames {
    pub(crate) after: u64,
    pub(crate) queued: UnixNanos,
    /// Whether the first frame answers a command, so that later frames refer to the changed
    /// subscriptions.
    pub(crate) is_answer: bool,
    pub(crate) frames: Vec<u8>,
}

impl Session {
    pub(crate) fn new(feed: FeedId, encoding: Encoding) -> Self {
        Self {
            feed,
            encoding,
            client: None,
            acks: Acks::default(),
            named: Vec::new(),
            wildcards: PerChannel::default(),
            totals: PerChannel::default(),
            control: VecDeque::new(),
            control_bytes: 0,
            sent: 0,
            backfilled: 0..0,
            ending: None,
            blocked_since: UnixNanos::default(),
            on_lag: OnLag::default(),
            wants_positions: false,
            separates_corrections: false,
            input: InputState::default(),
            cursor: None,
            held_at: None,
        }
    }

    /// Searches for a topic among those that the session subscribes to by name. Returns its index,
    /// or the index at which it would be inserted.
    pub(crate) fn find_named(&self, topic: LocalTopicId) -> Result<usize, usize> {
        self.named.binary_search_by_key(&topic, |named| named.topic)
    }

    /// Notes that a cursor finds the next ticks of the session, after `pending` ticks.
    pub(crate) fn begin_backfill(&mut self, pending: usize) {
        if !self.backfilled.contains(&self.sent) {
            self.backfilled.start = self.sent + pending as u64;
        }
        self.backfilled.end = u64::MAX;
    }

    /// Returns the number of subscriptions; `"*"` counts as one for each channel.
    pub(crate) fn subscriptions(&self) -> usize {
        self.named.len() + self.wildcard_channels().count()
    }

    /// Returns the channels that the session subscribes to with `"*"`, and how they are delivered.
    pub(crate) fn wildcard_channels(&self) -> impl Iterator<Item = (Channel, RateGroupId)> + use<> {
        let wildcards = self.wildcards;
        Channel::ALL.into_iter().filter_map(move |channel| Some((channel, wildcards[channel]?)))
    }
}
