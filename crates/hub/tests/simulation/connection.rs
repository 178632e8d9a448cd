//! A subscriber's connection as the hub sees it, and what is on its way in either direction.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tickwire_hub::fanout::CloseReason;
use tickwire_protocol::{Command, Encoding};

use crate::truth::Name;

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: usize,
    pub(crate) feed: u8,
    pub(crate) encoding: Encoding,
    /// Commands on their way to the hub.
    pub(crate) commands: VecDeque<Vec<u8>>,
    /// What the socket did not take of what was written last; it goes first.
    pub(crate) rest: Vec<u8>,
    /// On its way to the client, `room` bytes at the most.
    pub(crate) wire: VecDeque<u8>,
    pub(crate) room: usize,
    pub(crate) stage: Stage,
    /// The core was told that the socket takes no more.
    pub(crate) blocked: bool,
    /// The client has left; the hub has not noticed yet.
    pub(crate) gone: bool,
    /// What the client must hear in answer to its commands, in order.
    pub(crate) due: VecDeque<Expected>,
    /// Where the shard stood when it began to end the session in order.
    pub(crate) finished_at: Option<u64>,
    /// Its shard fell out of the log.
    pub(crate) fell_out: bool,
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

/// How things stood when the hub took a command.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) command: Command,
    /// Position of the next tick the shard had not seen.
    pub(crate) head: u64,
    /// Position of the first tick it could still look up.
    pub(crate) start: u64,
    /// Its time.
    pub(crate) now_ns: u64,
    /// Numbers of the last values the shard knew.
    pub(crate) values: BTreeMap<Name, u64>,
    /// Names of which it had seen a tick.
    pub(crate) ticked: BTreeSet<Name>,
}

impl Connection {
    pub(crate) fn new(client: usize, feed: u8, encoding: Encoding, room: usize) -> Self {
        Self {
            client,
            feed,
            encoding,
            commands: VecDeque::new(),
            rest: Vec::new(),
            wire: VecDeque::new(),
            room,
            stage: Stage::Open,
            blocked: false,
            gone: false,
            due: VecDeque::new(),
            finished_at: None,
            fell_out: false,
        }
    }

    /// Puts what did not fit before on its way: `true` if all of it does now.
    pub(crate) fn write_rest(&mut self) -> bool {
        let bytes = std::mem::take(&mut self.rest);
        self.write(&bytes)
    }

    /// Puts bytes on their way and keeps what does not fit: `true` if all of it does.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> bool {
        assert!(self.rest.is_empty(), "the rest of a frame goes first");
        let fits = bytes.len().min(self.room - self.wire.len());
        self.wire.extend(&bytes[..fits]);
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
