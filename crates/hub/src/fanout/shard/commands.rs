//! Subscribe, unsubscribe, list.

use tickwire_protocol::{
    Channel, Command, Control, Delivery, Encoding, ErrorCode, SubscribeRequest, Tick,
};

use super::super::latest::{RATES_MAX, TooManyRates};
use super::super::session::{Feed, Name};
use super::super::subscriber::{LaneId, Subscriber};
use super::super::topics::{LocalId, release_unused};
use super::super::{FrameBuf, Position, SessionId, frame};
use super::Shard;
use super::answers::Answer;
use super::delivery::conflates;
use super::write::CONTROL_WRITE_BYTES;

/// A command that is not done; nothing was changed.
pub(super) struct Refused {
    code: ErrorCode,
    detail: String,
}

/// A command would pass a limit.
pub(super) fn beyond(detail: impl Into<String>) -> Refused {
    Refused { code: ErrorCode::SymbolLimit, detail: detail.into() }
}

/// What a subscribe changes.
#[derive(Debug, Default)]
struct Change {
    /// Names the session does not have yet.
    added: Vec<LocalId>,
    /// Names it has with another delivery.
    moved: Vec<LocalId>,
    /// Channels whose `"*"` it does not have yet, or has with another delivery.
    wild: Vec<Channel>,
}

/// So many names or fewer are put into their place one by one; more are sorted in together.
const FEW: usize = 16;

impl Shard {
    /// Does what a session asks and queues the answer. Ticks of new names follow their ack and their
    /// snapshot; after the ack of an unsubscribe none of its names comes any more.
    pub fn command(&mut self, id: SessionId, command: &Command) {
        if self.hot[id.slot()].feed == Feed::Deaf {
            return; // it is ending
        }
        match command {
            Command::Subscribe(asked) => match self.subscribe(id, asked) {
                Ok(()) => {}
                Err(Refused { code, detail }) => self.refuse(id, asked.id, code, detail),
            },
            Command::Unsubscribe(asked) => self.unsubscribe(id, asked),
            Command::List { id: command } => {
                let (names, modes) = (self.names(id), self.modes(id));
                self.acknowledge(id, Answer { id: *command, names, modes, ..Answer::default() });
            }
            Command::Auth(_) => {
                self.control(
                    id,
                    &Control::Error {
                        code: ErrorCode::AlreadyAuthenticated,
                        detail: None,
                        id: None,
                    },
                );
            }
            Command::Publish(_) | Command::Report(_) => {
                let detail = "publishers connect to /publish".to_owned();
                self.refuse(id, None, ErrorCode::InvalidSyntax, detail);
            }
        }
    }

    /// Answers a command that is not done.
    pub fn refuse(&mut self, id: SessionId, command: Option<u64>, code: ErrorCode, detail: String) {
        if self.hot[id.slot()].feed == Feed::Deaf {
            return; // it is ending, and has been told why
        }
        self.control(id, &Control::Error { code, detail: Some(detail), id: command });
    }

    fn subscribe(&mut self, id: SessionId, asked: &SubscribeRequest) -> Result<(), Refused> {
        self.stop_needless_catch_up(id);
        let mut change = Change::default();
        let found = self.find_changes(id, asked, &mut change);
        in_order_once(&mut change.added);
        in_order_once(&mut change.moved);
        let allowed = found
            .and_then(|()| self.check_room(id, &change))
            .and_then(|()| self.check_ack(id, &change.added))
            .and_then(|()| self.check_replay(id, asked, &change));
        let room = allowed.and_then(|()| {
            self.lane(id, asked.delivery).map_err(|TooManyRates| {
                beyond(format!("at most {RATES_MAX} different rates in a session"))
            })
        });
        let lane = match room {
            Ok(lane) => lane,
            Err(refused) => {
                for topic in change.added {
                    self.release_topic(topic);
                }
                return Err(refused);
            }
        };
        self.make(id, &change, lane);
        let session = &mut self.sessions[id.slot()];
        session.on_lag = asked.on_lag.unwrap_or(session.on_lag);
        session.pos |= asked.pos;
        let Change { added, mut moved, wild } = change;
        let mut touched = added;
        touched.append(&mut moved);
        let mut names = self.names_of(&touched);
        for channel in &wild {
            names[*channel].all = true;
        }
        let begun = self.begin(id, asked, touched, wild);
        let (delivery, resumed, from) = (asked.delivery, begun.resumed, begun.from);
        let pos = begun.before_gaps(asked.resume.as_ref());
        let answer =
            Answer { id: asked.id, names, delivery, resumed, from, pos, ..Answer::default() };
        self.acknowledge(id, answer);
        self.controls(id, &begun.gaps);
        self.snapshot(id, &begun.fresh, &begun.fresh_wild, asked.snapshot);
        if pos.is_some()
            && let Some(Position(pos)) = self.position(id)
        {
            self.control(id, &Control::Position { pos });
        }
        Ok(())
    }

    fn check_replay(
        &self,
        id: SessionId,
        asked: &SubscribeRequest,
        change: &Change,
    ) -> Result<(), Refused> {
        let every = |channel: Channel| asked.delivery.for_channel(channel) == Delivery::Every;
        let mut names = change.added.iter().chain(&change.moved);
        let adds_every = change.wild.iter().any(|channel| every(*channel))
            || names.any(|topic| every(self.topics.get(*topic).key.1));
        match self.refuse_beside_replay(id, asked, adds_every) {
            None => Ok(()),
            Some(detail) => {
                Err(Refused { code: ErrorCode::InvalidSyntax, detail: detail.to_owned() })
            }
        }
    }

    /// What a command changes. Topics of new names are made where they do not exist.
    fn find_changes(
        &mut self,
        id: SessionId,
        asked: &SubscribeRequest,
        change: &mut Change,
    ) -> Result<(), Refused> {
        let feed = self.sessions[id.slot()].feed;
        for (channel, selection) in asked.names.iter() {
            let delivery = asked.delivery.for_channel(channel);
            for symbol in &selection.symbols {
                let topic = self.topics.wait_for((feed, channel, *symbol)).map_err(|_| {
                    let limit = self.limits.waiting_topics;
                    beyond(format!("names that have never ticked: at most {limit} are waited for"))
                })?;
                let session = &self.sessions[id.slot()];
                if session.find(topic).is_err() {
                    change.added.push(topic);
                } else if let Some(lane) = self.lane_of(id, topic)
                    && self.delivery(id, lane) != delivery
                {
                    change.moved.push(topic);
                }
            }
            let wild = self.sessions[id.slot()].wild[channel];
            if selection.all && wild.is_none_or(|lane| self.delivery(id, lane) != delivery) {
                change.wild.push(channel);
            }
        }
        Ok(())
    }

    /// Makes the change; what can be conflated goes into the lane.
    fn make(&mut self, id: SessionId, change: &Change, lane: LaneId) {
        let lane_of = |channel| if conflates(channel) { lane } else { LaneId::EVERY };
        self.take_from_wild(id, &change.added, &change.moved, lane_of);
        self.add_names(id, &change.added, lane_of);
        for topic in &change.moved {
            let (_, channel, _) = self.topics.get(*topic).key;
            self.move_name(id, *topic, lane_of(channel));
        }
        for channel in &change.wild {
            self.set_wild(id, *channel, Some(lane_of(*channel)));
        }
        self.note_names_beside_wild(id);
        self.drop_lanes(id);
    }

    fn check_room(&self, id: SessionId, change: &Change) -> Result<(), Refused> {
        let session = &self.sessions[id.slot()];
        let new_wild = change.wild.iter().filter(|channel| session.wild[**channel].is_none());
        let added = change.added.len() + new_wild.count();
        let (limit, has) = (self.limits.names_per_session, session.total());
        if has + added > limit {
            return Err(beyond(format!("{added} names beside {has}: at most {limit} a session")));
        }
        if self.stats.subscriptions + added > self.limits.names {
            return Err(beyond("the hub holds as many subscriptions as it may"));
        }
        Ok(())
    }

    fn add_names(&mut self, id: SessionId, added: &[LocalId], lane_of: impl Fn(Channel) -> LaneId) {
        for topic in added {
            let entry = self.topics.get_mut(*topic);
            let channel = entry.key.1;
            let at = u32::try_from(entry.subscribers.len()).expect("limits keep this small");
            entry.subscribers.push(Subscriber::new(id, lane_of(channel)));
            self.interest.touch(*topic);
            self.enter(id, lane_of(channel));
            let session = &mut self.sessions[id.slot()];
            session.totals[channel] += 1;
            let name = Name { topic: *topic, at };
            if added.len() > FEW {
                session.names.push(name);
            } else if let Err(place) = session.find(*topic) {
                session.names.insert(place, name);
            }
            if let Some(lane) = session.wild[channel] {
                self.unmark(id, lane, *topic); // the name beats "*" from now on
            }
        }
        let session = &mut self.sessions[id.slot()];
        if added.len() > FEW {
            session.names.sort_by_key(|name| name.topic); // mostly sorted already
            session.names.shrink_to_fit(); // sets rarely grow, and there are many sessions
        }
        self.stats.subscriptions += added.len();
    }

    fn unsubscribe(&mut self, id: SessionId, asked: &SubscribeRequest) {
        let session = &self.sessions[id.slot()];
        let mut removed = Vec::new();
        let mut wild = Vec::new();
        for (channel, selection) in asked.names.iter() {
            let keys = selection.symbols.iter().map(|symbol| (session.feed, channel, *symbol));
            let topics = keys.filter_map(|key| self.topics.find(&key));
            removed.extend(topics.filter(|topic| session.find(*topic).is_ok()));
            if selection.all && session.wild[channel].is_some() {
                wild.push(channel);
            }
        }
        in_order_once(&mut removed);
        let mut names = self.names_of(&removed);
        for channel in &wild {
            names[*channel].all = true;
        }
        self.leave_to_wild(id, &removed);
        self.remove_names(id, removed);
        self.forget_places(id, &wild);
        for channel in wild {
            self.set_wild(id, channel, None);
        }
        self.note_names_beside_wild(id);
        self.drop_lanes(id);
        self.acknowledge(id, Answer { id: asked.id, names, ..Answer::default() });
    }

    fn remove_names(&mut self, id: SessionId, mut removed: Vec<LocalId>) {
        if removed.is_empty() {
            return;
        }
        self.stats.subscriptions -= removed.len();
        removed.sort_unstable();
        for topic in &removed {
            self.remove_subscriber(id, *topic);
        }
        let session = &mut self.sessions[id.slot()];
        session.names.retain(|name| removed.binary_search(&name.topic).is_err());
        release_unused(&mut session.names);
    }

    /// Takes the session off a topic's list; the last of the list moves into its place.
    fn remove_subscriber(&mut self, id: SessionId, topic: LocalId) {
        let session = &mut self.sessions[id.slot()];
        let Ok(place) = session.find(topic) else { return };
        let at = session.names[place].at;
        let entry = self.topics.get_mut(topic);
        session.totals[entry.key.1] -= 1;
        let lane = entry.subscribers.swap_remove(at as usize).lane();
        release_unused(&mut entry.subscribers);
        self.interest.touch(topic);
        if let Some(moved) = entry.subscribers.get(at as usize) {
            let moved = &mut self.sessions[moved.session().slot()];
            if let Ok(place) = moved.find(topic) {
                moved.names[place].at = at;
            }
        }
        self.unmark(id, lane, topic);
        self.leave(id, lane);
        self.release_topic(topic);
    }

    /// Removes a topic that has no subscribers and has never ticked.
    fn release_topic(&mut self, topic: LocalId) {
        if let Some(change) = self.topics.release(topic) {
            self.interest.push(change);
        }
    }

    pub(super) fn forget_names(&mut self, id: SessionId) {
        let session = &self.sessions[id.slot()];
        let names = session.names.iter().map(|name| name.topic).collect();
        let wild = session.wild_channels();
        self.remove_names(id, names);
        for (channel, _) in wild {
            self.set_wild(id, channel, None);
        }
        self.drop_lanes(id);
    }

    /// Queues the last values of new names, marked as such; of new `"*"` only if asked for.
    fn snapshot(
        &mut self,
        id: SessionId,
        added: &[LocalId],
        wild: &[Channel],
        asked: Option<bool>,
    ) {
        let of_names = asked.unwrap_or(true) && !added.is_empty();
        let of_wild = asked == Some(true) && !wild.is_empty();
        if !of_names && !of_wild {
            return;
        }
        if of_wild {
            self.unmark_channels(id, wild);
        }
        let session = &self.sessions[id.slot()];
        let mut ticks = Vec::new();
        if of_wild {
            ticks.extend(self.last_values(session.feed, wild));
        }
        for topic in added {
            let topic = self.topics.get(*topic);
            let covered = of_wild && wild.contains(&topic.key.1);
            ticks.extend(self.last_value(topic).filter(|_| of_names && !covered));
        }
        let most = self.limits.message_bytes - 3;
        for frames in snapshot_frames(session.encoding, &ticks, most) {
            self.queue_frames(id, frames);
        }
    }
}

/// The frames of a snapshot, in pieces of one write each: what is not written yet then still counts
/// as pending, however large the snapshot is.
fn snapshot_frames(encoding: Encoding, ticks: &[&Tick], body_max: usize) -> Vec<Vec<u8>> {
    let control = |control: Control, frames: &mut Vec<u8>| {
        frame::write_message(encoding, frames, |out| control.write_message(encoding, out));
    };
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    control(Control::Snapshot { ticks: ticks.len() as u64 }, &mut piece);
    FrameBuf::default().write_ticks(encoding, ticks, body_max, |frame| {
        if piece.len() + frame.len() > CONTROL_WRITE_BYTES {
            pieces.push(std::mem::take(&mut piece));
        }
        piece.extend_from_slice(frame);
    });
    control(Control::Live, &mut piece);
    pieces.push(piece);
    pieces
}

/// Removes repetitions and keeps the order of first appearance.
pub(super) fn in_order_once(topics: &mut Vec<LocalId>) {
    let mut places: Vec<(LocalId, usize)> = topics.iter().copied().zip(0..).collect();
    places.sort_unstable();
    places.dedup_by_key(|(topic, _)| *topic);
    places.sort_unstable_by_key(|(_, place)| *place);
    topics.clear();
    topics.extend(places.into_iter().map(|(topic, _)| topic));
}
