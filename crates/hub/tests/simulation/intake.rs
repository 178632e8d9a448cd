//! The hub's side of publishing: connections, the bounded queue, and turns of the router.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tickwire_hub::fanout::{FeedId, Log, Numbering, PublisherToken, Sequencer};
use tickwire_protocol::{Command, Control, Encoding, ErrorCode, Tick, UnixNanos, decode_publish};

use crate::disk::Trouble;
use crate::durable::{Durable, Killed};
use crate::oracle::Oracle;

/// Most messages that wait for the router.
const QUEUE: usize = 8;
const TICKS_MAX: usize = 1_000;
const TOPICS_MAX: usize = 100;
const PUBLISHERS_MAX: usize = 8;

pub(crate) type LineId = u64;

/// A publisher's connection.
#[derive(Debug)]
struct Line {
    feed: u8,
    to_hub: VecDeque<Vec<u8>>,
    to_publisher: VecDeque<Control>,
    cut: bool,
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
    Open(LineId),
    Ticks { line: LineId, feed: u8, ticks: Vec<Tick>, numbered: Option<Numbered> },
    Close(LineId),
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
    lines: BTreeMap<LineId, Line>,
    accepted: u64,
    queue: VecDeque<Ingest>,
    pub(crate) durable: Option<Durable>,
    /// Answers to publishers that wait for a sync.
    unsynced: Vec<Told>,
}

/// An answer to a publisher.
type Told = (LineId, Control);

impl Intake {
    /// Creates the intake of a hub without a log on disk.
    pub(crate) fn new() -> Self {
        Self::of(Sequencer::new(TOPICS_MAX, PUBLISHERS_MAX), None)
    }

    /// Creates the intake of a hub that continues a recovered log.
    pub(crate) fn go_on(numbering: Numbering, durable: Durable) -> Self {
        Self::of(Sequencer::restore(numbering, TOPICS_MAX, PUBLISHERS_MAX), Some(durable))
    }

    fn of(sequencer: Sequencer, durable: Option<Durable>) -> Self {
        Self {
            sequencer,
            durable,
            unsynced: Vec::new(),
            lines: BTreeMap::new(),
            accepted: 0,
            queue: VecDeque::new(),
        }
    }

    pub(crate) fn accept(&mut self, feed: u8) -> LineId {
        self.accepted += 1;
        let line = Line {
            feed,
            to_hub: VecDeque::new(),
            to_publisher: VecDeque::new(),
            cut: false,
            id: None,
            token: None,
            number: 0,
            paused: false,
        };
        self.lines.insert(self.accepted, line);
        self.accepted
    }

    pub(crate) fn send(&mut self, line: LineId, message: Vec<u8>) {
        self.lines.get_mut(&line).unwrap().to_hub.push_back(message);
    }

    pub(crate) fn cut(&mut self, line: LineId, arriving: usize) {
        let line = self.lines.get_mut(&line).unwrap();
        line.to_hub.truncate(arriving);
        line.cut = true;
    }

    /// Takes the answers to a publisher, oldest first.
    pub(crate) fn hear(&mut self, line: LineId) -> Option<Control> {
        self.lines.get_mut(&line)?.to_publisher.pop_front()
    }

    /// Returns connections with unread messages or an unnoticed end.
    pub(crate) fn readable(&self) -> Vec<LineId> {
        let readable = |line: &Line| !line.paused && (line.cut || !line.to_hub.is_empty());
        self.lines.iter().filter(|(_, line)| readable(line)).map(|(id, _)| *id).collect()
    }

    pub(crate) fn is_idle(&self) -> bool {
        let told = self.lines.values().all(|line| line.to_publisher.is_empty());
        told && self.unsynced.is_empty() && self.queue.is_empty() && self.readable().is_empty()
    }

    /// Reads one message of a connection, if the queue has room.
    pub(crate) fn read(&mut self, id: LineId) {
        if self.queue.len() >= QUEUE {
            return;
        }
        let Some(line) = self.lines.get_mut(&id) else { return };
        let Some(message) = line.to_hub.pop_front() else {
            if line.cut && !line.paused {
                line.paused = true;
                self.queue.push_back(Ingest::Close(id));
            }
            return;
        };
        if matches!(message[0], 0x80..=0x8f) {
            let Ok(Command::Publish(publish)) = Command::from_msgpack(&message) else {
                panic!("{message:?} is no publish");
            };
            line.id = Some(publish.publisher);
            line.paused = true;
            return self.queue.push_back(Ingest::Open(id));
        }
        let encoding = if message[0] == b'[' { Encoding::Json } else { Encoding::MsgpackArray };
        let published = decode_publish(&message, encoding, TICKS_MAX).unwrap();
        let numbered = line.token.map(|token| {
            line.number += 1;
            let (id, mark) = (line.id.clone().unwrap(), published.mark);
            Numbered { id, token, number: line.number, mark }
        });
        let (feed, ticks) = (line.feed, published.ticks);
        self.queue.push_back(Ingest::Ticks { line: id, feed, ticks, numbered });
    }

    /// Runs a turn of the router with a number of messages; the disk may fail.
    pub(crate) fn turn(
        &mut self,
        messages: usize,
        now: UnixNanos,
        trouble: Option<Trouble>,
        (log, oracle): (&mut Log, &mut Oracle),
    ) -> Result<(), Killed> {
        let mut told = Vec::new();
        for _ in 0..messages {
            let Some(message) = self.queue.pop_front() else { break };
            told.extend(self.take(message));
        }
        let batch = self.sequencer.batch(now);
        if let Some(durable) = &mut self.durable {
            let (changes, received) = (self.sequencer.take_changes(), self.sequencer.received());
            durable.turn(batch.as_ref(), &changes, received, trouble)?;
        }
        if let Some(batch) = batch {
            oracle.issue(&batch);
            log.append(Arc::new(batch));
        }
        self.unsynced.append(&mut told);
        if !self.durable.as_ref().is_some_and(|durable| durable.waits) {
            self.tell();
        }
        Ok(())
    }

    /// Syncs the disk and releases the waiting answers.
    pub(crate) fn sync(&mut self) {
        if let Some(durable) = &self.durable {
            durable.disk.sync();
            self.tell();
        }
    }

    fn tell(&mut self) {
        for (line, control) in self.unsynced.drain(..) {
            if let Some(line) = self.lines.get_mut(&line) {
                line.to_publisher.push_back(control);
            }
        }
    }

    /// Returns the answer to the publisher, if any.
    fn take(&mut self, message: Ingest) -> Option<Told> {
        match message {
            Ingest::Open(id) => {
                let line = self.lines.get_mut(&id).unwrap();
                let opened = self.sequencer.open(line.id.as_deref().unwrap()).unwrap();
                (line.token, line.number) = (Some(opened.token), opened.last);
                line.paused = false;
                let answer = Control::Publishing { last: opened.last, mark: opened.mark };
                let fenced = |line: &&mut Line| line.token.is_some() && line.token == opened.fenced;
                if let Some(line) = self.lines.values_mut().find(fenced) {
                    let code = ErrorCode::PublisherReplaced;
                    line.to_publisher.push_back(Control::Error { code, detail: None, id: None });
                }
                Some((id, answer))
            }
            Ingest::Close(id) => {
                let line = self.lines.remove(&id).unwrap();
                if let (Some(id), Some(token)) = (line.id, line.token) {
                    self.sequencer.close(&id, token);
                }
                None
            }
            Ingest::Ticks { line, feed, ticks, numbered } => {
                let mut ack = None;
                if let Some(Numbered { id, token, number, mark }) = numbered {
                    if self.sequencer.advance(&id, token, number, mark).is_err() {
                        return None;
                    }
                    ack = Some((line, Control::Ack { up_to: number, durable: true }));
                }
                let refused = self.sequencer.take(FeedId(feed), ticks);
                assert_eq!(refused, 0, "there is room for every topic");
                ack
            }
        }
    }
}
