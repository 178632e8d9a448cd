//! The hub's side of publishing: connections, the bounded queue, and turns of the router.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tickwire_hub::fanout::{FeedId, Log, Numbering, PublisherToken, Sequencer};
use tickwire_protocol::{Command, Control, Encoding, ErrorCode, Tick, UnixNanos, decode_publish};

use crate::disk::DiskFault;
use crate::durable::{Durable, Killed};
use crate::oracle::Oracle;

/// The most messages that wait for the router.
const QUEUE_MAX: usize = 8;
const TICKS_MAX: usize = 1_000;
const TOPICS_MAX: usize = 100;
const PUBLISHERS_MAX: usize = 8;

pub(crate) type ConnectionId = u64;

/// A publisher's connection.
#[derive(Debug)]
struct PublisherConnection {
    feed: u8,
    to_hub: VecDeque<Vec<u8>>,
    to_publisher: VecDeque<Control>,
    /// Whether the connection is cut.
    is_cut: bool,
    id: Option<String>,
    /// Set when the router has accepted the publisher.
    token: Option<PublisherToken>,
    /// Number of the last data message that was read.
    number: u64,
    /// Whether reading is paused: the connection awaits the router's answer or has ended.
    paused: bool,
}

#[derive(Debug)]
enum Ingest {
    Open(ConnectionId),
    Ticks { connection: ConnectionId, feed: u8, ticks: Vec<Tick>, numbered: Option<Numbered> },
    Close(ConnectionId),
}

#[derive(Debug)]
struct Numbered {
    id: String,
    token: PublisherToken,
    number: u64,
    mark: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Intake {
    sequencer: Sequencer,
    connections: BTreeMap<ConnectionId, PublisherConnection>,
    accepted: u64,
    queue: VecDeque<Ingest>,
    pub(crate) durable: Option<Durable>,
    /// Answers to publishers that wait for a sync.
    unsynced: Vec<Answer>,
}

/// An answer to a publisher.
type Answer = (ConnectionId, Control);

impl Intake {
    /// Creates the intake of a hub without a log on disk.
    pub(crate) fn new() -> Self {
        Self::of(Sequencer::new(TOPICS_MAX, PUBLISHERS_MAX), None)
    }

    /// Creates the intake of a hub that continues a recovered log.
    pub(crate) fn restore(numbering: Numbering, durable: Durable) -> Self {
        Self::of(Sequencer::restore(numbering, TOPICS_MAX, PUBLISHERS_MAX), Some(durable))
    }

    fn of(sequencer: Sequencer, durable: Option<Durable>) -> Self {
        Self {
            sequencer,
            durable,
            unsynced: Vec::new(),
            connections: BTreeMap::new(),
            accepted: 0,
            queue: VecDeque::new(),
        }
    }

    pub(crate) fn accept(&mut self, feed: u8) -> ConnectionId {
        self.accepted += 1;
        let connection = PublisherConnection {
            feed,
            to_hub: VecDeque::new(),
            to_publisher: VecDeque::new(),
            is_cut: false,
            id: None,
            token: None,
            number: 0,
            paused: false,
        };
        self.connections.insert(self.accepted, connection);
        self.accepted
    }

    pub(crate) fn send(&mut self, connection: ConnectionId, message: Vec<u8>) {
        self.connections.get_mut(&connection).unwrap().to_hub.push_back(message);
    }

    pub(crate) fn cut(&mut self, connection: ConnectionId, arriving: usize) {
        let connection = self.connections.get_mut(&connection).unwrap();
        connection.to_hub.truncate(arriving);
        connection.is_cut = true;
    }

    /// Takes the next answer for a publisher.
    pub(crate) fn next_answer(&mut self, connection: ConnectionId) -> Option<Control> {
        self.connections.get_mut(&connection)?.to_publisher.pop_front()
    }

    /// Returns connections with unread messages or an unnoticed end.
    pub(crate) fn readable(&self) -> Vec<ConnectionId> {
        let readable = |connection: &PublisherConnection| {
            !connection.paused && (connection.is_cut || !connection.to_hub.is_empty())
        };
        self.connections
            .iter()
            .filter(|(_, connection)| readable(connection))
            .map(|(id, _)| *id)
            .collect()
    }

    pub(crate) fn is_idle(&self) -> bool {
        let is_answered =
            self.connections.values().all(|connection| connection.to_publisher.is_empty());
        is_answered
            && self.unsynced.is_empty()
            && self.queue.is_empty()
            && self.readable().is_empty()
    }

    /// Reads one message of a connection, if the queue has room.
    pub(crate) fn read(&mut self, id: ConnectionId) {
        if self.queue.len() >= QUEUE_MAX {
            return;
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(message) = connection.to_hub.pop_front() else {
            if connection.is_cut && !connection.paused {
                connection.paused = true;
                self.queue.push_back(Ingest::Close(id));
            }
            return;
        };
        if matches!(message[0], 0x80..=0x8f) {
            let Ok(Command::Publish(publish)) = Command::from_msgpack(&message) else {
                panic!("not a publish command: {message:?}");
            };
            connection.id = Some(publish.publisher);
            connection.paused = true;
            return self.queue.push_back(Ingest::Open(id));
        }
        let encoding = if message[0] == b'[' { Encoding::Json } else { Encoding::MsgpackArray };
        let published = decode_publish(&message, encoding, TICKS_MAX).unwrap();
        let numbered = connection.token.map(|token| {
            connection.number += 1;
            let id = connection.id.clone().unwrap();
            let mark = published.mark;
            Numbered { id, token, number: connection.number, mark }
        });
        let feed = connection.feed;
        let ticks = published.ticks;
        self.queue.push_back(Ingest::Ticks { connection: id, feed, ticks, numbered });
    }

    /// Runs a turn of the router with a number of messages; the disk may fail.
    pub(crate) fn turn(
        &mut self,
        messages: usize,
        now: UnixNanos,
        fault: Option<DiskFault>,
        (log, oracle): (&mut Log, &mut Oracle),
    ) -> Result<(), Killed> {
        let mut answers = Vec::new();
        for _ in 0..messages {
            let Some(message) = self.queue.pop_front() else { break };
            answers.extend(self.take(message));
        }
        let batch = self.sequencer.batch(now);
        if let Some(durable) = &mut self.durable {
            let changes = self.sequencer.take_changes();
            let received = self.sequencer.received();
            durable.turn(batch.as_ref(), &changes, received, fault)?;
        }
        if let Some(batch) = batch {
            oracle.issue(&batch);
            log.append(Arc::new(batch));
        }
        self.unsynced.append(&mut answers);
        if !self.durable.as_ref().is_some_and(|durable| durable.waits) {
            self.release_answers();
        }
        Ok(())
    }

    /// Syncs the disk and releases the waiting answers.
    pub(crate) fn sync(&mut self) {
        if let Some(durable) = &self.durable {
            durable.disk.sync();
            self.release_answers();
        }
    }

    fn release_answers(&mut self) {
        for (connection, control) in self.unsynced.drain(..) {
            if let Some(connection) = self.connections.get_mut(&connection) {
                connection.to_publisher.push_back(control);
            }
        }
    }

    /// Returns the answer to the publisher, if any.
    fn take(&mut self, message: Ingest) -> Option<Answer> {
        match message {
            Ingest::Open(id) => {
                let connection = self.connections.get_mut(&id).unwrap();
                let opened = self.sequencer.open(connection.id.as_deref().unwrap()).unwrap();
                (connection.token, connection.number) = (Some(opened.token), opened.last);
                connection.paused = false;
                let answer = Control::Publishing { last: opened.last, mark: opened.mark };
                let fenced = |connection: &&mut PublisherConnection| {
                    connection.token.is_some() && connection.token == opened.fenced
                };
                if let Some(connection) = self.connections.values_mut().find(fenced) {
                    let code = ErrorCode::PublisherReplaced;
                    connection.to_publisher.push_back(Control::Error {
                        code,
                        detail: None,
                        id: None,
                    });
                }
                Some((id, answer))
            }
            Ingest::Close(id) => {
                let connection = self.connections.remove(&id).unwrap();
                if let (Some(id), Some(token)) = (connection.id, connection.token) {
                    self.sequencer.close(&id, token);
                }
                None
            }
            Ingest::Ticks { connection, feed, ticks, numbered } => {
                let mut ack = None;
                if let Some(Numbered { id, token, number, mark }) = numbered {
                    if self.sequencer.advance(&id, token, number, mark).is_err() {
                        return None;
                    }
                    ack = Some((connection, Control::Ack { up_to: number, durable: true }));
                }
                let refused = self.sequencer.take(FeedId(feed), ticks);
                assert_eq!(refused, 0, "there is room for every topic");
                ack
            }
        }
    }
}
