//! A subscriber's connection as the hub sees it, with the data in flight in both directions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tickwire_hub::fanout::{ClientId, CloseReason};
use tickwire_protocol::{Command, Encoding};

use crate::fairness::Fairness;
use crate::oracle::Name;

/// The client of a connection: its number among those of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Honest(usize),
    Hostile(usize),
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) owner: Owner,
    pub(crate) client: ClientId,
    pub(crate) feed: u8,
    pub(crate) encoding: Encoding,
    /// Commands in flight to the hub.
    pub(crate) commands: VecDeque<Vec<u8>>,
    /// The rest of the last write, which the socket did not accept. It is sent first.
    pub(crate) rest: Vec<u8>,
    /// Bytes in flight to the client, at most `room`.
    pub(crate) wire: VecDeque<u8>,
    /// The most bytes in flight to the client.
    pub(crate) room: usize,
    /// Number of bytes that the socket has accepted.
    pub(crate) accepted: u64,
    /// Number of bytes that the client has read.
    pub(crate) read: u64,
    pub(crate) fairness: Fairness,
    pub(crate) stage: Stage,
    /// Whether the core knows that the socket is full.
    pub(crate) blocked: bool,
    /// Whether the client has disconnected and the hub has not noticed.
    pub(crate) is_broken: bool,
    /// Expected answers to the client's commands, in order.
    pub(crate) due: VecDeque<Expected>,
    /// Position of the shard when it began to end the session, which was live then.
    pub(crate) finished_at: Option<u64>,
    /// Whether the log overran the shard.
    pub(crate) log_overruns: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Open,
    Finishing { deadline_ns: u64 },
    CloseSent { deadline_ns: u64 },
}

impl Stage {
    pub(crate) const fn deadline_ns(self) -> Option<u64> {
        match self {
            Self::Open => None,
            Self::Finishing { deadline_ns } | Self::CloseSent { deadline_ns } => Some(deadline_ns),
        }
    }
}

/// The state of the shard when it accepted a command.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) command: Command,
    /// Position of the next tick of the shard.
    pub(crate) head: u64,
    /// Position of the first tick that the shard could still look up.
    pub(crate) start: u64,
    /// Time of the shard.
    pub(crate) now_ns: u64,
    /// Sequence numbers of the shard's last values.
    pub(crate) values: BTreeMap<Name, u64>,
    /// Names of which the shard had seen a tick.
    pub(crate) ticked: BTreeSet<Name>,
    /// Whether the session was live before the command.
    pub(crate) was_live: bool,
    /// Whether the session was live after the command arrived; not so while it is carried out in
    /// pieces.
    pub(crate) is_live: bool,
}

impl Connection {
    pub(crate) fn new(
        owner: Owner,
        client: ClientId,
        feed: u8,
        encoding: Encoding,
        room: usize,
    ) -> Self {
        Self {
            owner,
            client,
            feed,
            encoding,
            commands: VecDeque::new(),
            rest: Vec::new(),
            wire: VecDeque::new(),
            room,
            accepted: 0,
            read: 0,
            fairness: Fairness::default(),
            stage: Stage::Open,
            blocked: false,
            is_broken: false,
            due: VecDeque::new(),
            finished_at: None,
            log_overruns: false,
        }
    }

    pub(crate) const fn is_honest(&self) -> bool {
        matches!(self.owner, Owner::Honest(_))
    }

    /// Takes a number of bytes that are in flight to the client.
    pub(crate) fn take(&mut self, bytes: usize) -> Vec<u8> {
        self.read += bytes as u64;
        self.wire.drain(..bytes).collect()
    }

    /// Sends the rest of the last write. Returns whether all of it was accepted.
    pub(crate) fn write_rest(&mut self) -> bool {
        let bytes = std::mem::take(&mut self.rest);
        self.write(&bytes)
    }

    /// Sends bytes and keeps those that do not fit. Returns whether all of them were accepted.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> bool {
        assert!(self.rest.is_empty(), "the rest of a frame goes first");
        let fits = bytes.len().min(self.room - self.wire.len());
        self.wire.extend(&bytes[..fits]);
        self.accepted += fits as u64;
        self.rest = bytes[fits..].to_vec();
        self.rest.is_empty()
    }

    pub(crate) fn queue_close(&mut self, reason: CloseReason, deadline_ns: u64) {
        let label = reason.label().as_bytes();
        self.rest.extend([0x88, u8::try_from(2 + label.len()).unwrap()]);
        self.rest.extend(reason.code().to_be_bytes());
        self.rest.extend(label);
        self.stage = Stage::CloseSent { deadline_ns };
    }
}
