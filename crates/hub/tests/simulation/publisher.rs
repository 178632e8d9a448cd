//! A simulated publisher, which keeps unacknowledged messages and sends them again after a
//! reconnect.

use std::collections::VecDeque;

use tickwire_protocol::{Command, Control, Encoding, ErrorCode, MessageBuf, PublishRequest};

use crate::intake::{ConnectionId, Intake};
use crate::random::Random;
use crate::source;

/// The most unacknowledged messages.
const WINDOW: usize = 6;

#[derive(Debug)]
pub(crate) struct Publisher {
    number: u64,
    /// Index of the next tick of the source.
    next: u64,
    /// Unacknowledged messages.
    window: VecDeque<Vec<u8>>,
    /// Number of the first unacknowledged message, or of the next message.
    first: u64,
    connection: Option<ConnectionId>,
    /// Whether the hub has reported its progress on this connection.
    is_ready: bool,
    /// Whether the source resumes at the hub's mark.
    restarted: bool,
    /// Number of the last acknowledged message that the hub must remember.
    acknowledged: u64,
}

impl Publisher {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            number,
            next: 0,
            window: VecDeque::new(),
            first: 1,
            connection: None,
            is_ready: false,
            restarted: true,
            acknowledged: 0,
        }
    }

    pub(crate) const fn connection(&self) -> Option<ConnectionId> {
        self.connection
    }

    pub(crate) fn connect(&mut self, intake: &mut Intake) {
        let connection = intake.accept(source::feed(self.number));
        self.connection = Some(connection);
        self.is_ready = !source::is_acknowledged(self.number);
        if !self.is_ready {
            let mut hello = Vec::new();
            let publisher = format!("publisher-{}", self.number);
            Command::Publish(PublishRequest { publisher, demand: false }).write_msgpack(&mut hello);
            intake.send(connection, hello);
        }
    }

    /// Cuts the connection. The hub receives the first `arriving` of the messages in flight.
    pub(crate) fn cut(&mut self, intake: &mut Intake, arriving: usize) {
        if let Some(connection) = self.connection.take() {
            intake.cut(connection, arriving);
        }
    }

    /// Handles the end of the hub. Unless it `forgets`, the next one knows the acknowledged
    /// messages.
    pub(crate) fn lose_hub(&mut self, forgets: bool) {
        self.connection = None;
        if forgets {
            self.acknowledged = 0;
        }
    }

    /// Restarts the publisher's process, which keeps nothing but its source.
    pub(crate) fn restart(&mut self) {
        assert!(self.connection.is_none(), "the connection has ended");
        if source::is_acknowledged(self.number) {
            self.window.clear();
            self.restarted = true;
        }
    }

    pub(crate) fn can_send(&self) -> bool {
        self.connection.is_some() && self.is_ready && self.window.len() < WINDOW
    }

    /// Sends the next ticks of the source.
    pub(crate) fn send(&mut self, intake: &mut Intake, random: &mut Random) {
        let Some(connection) = self.connection else { return };
        let ticks = random.weighted(&[(8, 3), (4, 12), (1, 60)]);
        let end = self.next + random.below(ticks + 1);
        let mut message = MessageBuf::new(random.pick(&[Encoding::Json, Encoding::MsgpackArray]));
        for index in self.next..end {
            message.push(&source::tick(self.number, index));
        }
        self.next = end;
        if source::is_acknowledged(self.number) {
            message.push_mark(&end.to_string());
            self.window.push_back(message.finish().to_vec());
        }
        let bytes = self.window.back().cloned().unwrap_or_else(|| message.finish().to_vec());
        intake.send(connection, bytes);
    }

    pub(crate) fn receive(&mut self, control: &Control, intake: &mut Intake) {
        match control {
            Control::Publishing { last, mark } => {
                let acknowledged = self.acknowledged;
                assert!(*last >= acknowledged, "the hub forgot {acknowledged} and reports {last}");
                self.acknowledge(*last);
                self.first = last + 1;
                if std::mem::take(&mut self.restarted) {
                    self.next = mark.as_ref().map_or(0, |mark| mark.parse().unwrap());
                }
                let Some(connection) = self.connection else { return };
                self.window.iter().for_each(|message| intake.send(connection, message.clone()));
                self.is_ready = true;
            }
            Control::Ack { up_to, .. } => self.acknowledge(*up_to),
            Control::Error { code: ErrorCode::PublisherReplaced, .. } => self.cut(intake, 0),
            other => panic!("unexpected element for a publisher: {other:?}"),
        }
    }

    fn acknowledge(&mut self, up_to: u64) {
        self.acknowledged = up_to;
        while self.first <= up_to && self.window.pop_front().is_some() {
            self.first += 1;
        }
    }

    /// Returns whether every sent message is acknowledged.
    pub(crate) fn is_done(&self) -> bool {
        self.window.is_empty()
    }
}
