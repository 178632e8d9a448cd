//! The client's side of the conversation, without a socket: messages in, events and commands out.

mod answers;
mod commands;

use std::collections::VecDeque;

use tickwire_protocol::{
    Control, DecodeError, Delivery, Element, Encoding, OnLag, Seq, SubscriptionSet, Tick,
    decode_message,
};

use self::answers::{Answer, Lag};
use self::commands::Unanswered;
pub(crate) use self::commands::{COMMAND_BYTES_MAX, Change, Request, command_bytes};
use crate::position::Progress;
use crate::sequence::{Seen, Sequence};
use crate::wanted::{Start, Wanted};
use crate::{Event, Topic};

/// Most commands the hub has not answered; more wait with the application.
const UNANSWERED_MAX: usize = 1024;

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
    lag: Option<Lag>,
    /// Names that were answered with another epoch: what they miss is being told. They have not begun
    /// until a position comes.
    beginning: Vec<SubscriptionSet>,
    sequence: Sequence,
    progress: Progress,
    /// Whether there is a connection to send commands on.
    open: bool,
    /// Whether the ticks that come are last values.
    in_snapshot: bool,
    /// Commands without an answer, oldest first. Invariant: empty while not open.
    unanswered: VecDeque<Unanswered>,
    sent: u64,
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
        self.sequence.hold(|topic| self.wanted.covers(topic));
        let mut commands = Vec::new();
        for group in self.wanted.groups() {
            let change = Change::Subscribe(group.how);
            for names in change.pieces(&group.names) {
                commands.push(self.command(&change, None, names, Vec::new()));
            }
        }
        commands
    }

    /// The connection is gone.
    pub(crate) fn closed(&mut self) {
        self.open = false;
        self.unanswered.clear();
        (self.granted, self.degraded, self.lag) = (Wanted::default(), false, None);
        self.beginning.clear();
    }

    /// Takes a request. Returns the commands to send now; without a connection there are none, and the
    /// names are asked for with the next one.
    pub(crate) fn request(&mut self, request: &Request) -> Vec<String> {
        let mut commands = Vec::new();
        for names in request.change.pieces(&request.names) {
            let changed = match &request.change {
                Change::Subscribe(how) => self.wanted.add(&names, how),
                Change::Unsubscribe => {
                    self.wanted.remove(&names);
                    Vec::new()
                }
            };
            if self.open {
                commands.push(self.command(&request.change, Some(request.id), names, changed));
            }
        }
        commands
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
                let (from, to) = (Some(Seq(from)), Some(Seq(to)));
                events.push(Event::Gap { topic, from, to });
            }
            Seen::Known => return,
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
                let epoch = epoch.unwrap_or_default();
                let before = self.progress.position();
                let anew = self.progress.connected(&epoch);
                if anew {
                    self.sequence.clear();
                    self.wanted.interrupt(&before.map_or(Start::Now, Start::Behind));
                }
                events.push(Event::Connected { epoch, anew });
            }
            Control::Subscription { id, names, total, delivery, pos, resumed, from, .. } => {
                let answered = self.answered(id);
                let answer = Answer { delivery, pos, resumed };
                let position =
                    answered.as_ref().and_then(|command| self.grant(command, &names, answer));
                let id = answered.and_then(|command| command.request);
                events.push(Event::Subscribed { id, names, total, delivery, resumed, from });
                events.extend(position.map(Event::Position));
            }
            Control::Position { pos } | Control::Heartbeat { pos: Some(pos), .. } => {
                let known = self.is_answered() && self.lag.is_none();
                if known {
                    for names in std::mem::take(&mut self.beginning) {
                        self.wanted.begin(&names);
                    }
                }
                events.extend(self.progress.told(pos, known).map(Event::Position));
            }
            Control::Gap { channel, symbol, from, to, lagged } => {
                events.extend(self.gap(Topic { symbol, channel }, from, to, lagged));
            }
            Control::Snapshot { .. } => self.in_snapshot = true,
            Control::Live => self.in_snapshot = false,
            Control::Error { code, detail, id } => {
                let id = id.and_then(|id| self.refused(id));
                events.push(Event::Error { code, detail, id });
            }
            Control::Feed { feed, state, since, lost } => {
                events.push(Event::Feed { feed, state, since, lost });
            }
            Control::Heartbeat { pos: None, .. }
            | Control::Authenticated
            | Control::Publishing { .. }
            | Control::Demand { .. }
            | Control::Ack { .. }
            | Control::Lost { .. } => {}
        }
    }

    /// Whether the hub may leave out ticks of a topic.
    fn is_latest(&self, topic: &Topic) -> bool {
        matches!(self.granted.delivery(topic), Some(Delivery::Latest { .. }))
    }

    /// The hub names ticks that will not come. Those before them have come, so what is missing
    /// begins behind the last number seen, whatever the hub says.
    fn gap(
        &mut self,
        topic: Topic,
        from: Option<u64>,
        to: Option<u64>,
        lagged: bool,
    ) -> Option<Event> {
        let last = self.sequence.last(&topic);
        let from = last.map(|last| last.saturating_add(1)).or(from);
        let is_news = to.is_none() || to > last;
        match to {
            Some(to) => self.sequence.skip(topic, to),
            None => self.sequence.forget(&topic),
        }
        let (from, to) = (from.map(Seq), to.map(Seq));
        if !lagged {
            return is_news.then_some(Event::Gap { topic, from, to });
        }
        if !std::mem::replace(&mut self.degraded, true) {
            self.granted.degrade();
            self.lag = Some(Lag::default());
        }
        Some(Event::Lagged { topic, from, to })
    }
}

#[cfg(test)]
mod tests;
