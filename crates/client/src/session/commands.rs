//! What a session says: requests in, commands out.

use tickwire_protocol::{
    Command, Delivery, Replay, ReplaySpeed, Resume, ResumePoint, SubscribeRequest, SubscriptionSet,
};

use super::Session;
use crate::Position;
use crate::wanted::{Before, How, Start, each, pieces};

/// What the application asks for.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) change: Change,
    pub(crate) names: SubscriptionSet,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Subscribe(How),
    Unsubscribe,
}

impl Change {
    /// Names in pieces, one for each command. A replay at a pace is one command, since the hub plays one
    /// at a time.
    pub(super) fn pieces(&self, names: &SubscriptionSet) -> Vec<SubscriptionSet> {
        let is_paced = matches!(
            self,
            Self::Subscribe(How {
                start: Start::Replay(Replay { speed: ReplaySpeed::Factor(_), .. }),
                ..
            })
        );
        if is_paced && names.total() > 0 && command_bytes(names) <= COMMAND_BYTES_MAX {
            return vec![names.clone()];
        }
        pieces(names)
    }
}

/// Longest command a hub takes.
pub(crate) const COMMAND_BYTES_MAX: usize = 1 << 20;

/// Room for everything in a command but its names.
const OPTIONS_BYTES: usize = 512;

/// How long a command with these names is at most.
pub(crate) fn command_bytes(names: &SubscriptionSet) -> usize {
    let mut text = Vec::new();
    let subscription = SubscribeRequest { names: names.clone(), ..SubscribeRequest::default() };
    Command::Subscribe(subscription).write_json(&mut text);
    text.len() + OPTIONS_BYTES
}

#[derive(Debug)]
pub(super) struct Unanswered {
    /// The number on the wire; the application's own would collide with those of reconnects.
    pub(super) number: u64,
    pub(super) request: Option<u64>,
    pub(super) change: Change,
    /// What the command changed of the wanted names: taken back if the hub refuses.
    pub(super) changed: Vec<Before>,
    /// Whether its names begin in the past.
    pub(super) goes_back: bool,
    /// The position behind which its names are to continue.
    pub(super) behind: Option<u64>,
}

impl Unanswered {
    /// Where the names of a subscribe begin.
    pub(super) const fn start(&self) -> Option<&Start> {
        match &self.change {
            Change::Subscribe(How { start, .. }) => Some(start),
            Change::Unsubscribe => None,
        }
    }
}

impl Session {
    /// Spells a command and notes that it has no answer.
    pub(super) fn command(
        &mut self,
        change: &Change,
        request: Option<u64>,
        names: SubscriptionSet,
        changed: Vec<Before>,
    ) -> String {
        self.sent += 1;
        let id = Some(self.sent);
        let (command, goes_back, behind) = match change {
            Change::Subscribe(how) => {
                let behind = self.behind(how);
                let subscription = self.subscription(how, names, id, behind.clone());
                let goes_back = behind.is_some() || subscription.replay.is_some();
                (Command::Subscribe(subscription), goes_back, behind)
            }
            Change::Unsubscribe => {
                let subscription = SubscribeRequest { names, id, ..SubscribeRequest::default() };
                (Command::Unsubscribe(subscription), false, None)
            }
        };
        let (number, change) = (self.sent, change.clone());
        let behind = behind.map(|position| position.number);
        let unanswered = Unanswered { number, request, change, changed, goes_back, behind };
        self.unanswered.push_back(unanswered);
        let mut text = Vec::new();
        command.write_json(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Where names are to continue.
    fn behind(&self, how: &How) -> Option<Position> {
        match &how.start {
            Start::Begun => self.progress.position(),
            Start::Behind(position) => Some(position.clone()),
            Start::Now | Start::Replay(_) => None,
        }
    }

    fn subscription(
        &self,
        how: &How,
        names: SubscriptionSet,
        id: Option<u64>,
        behind: Option<Position>,
    ) -> SubscribeRequest {
        let replay = if let Start::Replay(replay) = how.start { Some(replay) } else { None };
        let is_every = |(channel, _)| how.delivery.for_channel(channel) == Delivery::Every;
        let pos = each(&names).any(is_every);
        SubscribeRequest {
            snapshot: self.snapshot,
            delivery: how.delivery,
            on_lag: self.on_lag,
            pos,
            resume: behind.map(resume),
            replay,
            names,
            id,
        }
    }
}

fn resume(Position { epoch, number }: Position) -> Resume {
    Resume { epoch: epoch.to_string(), point: ResumePoint::Position(number) }
}
