//! Commands over many topics: they are carried out in pieces, and other sessions get their turns in
//! between.
//!
//! The outcome is that of a command carried out at once when it arrives. For that, the session is
//! held: until the answer, the shard sends it only ticks that were already pending, and its next
//! commands wait. Its subscriptions to every tick continue from there by a cursor over the log, as
//! if the session caught up.
//!
//! Up to four commands run at a time and take turns piece by piece. A client has a share of these
//! places, and clients take turns for places that become free.

mod begin_topics;
mod hold;
mod snapshot_frames;
mod subscribe;
mod subscribe_progress;
mod topic_scan;
mod unsubscribe;

use std::collections::VecDeque;

use tickwire_protocol::{Command, ResumePoint, SubscribeRequest};

use super::super::client_queue::ClientQueue;
use super::super::{ClientId, SessionId};
use super::Shard;
use super::refusal::Refusal;
use super::shared_limit::SharedLimit;
use subscribe_progress::SubscribeProgress;
use unsubscribe::UnsubscribeProgress;

pub(super) use snapshot_frames::SnapshotFrames;

/// Number of commands that run at a time. Each holds the frames of its answer.
const RUNNING_MAX: usize = 4;
/// Largest sum of the names of long commands that have not ended. Sessions of a client that holds
/// its share of it are not read: a name takes some 30 bytes.
const NAMES_MAX: usize = 1 << 21;

/// A command over many topics.
#[derive(Debug)]
struct LongCommand {
    id: SessionId,
    client: Option<ClientId>,
    /// Number of names in the command, those to resume included.
    names: usize,
    progress: Progress,
}

#[derive(Debug)]
enum Progress {
    Subscribe(Box<SubscribeProgress>),
    Unsubscribe(Box<UnsubscribeProgress>),
}

/// The state of a command after one of its pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// There is more to do.
    Partial,
    /// The command has been answered.
    Last,
}

/// The commands over many topics that have not ended.
#[derive(Debug)]
pub(super) struct LongCommands {
    /// The commands that take turns, the next one first.
    running: VecDeque<LongCommand>,
    /// The commands that wait for a place.
    waiting: ClientQueue<LongCommand>,
    places: SharedLimit,
    names: SharedLimit,
}

impl Default for LongCommands {
    fn default() -> Self {
        Self {
            running: VecDeque::new(),
            waiting: ClientQueue::default(),
            places: SharedLimit::new(RUNNING_MAX),
            names: SharedLimit::new(NAMES_MAX),
        }
    }
}

impl LongCommands {
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    /// Returns the number of commands.
    fn len(&self) -> usize {
        self.running.len() + self.waiting.len()
    }

    /// Returns whether a client may send a further command: the names of its long commands do not
    /// exceed its share.
    pub(super) fn may_add(&self, client: Option<ClientId>) -> bool {
        self.names.check(client, 1).is_ok()
    }

    fn add(&mut self, command: LongCommand) {
        self.names.add(command.client, command.names);
        self.waiting.push(command.client, command);
    }

    /// Takes the command whose turn it is, after filling free places.
    fn take_next(&mut self) -> Option<LongCommand> {
        while self.running.len() < RUNNING_MAX
            && let Some(command) =
                self.waiting.pop_if(|client| self.places.check(client, 1).is_ok())
        {
            self.places.add(command.client, 1);
            self.running.push_back(command);
        }
        self.running.pop_front()
    }

    fn release(&mut self, command: &LongCommand) {
        self.places.remove(command.client, 1);
        self.names.remove(command.client, command.names);
    }

    /// Drops the command of a session of a client.
    fn cancel(&mut self, id: SessionId, client: Option<ClientId>) {
        let of_session =
            |commands: &VecDeque<LongCommand>| commands.iter().position(|command| command.id == id);
        if let Some(at) = of_session(&self.running)
            && let Some(command) = self.running.remove(at)
        {
            self.release(&command);
        } else if let Some(command) = self.waiting.remove(client, of_session) {
            self.names.remove(command.client, command.names);
        }
    }
}

impl Shard {
    /// Begins a command in pieces if it concerns many topics. Returns whether it did.
    ///
    /// # Errors
    /// Fails if the session's state does not allow the command.
    pub(super) fn begin_long(&mut self, id: SessionId, command: &Command) -> Result<bool, Refusal> {
        let piece = self.limits.topics_per_piece;
        let (names, progress) = match command {
            Command::Subscribe(request) if self.is_long_subscribe(request) => {
                let progress = self.begin_subscribe(id, request)?;
                (
                    request.names.total() + resumed_names(request),
                    Progress::Subscribe(Box::new(progress)),
                )
            }
            Command::Unsubscribe(request) if request.names.total() > piece => {
                let progress = UnsubscribeProgress::new(request);
                (request.names.total(), Progress::Unsubscribe(Box::new(progress)))
            }
            _ => return Ok(false),
        };
        self.hold(id);
        let client = self.sessions[id].client;
        self.long_commands.add(LongCommand { id, client, names, progress });
        Ok(true)
    }

    fn is_long_subscribe(&self, request: &SubscribeRequest) -> bool {
        let piece = self.limits.topics_per_piece;
        let has_wildcard = request.names.iter().any(|(_, selection)| selection.all);
        let may_visit_all = request.resume.is_some() || request.snapshot == Some(true);
        request.names.total() > piece || has_wildcard && may_visit_all && self.topics.len() > piece
    }

    /// Returns whether a command over many topics is in progress for a session. Its next commands
    /// wait until then.
    #[must_use]
    pub fn has_long_command(&self, id: SessionId) -> bool {
        self.sessions.get(id).is_some_and(|session| session.held_at.is_some())
    }

    /// Returns the number of commands over many topics that are in progress.
    #[must_use]
    pub fn long_commands(&self) -> usize {
        self.long_commands.len()
    }

    /// Carries out one piece of a command. Returns whether there was one.
    pub(super) fn continue_command(&mut self) -> bool {
        if !self.may_answer() {
            return false;
        }
        let Some(mut command) = self.long_commands.take_next() else { return false };
        let id = command.id;
        let piece = match &mut command.progress {
            Progress::Subscribe(progress) => self.continue_subscribe(id, progress),
            Progress::Unsubscribe(progress) => self.continue_unsubscribe(id, progress),
        };
        match piece {
            Piece::Partial => self.long_commands.running.push_back(command),
            Piece::Last => {
                self.long_commands.release(&command);
                self.release_hold(id);
            }
        }
        true
    }

    /// Returns whether commands may be answered: the control frames of all sessions do not exceed
    /// their limit.
    pub(super) const fn may_answer(&self) -> bool {
        self.stats.control_bytes <= self.limits.total_control_bytes
    }

    /// Drops the command of a session that ends.
    pub(super) fn cancel_command(&mut self, id: SessionId) {
        if self.sessions[id].held_at.take().is_some() {
            self.long_commands.cancel(id, self.sessions[id].client);
        }
    }
}

/// Returns the number of names that a command gives a sequence number.
fn resumed_names(request: &SubscribeRequest) -> usize {
    match request.resume.as_ref().map(|resume| &resume.point) {
        Some(ResumePoint::After(after)) => after.iter().map(|(_, names)| names.len()).sum(),
        Some(ResumePoint::Position(_)) | None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(id: u32, client: u32) -> LongCommand {
        let progress = UnsubscribeProgress::new(&SubscribeRequest::default());
        LongCommand {
            id: SessionId(id),
            client: Some(ClientId(client)),
            names: 1,
            progress: Progress::Unsubscribe(Box::new(progress)),
        }
    }

    #[test]
    fn client_with_many_commands_leaves_a_place_to_others() {
        let mut commands = LongCommands::default();
        (0..40).for_each(|id| commands.add(command(id, 1)));
        let mut running = Vec::new();
        for _ in 0..4 {
            let next = commands.take_next().unwrap();
            running.push(next.id.0);
            commands.running.push_back(next);
        }
        assert_eq!(running, [0, 1, 0, 1]);
        commands.add(command(40, 2));
        let next: Vec<_> = (0..3).map(|_| commands.take_next().unwrap().id.0).collect();
        assert_eq!(next, [0, 1, 40]);
    }

    #[test]
    fn free_place_goes_to_the_client_that_has_waited_longest() {
        let mut commands = LongCommands::default();
        (0..10).for_each(|id| commands.add(command(id, 1)));
        (10..20).for_each(|id| commands.add(command(id, 2)));
        (20..30).for_each(|id| commands.add(command(id, 3)));
        let mut take = || {
            let next = commands.take_next().unwrap();
            let id = next.id.0;
            match id {
                10 | 11 => commands.release(&next), // it has ended
                _ => commands.running.push_back(next),
            }
            if id == 10 {
                commands.add(command(30, 4));
            }
            id
        };
        let taken: Vec<u32> = (0..10).map(|_| take()).collect();
        assert_eq!(taken, [0, 10, 20, 0, 1, 11, 20, 0, 1, 30]);
    }
}
