//! What the core knows of one WebSocket peer.

use std::collections::VecDeque;
use std::ops::Range;

use tickwire_protocol::{Channel, Encoding, ErrorCode, OnLag, PerChannel, UnixNanos};

use super::FeedId;
use super::backlog::Backlog;
use super::catch_up::CatchUp;
use super::latest::Latest;
use super::shard::InputState;
use super::subscriber::LaneId;
use super::topics::LocalId;

/// A session: its slot in the shard. Slots are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u32);

impl SessionId {
    pub(crate) const fn slot(self) -> usize {
        self.0 as usize
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The peer closed, or its connection ended.
    PeerClosed,
    /// It read too slowly.
    SlowClient,
    /// Nothing was heard of it for too long.
    Silent,
    /// It broke the WebSocket protocol.
    Protocol,
    /// It sent text that is not UTF-8.
    NotUtf8,
    /// It sent a message larger than the limit.
    TooBig,
    /// The hub is shutting down.
    Shutdown,
    /// It showed a wrong key, or asked too often for other things before it showed one.
    AuthFailed,
    /// It showed no right key in time.
    AuthTimeout,
    /// Its key may not read what it connected to.
    NotAllowed,
    /// A newer session of its key took its place.
    Replaced,
    /// Its key was revoked or changed.
    Revoked,
}

impl CloseReason {
    /// All reasons, for metrics.
    pub const ALL: [Self; 12] = [
        Self::PeerClosed,
        Self::SlowClient,
        Self::Silent,
        Self::Protocol,
        Self::NotUtf8,
        Self::TooBig,
        Self::Shutdown,
        Self::AuthFailed,
        Self::AuthTimeout,
        Self::NotAllowed,
        Self::Replaced,
        Self::Revoked,
    ];

    /// The close code on the wire (RFC 6455 section 7.4.1); 1000 where none is sent.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::PeerClosed | Self::Silent => 1000,
            Self::Shutdown => 1001,
            Self::Protocol => 1002,
            Self::NotUtf8 => 1007,
            Self::SlowClient
            | Self::AuthFailed
            | Self::AuthTimeout
            | Self::NotAllowed
            | Self::Replaced
            | Self::Revoked => 1008,
            Self::TooBig => 1009,
        }
    }

    /// The word in metrics, logs and the close frame.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::PeerClosed => "peer_closed",
            Self::SlowClient => "slow_client",
            Self::Silent => "silent",
            Self::Protocol => "protocol",
            Self::NotUtf8 => "not_utf8",
            Self::TooBig => "too_big",
            Self::Shutdown => "shutdown",
            Self::AuthFailed => "auth_failed",
            Self::AuthTimeout => "auth_timeout",
            Self::NotAllowed => "not_allowed",
            Self::Replaced => "replaced",
            Self::Revoked => "revoked",
        }
    }

    /// The error element that precedes the close, if there is one.
    #[must_use]
    pub const fn error(self) -> Option<ErrorCode> {
        match self {
            Self::SlowClient => Some(ErrorCode::SlowClient),
            _ => None,
        }
    }
}

/// What a session is told when a command has changed its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acks {
    /// The names that the command changed, and how many there are now.
    #[default]
    Changes,
    /// All names there are now, in one message, as clients of Alpaca's protocol need it: some of them take
    /// their own set from it.
    WholeSet,
}

/// Where a session stands with its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Flow {
    /// Nothing is pending.
    #[default]
    Idle,
    /// Waits for its slot: an alarm is set.
    Waiting,
    /// Stands in the shard's list of sessions to be written.
    Ready,
    /// The socket takes no more.
    Blocked,
}

/// The part of a session that every tick touches; kept apart and small for the cache.
#[derive(Debug, Default)]
pub(crate) struct Hot {
    /// What it is owed of the log, tick by tick.
    pub(crate) backlog: Backlog,
    /// What it is owed of the newest; `None` while it subscribes to nothing that way.
    pub(crate) latest: Option<Box<Latest>>,
    pub(crate) flow: Flow,
    pub(crate) feed: Feed,
}

/// How the ticks reach a session of which it wants every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Feed {
    /// They are put on its backlog as they come.
    #[default]
    Live,
    /// Its [`CatchUp`] finds them in the log.
    CatchingUp,
    /// It gets no more: it has lagged, or is ending, or its slot is empty.
    Deaf,
}

/// The rest of a session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) feed: FeedId,
    pub(crate) encoding: Encoding,
    pub(crate) acks: Acks,
    /// Topics it named, sorted by topic.
    pub(crate) names: Vec<Name>,
    /// Channels it subscribed to with `"*"`, and how.
    pub(crate) wild: PerChannel<Option<LaneId>>,
    /// Names by channel, `"*"` counted as one.
    pub(crate) totals: PerChannel<u32>,
    /// Frames that are not ticks, oldest first.
    pub(crate) control: VecDeque<ControlFrames>,
    /// Invariant: the sum of `frames.len()` over `control`.
    pub(crate) control_bytes: usize,
    /// Ticks of the log that have gone into frames; the clock that orders `control` among them.
    pub(crate) sent: u64,
    /// The ticks at these counts of `sent` were looked up in the past: how old they are says nothing, and
    /// what the log forgets of them is told.
    pub(crate) past: Range<u64>,
    /// It ends once everything pending is sent.
    pub(crate) ending: Option<CloseReason>,
    /// When its socket stopped taking data.
    pub(crate) blocked_since: UnixNanos,
    /// What happens when it lags.
    pub(crate) on_lag: OnLag,
    /// It is told positions.
    pub(crate) pos: bool,
    /// What has it read next.
    pub(crate) input: InputState,
    /// Where it has come to in the log, while it catches up.
    pub(crate) catch_up: Option<Box<CatchUp>>,
}

/// A topic a session named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) topic: LocalId,
    /// Where the session stands in the topic's list of subscribers.
    pub(crate) at: u32,
}

/// Frames to be sent once `after` ticks have been sent.
#[derive(Debug)]
pub(crate) struct ControlFrames {
    pub(crate) after: u64,
    pub(crate) queued: UnixNanos,
    /// It begins with an answer to a command, from which on other names and positions count.
    pub(crate) answers: bool,
    pub(crate) frames: Vec<u8>,
}

impl Session {
    pub(crate) fn new(feed: FeedId, encoding: Encoding) -> Self {
        Self {
            feed,
            encoding,
            acks: Acks::default(),
            names: Vec::new(),
            wild: PerChannel::default(),
            totals: PerChannel::default(),
            control: VecDeque::new(),
            control_bytes: 0,
            sent: 0,
            past: 0..0,
            ending: None,
            blocked_since: UnixNanos::default(),
            on_lag: OnLag::default(),
            pos: false,
            input: InputState::default(),
            catch_up: None,
        }
    }

    pub(crate) fn find(&self, topic: LocalId) -> Result<usize, usize> {
        self.names.binary_search_by_key(&topic, |name| name.topic)
    }

    /// All names it has, `"*"` counted as one per channel.
    pub(crate) fn total(&self) -> usize {
        self.names.len() + self.wild.iter().filter(|(_, wild)| wild.is_some()).count()
    }

    pub(crate) fn wild_channels(&self) -> impl Iterator<Item = (Channel, LaneId)> + use<> {
        let wild = self.wild;
        Channel::ALL.into_iter().filter_map(move |channel| Some((channel, wild[channel]?)))
    }
}
