//! The client's side of the conversation, without a socket: messages in, events and commands out.

use std::collections::VecDeque;

use tickwire_protocol::Subscription;
use tickwire_protocol::{
    Command, Control, DecodeError, Element, Encoding, Names, Seq, Tick, decode_message,
};

use crate::sequence::{Seen, Sequence};
use crate::wanted::{Wanted, pieces};
use crate::{Event, Topic};

/// Most commands the hub has not answered; more wait with the application.
const UNANSWERED_MAX: usize = 1024;

/// What the application asks for.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) change: Change,
    pub(crate) names: Names,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Subscribe,
    Unsubscribe,
}

/// Everything that outlives a connection, and where the conversation on this one stands.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// Whether last values come first; `None` leaves it to the hub.
    snapshot: Option<bool>,
    wanted: Wanted,
    sequence: Sequence,
    epoch: Option<String>,
    /// Whether there is a connection to send commands on.
    open: bool,
    /// Whether the ticks that come are last values.
    in_snapshot: bool,
    /// Commands without an answer, oldest first. Invariant: empty while not open.
    unanswered: VecDeque<Unanswered>,
    sent: u64,
}

#[derive(Debug)]
struct Unanswered {
    /// The number on the wire; the application's own would collide with those of reconnects.
    number: u64,
    request: Option<u64>,
    change: Change,
    /// What the command added to the wanted names: taken back if the hub refuses.
    added: Names,
}

impl Session {
    pub(crate) fn new(snapshot: Option<bool>) -> Self {
        Self { snapshot, ..Self::default() }
    }

    /// Whether another request may come; while not, the driver leaves them in the queue.
    pub(crate) fn has_room(&self) -> bool {
        self.unanswered.len() < UNANSWERED_MAX
    }

    /// A connection is there. Returns the commands to send: everything wanted, again.
    pub(crate) fn opened(&mut self) -> Vec<String> {
        self.open = true;
        self.in_snapshot = false;
        let names = self.wanted.names();
        // What was unsubscribed meanwhile may come back later; it has no past then.
        self.sequence.retain(|topic| self.wanted.covers(topic));
        let pieces = pieces(&names);
        pieces
            .into_iter()
            .map(|names| self.command(Change::Subscribe, None, names, Names::default()))
            .collect()
    }

    /// The connection is gone.
    pub(crate) fn closed(&mut self) {
        self.open = false;
        self.unanswered.clear();
    }

    /// Takes a request. Returns the commands to send now; without a connection there are none, and the
    /// names are asked for with the next one.
    pub(crate) fn request(&mut self, request: &Request) -> Vec<String> {
        let mut commands = Vec::new();
        for names in pieces(&request.names) {
            let added = match request.change {
                Change::Subscribe => self.wanted.add(&names),
                Change::Unsubscribe => {
                    self.wanted.remove(&names);
                    Names::default()
                }
            };
            if self.open {
                commands.push(self.command(request.change, Some(request.id), names, added));
            }
        }
        commands
    }

    fn command(
        &mut self,
        change: Change,
        request: Option<u64>,
        names: Names,
        added: Names,
    ) -> String {
        self.sent += 1;
        let number = self.sent;
        self.unanswered.push_back(Unanswered { number, request, change, added });
        let id = Some(number);
        let command = match change {
            Change::Subscribe => {
                let snapshot = self.snapshot;
                Command::Subscribe(Subscription { names, snapshot, id, ..Subscription::default() })
            }
            Change::Unsubscribe => {
                Command::Unsubscribe(Subscription { names, id, ..Subscription::default() })
            }
        };
        let mut text = Vec::new();
        command.write_json(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// A message from the hub; what it says is appended to `events`.
    ///
    /// # Errors
    /// If it cannot be understood. Nothing of it has been taken then.
    pub(crate) fn message(
        &mut self,
        bytes: &[u8],
        encoding: Encoding,
        events: &mut Vec<Event>,
    ) -> Result<(), DecodeError> {
        let elements = decode_message(bytes, encoding)?;
        events.reserve(elements.len());
        for element in elements {
            match element {
                Element::Tick(tick) => self.tick(tick, events),
                Element::Control(control) => self.control(control, events),
            }
        }
        Ok(())
    }

    fn tick(&mut self, tick: Tick, events: &mut Vec<Event>) {
        let (topic, seq) = (Topic::of(&tick), tick.seq.0);
        let snapshot = self.in_snapshot;
        let seen = if snapshot {
            self.sequence.snapshot(topic, seq)
        } else {
            self.sequence.live(topic, seq)
        };
        match seen {
            Seen::InOrder => {}
            Seen::Gap { from, to } => {
                events.push(Event::Gap { topic, from: Seq(from), to: Seq(to) })
            }
            Seen::Stale { expected } => {
                events.push(Event::OutOfOrder { topic, seq: tick.seq, expected: Seq(expected) });
                return;
            }
        }
        events.push(Event::Tick { tick, snapshot });
    }

    fn control(&mut self, control: Control, events: &mut Vec<Event>) {
        match control {
            Control::Connected { epoch } => {
                if self.epoch.as_ref() != Some(&epoch) {
                    self.sequence.clear();
                    self.epoch = Some(epoch.clone());
                }
                events.push(Event::Connected { epoch });
            }
            Control::Subscription { id, names, total, .. } => {
                let answered = self.answered(id);
                let unsubscribed =
                    matches!(&answered, Some(command) if command.change == Change::Unsubscribe);
                if unsubscribed {
                    // Only now: ticks that were on their way have set bases again since.
                    self.sequence.retain(|topic| self.wanted.covers(topic));
                }
                let id = answered.and_then(|command| command.request);
                events.push(Event::Subscribed { id, names, total });
            }
            Control::Snapshot { .. } => self.in_snapshot = true,
            Control::Live => self.in_snapshot = false,
            Control::Error { code, detail, id } => {
                let answered = id.and_then(|id| self.answered(Some(id)));
                if let Some(command) = &answered {
                    self.wanted.remove(&command.added);
                }
                let id = answered.and_then(|command| command.request);
                events.push(Event::Error { code, detail, id });
            }
            Control::Feed { feed, state, since } => events.push(Event::Feed { feed, state, since }),
            Control::Heartbeat { .. }
            | Control::Gap { .. }
            | Control::Publishing { .. }
            | Control::Ack { .. } => {}
        }
    }

    fn answered(&mut self, number: Option<u64>) -> Option<Unanswered> {
        let index = self.unanswered.iter().position(|command| Some(command.number) == number)?;
        self.unanswered.remove(index)
    }
}

#[cfg(test)]
mod tests;
