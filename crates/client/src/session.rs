//! The client's side of the conversation, without a socket: messages in, events and commands out.

use std::collections::VecDeque;

use tickwire_protocol::{
    Command, Control, DecodeError, Delivery, Element, Encoding, Names, OnLag, Seq, Subscription,
    Tick, decode_message,
};

use crate::sequence::{Seen, Sequence};
use crate::wanted::{Before, Wanted, each, pieces};
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
    Subscribe(Delivery),
    Unsubscribe,
}

/// Everything that outlives a connection, and where the conversation on this one stands.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// Whether last values come first; `None` leaves it to the hub.
    snapshot: Option<bool>,
    /// What becomes of the session when it lags; `None` leaves it to the hub.
    on_lag: Option<OnLag>,
    /// What the application asked for: the same again on the next connection.
    wanted: Wanted,
    /// What the hub has acknowledged on this connection, and how it delivers it now.
    granted: Wanted,
    /// Whether all of `granted` is latest because the session lagged, so that a thousand gaps in a row
    /// do not look at all names each.
    degraded: bool,
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
    /// What the command changed of the wanted names: taken back if the hub refuses.
    changed: Vec<Before>,
}

impl Session {
    pub(crate) fn new(snapshot: Option<bool>, on_lag: Option<OnLag>) -> Self {
        Self { snapshot, on_lag, ..Self::default() }
    }

    /// Whether another request may come; while not, the driver leaves them in the queue.
    pub(crate) fn has_room(&self) -> bool {
        self.unanswered.len() < UNANSWERED_MAX
    }

    /// A connection is there. Returns the commands to send: everything wanted, again.
    pub(crate) fn opened(&mut self) -> Vec<String> {
        self.open = true;
        self.in_snapshot = false;
        // What was unsubscribed meanwhile may come back later; it has no past then.
        self.sequence.retain(|topic| self.wanted.covers(topic));
        let mut commands = Vec::new();
        for mode in self.wanted.modes() {
            let change = Change::Subscribe(mode.delivery);
            for names in pieces(&mode.names) {
                commands.push(self.command(change, None, names, Vec::new()));
            }
        }
        commands
    }

    /// The connection is gone.
    pub(crate) fn closed(&mut self) {
        self.open = false;
        self.unanswered.clear();
        (self.granted, self.degraded) = (Wanted::default(), false);
    }

    /// Takes a request. Returns the commands to send now; without a connection there are none, and the
    /// names are asked for with the next one.
    pub(crate) fn request(&mut self, request: &Request) -> Vec<String> {
        let mut commands = Vec::new();
        for names in pieces(&request.names) {
            let changed = match request.change {
                Change::Subscribe(delivery) => self.wanted.add(&names, delivery),
                Change::Unsubscribe => {
                    self.wanted.remove(&names);
                    Vec::new()
                }
            };
            if self.open {
                commands.push(self.command(request.change, Some(request.id), names, changed));
            }
        }
        commands
    }

    fn command(
        &mut self,
        change: Change,
        request: Option<u64>,
        names: Names,
        changed: Vec<Before>,
    ) -> String {
        self.sent += 1;
        let number = self.sent;
        self.unanswered.push_back(Unanswered { number, request, change, changed });
        let id = Some(number);
        let command = match change {
            Change::Subscribe(delivery) => {
                let (snapshot, on_lag) = (self.snapshot, self.on_lag);
                Command::Subscribe(Subscription {
                    names,
                    snapshot,
                    delivery,
                    on_lag,
                    id,
                    ..Subscription::default()
                })
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
            // Asked only where numbers jump, which they rarely do in delivery every.
            Seen::Gap { .. } if self.is_latest(&topic) => {}
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
            Control::Subscription { id, names, total, delivery, .. } => {
                let answered = self.answered(id);
                if let Some(command) = &answered {
                    self.grant(command.change, &names, delivery);
                }
                let id = answered.and_then(|command| command.request);
                events.push(Event::Subscribed { id, names, total, delivery });
            }
            Control::Gap { channel, symbol, from, to } => {
                self.lagged(Topic { symbol, channel }, from, to, events);
            }
            Control::Snapshot { .. } => self.in_snapshot = true,
            Control::Live => self.in_snapshot = false,
            Control::Error { code, detail, id } => {
                let answered = id.and_then(|id| self.answered(Some(id)));
                if let Some(Unanswered { change: Change::Subscribe(delivery), changed, .. }) =
                    &answered
                {
                    self.wanted.undo(changed, *delivery);
                }
                let id = answered.and_then(|command| command.request);
                events.push(Event::Error { code, detail, id });
            }
            Control::Feed { feed, state, since, .. } => {
                events.push(Event::Feed { feed, state, since })
            }
            Control::Heartbeat { .. }
            | Control::Position { .. }
            | Control::Publishing { .. }
            | Control::Ack { .. }
            | Control::Lost { .. } => {}
        }
    }

    /// Whether the hub may leave out ticks of a topic.
    fn is_latest(&self, topic: &Topic) -> bool {
        matches!(self.granted.delivery(topic), Some(Delivery::Latest { .. }))
    }

    /// The hub has acknowledged a command: `names` are what it changed.
    fn grant(&mut self, change: Change, names: &Names, delivery: Delivery) {
        let were_latest = self.latest_among(names);
        match change {
            Change::Subscribe(_) => {
                self.granted.add(names, delivery);
                self.degraded = false;
            }
            Change::Unsubscribe => {
                self.granted.remove(names);
                // Only now: ticks that were on their way have set bases again since.
                self.sequence.retain(|topic| self.wanted.covers(topic));
            }
        }
        for topic in were_latest {
            // What was left out is not missing, so the first of every tick sets the base.
            if !self.is_latest(&topic) {
                self.sequence.forget(&topic);
            }
        }
    }

    /// The topics of some names that are delivered latest.
    fn latest_among(&self, names: &Names) -> Vec<Topic> {
        let mut latest = Vec::new();
        for (channel, symbol) in each(names) {
            match symbol {
                Some(symbol) => latest.push(Topic { symbol, channel }),
                None => latest.extend(self.sequence.topics(channel)),
            }
        }
        latest.retain(|topic| self.is_latest(topic));
        latest
    }

    /// The hub names ticks that will not come, since this session lagged.
    fn lagged(
        &mut self,
        topic: Topic,
        from: Option<u64>,
        to: Option<u64>,
        events: &mut Vec<Event>,
    ) {
        let from = from.or_else(|| self.sequence.last(&topic).map(|last| last.saturating_add(1)));
        match to {
            Some(to) => self.sequence.skip(topic, to),
            None => self.sequence.forget(&topic),
        }
        if !std::mem::replace(&mut self.degraded, true) {
            self.granted.degrade();
        }
        events.push(Event::Lagged { topic, from: from.map(Seq), to: to.map(Seq) });
    }

    fn answered(&mut self, number: Option<u64>) -> Option<Unanswered> {
        let index = self.unanswered.iter().position(|command| Some(command.number) == number)?;
        self.unanswered.remove(index)
    }
}

#[cfg(test)]
mod tests;
