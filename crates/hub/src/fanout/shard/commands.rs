//! Subscribe, unsubscribe, list.

use tickwire_protocol::{
    Channel, Command, Control, DecodeError, Delivery, Encoding, ErrorCode, Names, OnLag,
    PerChannel, Subscription, Tick,
};

use super::super::session::Name;
use super::super::topics::{LocalId, release_unused};
use super::super::{FrameBuf, SessionId, frame};
use super::Shard;
use super::write::CONTROL_WRITE_BYTES;

/// A command that would pass a limit; nothing was changed.
struct Refused(String);

/// So many names or fewer are put into their place one by one; more are sorted in together.
const FEW: usize = 16;

impl Shard {
    /// Does what a session asks and queues the answer. Ticks of new names follow their ack and their
    /// snapshot; after the ack of an unsubscribe none of its names comes any more.
    pub fn command(&mut self, id: SessionId, command: &Command) {
        if self.hot[id.slot()].deaf {
            return; // it is ending
        }
        match command {
            Command::Subscribe(asked) => match self.subscribe(id, asked) {
                Ok(()) => {}
                Err(Refused(detail)) => {
                    self.refuse(id, asked.id, ErrorCode::SymbolLimit, detail);
                }
            },
            Command::Unsubscribe(asked) => self.unsubscribe(id, asked),
            Command::List { id: command } => {
                let names = self.names(id);
                self.acknowledge(id, *command, names);
            }
            Command::Publish(_) => {
                let detail = "publishers connect to /publish".to_owned();
                self.refuse(id, None, ErrorCode::InvalidSyntax, detail);
            }
        }
    }

    /// Answers a message that could not be read as a command.
    pub fn reject(&mut self, id: SessionId, command: Option<u64>, problem: &DecodeError) {
        if self.hot[id.slot()].deaf {
            return; // it is ending, and has been told why
        }
        self.refuse(id, command, ErrorCode::InvalidSyntax, problem.to_string());
    }

    fn refuse(&mut self, id: SessionId, command: Option<u64>, code: ErrorCode, detail: String) {
        self.control(id, &Control::Error { code, detail: Some(detail), id: command });
    }

    fn subscribe(&mut self, id: SessionId, asked: &Subscription) -> Result<(), Refused> {
        let mut added = Vec::new();
        let found = self.find_new(id, &asked.names, &mut added);
        in_order_once(&mut added);
        let session = &self.sessions[id.slot()];
        let wild: Vec<Channel> = Channel::ALL
            .into_iter()
            .filter(|channel| asked.names[*channel].all && !session.wild[*channel])
            .collect();
        let room = found.and_then(|()| self.check_room(id, added.len() + wild.len()));
        if let Err(refused) = room {
            for topic in added {
                self.topics.release(topic);
            }
            return Err(refused);
        }
        self.add_names(id, &added);
        self.add_wild(id, &wild);
        let mut names = self.names_of(&added);
        for channel in &wild {
            names[*channel].all = true;
        }
        self.acknowledge(id, asked.id, names);
        self.snapshot(id, &added, &wild, asked.snapshot);
        Ok(())
    }

    /// The topics of the names that the session does not have yet, made where they do not exist.
    fn find_new(
        &mut self,
        id: SessionId,
        names: &Names,
        added: &mut Vec<LocalId>,
    ) -> Result<(), Refused> {
        let session = &self.sessions[id.slot()];
        for (channel, selection) in names.iter() {
            for symbol in &selection.symbols {
                let key = (session.feed, channel, *symbol);
                let topic = self.topics.wait_for(key).map_err(|_| {
                    let limit = self.limits.waiting_topics;
                    Refused(format!("names that have never ticked: at most {limit} are waited for"))
                })?;
                if session.find(topic).is_err() {
                    added.push(topic);
                }
            }
        }
        Ok(())
    }

    fn check_room(&self, id: SessionId, added: usize) -> Result<(), Refused> {
        let (limit, has) = (self.limits.names_per_session, self.sessions[id.slot()].total());
        if has + added > limit {
            return Err(Refused(format!("{added} names beside {has}: at most {limit} a session")));
        }
        if self.stats.subscriptions + added > self.limits.names {
            return Err(Refused("the hub holds as many subscriptions as it may".to_owned()));
        }
        Ok(())
    }

    fn add_names(&mut self, id: SessionId, added: &[LocalId]) {
        let session = &mut self.sessions[id.slot()];
        for topic in added {
            let entry = self.topics.get_mut(*topic);
            let at = u32::try_from(entry.subscribers.len()).expect("limits keep this small");
            entry.subscribers.push(id.0);
            session.totals[entry.key.1] += 1;
            let name = Name { topic: *topic, at };
            if added.len() > FEW {
                session.names.push(name);
            } else if let Err(place) = session.find(*topic) {
                session.names.insert(place, name);
            }
        }
        if added.len() > FEW {
            session.names.sort_by_key(|name| name.topic); // mostly sorted already
            session.names.shrink_to_fit(); // sets rarely grow, and there are many sessions
        }
        self.stats.subscriptions += added.len();
    }

    fn add_wild(&mut self, id: SessionId, channels: &[Channel]) {
        let session = &mut self.sessions[id.slot()];
        for channel in channels {
            session.wild[*channel] = true;
            session.totals[*channel] += 1;
            self.wild[usize::from(session.feed.0)][*channel].push(id.0);
        }
        self.stats.subscriptions += channels.len();
    }

    fn unsubscribe(&mut self, id: SessionId, asked: &Subscription) {
        let session = &self.sessions[id.slot()];
        let mut removed = Vec::new();
        let mut wild = Vec::new();
        for (channel, selection) in asked.names.iter() {
            let keys = selection.symbols.iter().map(|symbol| (session.feed, channel, *symbol));
            let topics = keys.filter_map(|key| self.topics.find(&key));
            removed.extend(topics.filter(|topic| session.find(*topic).is_ok()));
            if selection.all && session.wild[channel] {
                wild.push(channel);
            }
        }
        in_order_once(&mut removed);
        let mut names = self.names_of(&removed);
        for channel in &wild {
            names[*channel].all = true;
        }
        self.remove_names(id, removed);
        self.remove_wild(id, &wild);
        self.acknowledge(id, asked.id, names);
    }

    fn remove_names(&mut self, id: SessionId, mut removed: Vec<LocalId>) {
        if removed.is_empty() {
            return;
        }
        self.stats.subscriptions -= removed.len();
        removed.sort_unstable();
        for topic in &removed {
            self.detach(id, *topic);
        }
        let session = &mut self.sessions[id.slot()];
        session.names.retain(|name| removed.binary_search(&name.topic).is_err());
        release_unused(&mut session.names);
    }

    /// Takes the session off a topic's list; the last of the list moves into its place.
    fn detach(&mut self, id: SessionId, topic: LocalId) {
        let session = &mut self.sessions[id.slot()];
        let Ok(place) = session.find(topic) else { return };
        let at = session.names[place].at;
        let entry = self.topics.get_mut(topic);
        session.totals[entry.key.1] -= 1;
        entry.subscribers.swap_remove(at as usize);
        release_unused(&mut entry.subscribers);
        if let Some(moved) = entry.subscribers.get(at as usize) {
            let moved = &mut self.sessions[*moved as usize];
            if let Ok(place) = moved.find(topic) {
                moved.names[place].at = at;
            }
        }
        self.topics.release(topic);
    }

    fn remove_wild(&mut self, id: SessionId, channels: &[Channel]) {
        let session = &mut self.sessions[id.slot()];
        for channel in channels {
            session.wild[*channel] = false;
            session.totals[*channel] -= 1;
            let list = &mut self.wild[usize::from(session.feed.0)][*channel];
            if let Some(place) = list.iter().position(|slot| *slot == id.0) {
                list.swap_remove(place);
            }
        }
        self.stats.subscriptions -= channels.len();
    }

    pub(super) fn forget_names(&mut self, id: SessionId) {
        let session = &self.sessions[id.slot()];
        let names = session.names.iter().map(|name| name.topic).collect();
        let wild: Vec<Channel> = session.wild_channels().collect();
        self.remove_names(id, names);
        self.remove_wild(id, &wild);
    }

    /// Everything a session subscribes to.
    fn names(&self, id: SessionId) -> Names {
        let session = &self.sessions[id.slot()];
        let topics: Vec<LocalId> = session.names.iter().map(|name| name.topic).collect();
        let mut names = self.names_of(&topics);
        for channel in session.wild_channels() {
            names[channel].all = true;
        }
        names
    }

    fn names_of(&self, topics: &[LocalId]) -> Names {
        let mut names = Names::default();
        for topic in topics {
            let (_, channel, symbol) = self.topics.get(*topic).key;
            names[channel].symbols.push(symbol);
        }
        names
    }

    fn acknowledge(&mut self, id: SessionId, command: Option<u64>, names: Names) {
        let mut total = PerChannel::default();
        for (channel, count) in self.sessions[id.slot()].totals.iter() {
            total[channel] = u64::from(*count);
        }
        let ack = Control::Subscription {
            id: command,
            names: Box::new(names),
            total,
            delivery: Delivery::Every,
            on_lag: OnLag::Close,
            modes: Vec::new(),
        };
        self.control(id, &ack);
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
        let session = &self.sessions[id.slot()];
        let mut ticks = Vec::new();
        if of_wild {
            ticks.extend(self.last_values(session.feed, wild));
        }
        for topic in added {
            let topic = self.topics.get(*topic);
            let covered = of_wild && wild.contains(&topic.key.1);
            ticks.extend(topic.last.as_deref().filter(|_| of_names && !covered));
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
