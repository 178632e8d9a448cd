//! The client's side of the protocol, without a socket: messages in, events and commands out.
//!
//! A [`Session`] outlives its connections. The driver calls [`Session::on_open`] with each new
//! connection, [`Session::on_message`] with what it receives, [`Session::on_request`] with what the
//! application asks for, and [`Session::on_close`] when the connection is lost.

mod answers;
mod commands;

use std::collections::VecDeque;
use std::time::Duration;

use tickwire_protocol::{
    Control, DecodeError, Delivery, Element, Encoding, Feed, OnLag, Seq, SubscriptionSet, Tick,
    decode_message,
};

use self::answers::{Answer, LagRecovery};
use self::commands::PendingCommand;
pub(crate) use self::commands::{COMMAND_BYTES_MAX, Change, Request, command_bytes};
use crate::progress::Progress;
use crate::sequence::{SeqCheck, SequenceTracker};
use crate::subscriptions::{DesiredSubscriptions, Start};
use crate::{Event, Position, Topic};

/// The most commands without an answer; further requests wait in the application's queue.
const PENDING_MAX: usize = 1024;

/// The state of the protocol on the present connection, and the state that outlives connections.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// Whether a subscribe starts with a snapshot; `None` leaves it to the hub.
    snapshot: Option<bool>,
    /// What happens when the session lags; `None` leaves it to the hub.
    on_lag: Option<OnLag>,
    /// What the application has asked for; every connection subscribes to it.
    desired: DesiredSubscriptions,
    /// What the hub has acknowledged on this connection, with the present delivery.
    acknowledged: DesiredSubscriptions,
    /// Whether all of `acknowledged` has been downgraded to `latest` because the session lagged.
    /// Only the first of the gaps that the hub then sends has to change the names.
    is_downgraded: bool,
    /// `Some` while the session keeps its position because it lagged.
    lag: Option<LagRecovery>,
    /// Names whose subscribe was answered with a new epoch. Their gaps follow the answer; the first
    /// position after the gaps marks the names as started.
    awaiting_gaps: Vec<SubscriptionSet>,
    sequence: SequenceTracker,
    progress: Progress,
    /// Name and delay of the view, once the hub has reported them.
    view: Option<(String, Duration)>,
    /// Whether there is a connection to send commands on.
    is_open: bool,
    /// Whether received ticks belong to a snapshot.
    in_snapshot: bool,
    /// Commands without an answer, oldest first. Invariant: empty while not open.
    pending: VecDeque<PendingCommand>,
    /// Number of commands sent so far.
    sent: u64,
}

impl Session {
    pub(crate) fn new(snapshot: Option<bool>, on_lag: Option<OnLag>) -> Self {
        Self { snapshot, on_lag, ..Self::default() }
    }

    /// Returns whether another request can be handled. Otherwise the driver leaves it in the queue.
    pub(crate) fn has_room(&self) -> bool {
        self.pending.len() < PENDING_MAX
    }

    /// Handles a new connection. Returns the commands to send, which subscribe to everything again.
    pub(crate) fn on_open(&mut self) -> Vec<String> {
        self.is_open = true;
        self.in_snapshot = false;
        // A topic that was unsubscribed meanwhile and is subscribed to later starts without a past.
        self.sequence.on_reconnect(|topic| self.desired.covers(topic));
        let mut commands = Vec::new();
        for group in self.desired.groups() {
            let change = Change::Subscribe(group.options);
            for names in change.split(&group.names) {
                commands.push(self.command(&change, None, names, Vec::new()));
            }
        }
        commands
    }

    /// Handles the loss of the connection.
    pub(crate) fn on_close(&mut self) {
        self.is_open = false;
        self.pending.clear();
        self.acknowledged = DesiredSubscriptions::default();
        self.is_downgraded = false;
        self.lag = None;
        self.awaiting_gaps.clear();
    }

    /// Handles a request. Returns the commands to send now. Without a connection there are none,
    /// and the next connection subscribes to the names.
    pub(crate) fn on_request(&mut self, request: &Request) -> Vec<String> {
        let mut commands = Vec::new();
        for names in request.change.split(&request.names) {
            let changed = match &request.change {
                Change::Subscribe(options) => self.desired.add(&names, options),
                Change::Unsubscribe => {
                    self.desired.remove(&names);
                    Vec::new()
                }
            };
            if self.is_open {
                commands.push(self.command(&request.change, Some(request.id), names, changed));
            }
        }
        commands
    }

    /// Handles a message of the hub and appends the resulting events.
    ///
    /// # Errors
    /// Fails if the message cannot be decoded. The session has not changed then.
    pub(crate) fn on_message(
        &mut self,
        bytes: &[u8],
        encoding: Encoding,
        events: &mut Vec<Event>,
    ) -> Result<(), DecodeError> {
        let elements = decode_message(bytes, encoding)?;
        events.reserve(elements.len());
        for element in elements {
            match element {
                Element::Tick(tick) => self.on_tick(tick, events),
                Element::Control(control) => self.on_control(control, events),
            }
        }
        Ok(())
    }

    fn on_tick(&mut self, tick: Tick, events: &mut Vec<Event>) {
        let topic = Topic::of(&tick);
        let seq = tick.seq.0;
        let snapshot = self.in_snapshot;
        let check = if snapshot {
            self.sequence.check_snapshot(topic, seq)
        } else {
            self.sequence.check_live(topic, seq)
        };
        match check {
            SeqCheck::InOrder => {}
            // Looked up only if numbers jump, which is rare with delivery `every`.
            SeqCheck::Gap { .. } if self.is_latest(&topic) => {}
            SeqCheck::Gap { from, to } => {
                let from = Some(Seq(from));
                let to = Some(Seq(to));
                events.push(Event::Gap { topic, from, to });
            }
            SeqCheck::Repeated => return,
            SeqCheck::OutOfOrder { expected } => {
                events.push(Event::OutOfOrder { topic, seq: tick.seq, expected: Seq(expected) });
                return;
            }
        }
        events.push(Event::Tick { tick, snapshot });
    }

    fn on_control(&mut self, control: Control, events: &mut Vec<Event>) {
        match control {
            Control::Connected { epoch } => {
                let epoch = epoch.unwrap_or_default();
                let before = self.progress.position();
                let new_epoch = self.progress.set_epoch(&epoch);
                if new_epoch {
                    self.sequence.clear();
                    self.desired.restart_from(&before.map_or(Start::Now, Start::After));
                }
                events.push(Event::Connected { epoch, new_epoch });
            }
            Control::Subscription { id, names, total, delivery, pos, resumed, from, .. } => {
                let command = self.take_pending(id);
                let answer = Answer { delivery, pos, resumed };
                let position =
                    command.as_ref().and_then(|command| self.on_answer(command, &names, answer));
                let id = command.and_then(|command| command.request);
                events.push(Event::Subscribed { id, names, total, delivery, resumed, from });
                events.extend(position.map(Event::Position));
            }
            Control::Position { pos } | Control::Heartbeat { pos: Some(pos), .. } => {
                events.extend(self.on_position(pos).map(Event::Position));
            }
            Control::Gap { channel, symbol, from, to, lagged } => {
                events.extend(self.on_gap(Topic { symbol, channel }, from, to, lagged));
            }
            Control::Snapshot { .. } => self.in_snapshot = true,
            Control::Live => self.in_snapshot = false,
            Control::Error { code, detail, id } => {
                let id = id.and_then(|id| self.on_rejected(id));
                events.push(Event::Error { code, detail, id });
            }
            Control::Feed { feed, state, since, lost, view, delay_ms } => {
                events.extend(self.on_view(&feed, view, delay_ms));
                events.push(Event::Feed { feed, state, since, lost });
            }
            Control::Heartbeat { pos: None, .. }
            | Control::Authenticated
            | Control::Publishing { .. }
            | Control::Demand { .. }
            | Control::DemandByClient { .. }
            | Control::Ack { .. }
            | Control::Lost { .. } => {}
        }
    }

    /// Handles the view that a `feed` element describes. Returns it if it has changed.
    fn on_view(&mut self, feed: &Feed, name: Option<String>, delay_ms: u64) -> Option<Event> {
        let is_feed = name.is_none() && delay_ms == 0;
        let view = name.unwrap_or_else(|| feed.to_string());
        let delay = Duration::from_millis(delay_ms);
        let view = (view, delay);
        let is_known = self.view.as_ref().map_or(is_feed, |known| *known == view);
        self.view = Some(view.clone());
        (!is_known).then(|| Event::View { view: view.0, delay: view.1 })
    }

    /// Returns whether the hub may leave out ticks of a topic.
    fn is_latest(&self, topic: &Topic) -> bool {
        matches!(self.acknowledged.delivery(topic), Some(Delivery::Latest { .. }))
    }

    /// Handles a position that the hub reports. Returns the position to report to the application,
    /// if there is one.
    fn on_position(&mut self, pos: u64) -> Option<Position> {
        let covers_all = self.past_is_answered() && self.lag.is_none();
        if covers_all {
            for names in std::mem::take(&mut self.awaiting_gaps) {
                self.desired.mark_started(&names);
            }
        }
        self.progress.advance(pos, covers_all)
    }

    /// Handles a gap that the hub announces. The ticks before it have been received, so the gap
    /// begins after the last number of its topic, whatever the hub says.
    fn on_gap(
        &mut self,
        topic: Topic,
        from: Option<u64>,
        to: Option<u64>,
        lagged: bool,
    ) -> Option<Event> {
        let last = self.sequence.last(&topic);
        let from = last.map(|last| last.saturating_add(1)).or(from);
        let is_new = to.is_none() || to > last;
        match to {
            Some(to) => self.sequence.skip_to(topic, to),
            None => self.sequence.forget(&topic),
        }
        let from = from.map(Seq);
        let to = to.map(Seq);
        if !lagged {
            return is_new.then_some(Event::Gap { topic, from, to });
        }
        if !std::mem::replace(&mut self.is_downgraded, true) {
            self.acknowledged.downgrade_to_latest();
            self.lag = Some(LagRecovery::default());
        }
        Some(Event::Lagged { topic, from, to })
    }
}

#[cfg(test)]
mod tests;
