//! What a session says: requests in, commands out.

use tickwire_protocol::{Command, Delivery, Names, Resume, ResumePoint, Subscription};

use super::Session;
use crate::Position;
use crate::wanted::{Before, How, Start, each};

/// What the application asks for.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) change: Change,
    pub(crate) names: Names,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Subscribe(How),
    Unsubscribe,
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
}

impl Session {
    /// Spells a command and notes that it has no answer.
    pub(super) fn command(
        &mut self,
        change: &Change,
        request: Option<u64>,
        names: Names,
        changed: Vec<Before>,
    ) -> String {
        self.sent += 1;
        let id = Some(self.sent);
        let (command, goes_back) = match change {
            Change::Subscribe(how) => {
                let subscription = self.subscription(how, names, id);
                let goes_back = subscription.resume.is_some() || subscription.replay.is_some();
                (Command::Subscribe(subscription), goes_back)
            }
            Change::Unsubscribe => {
                let subscription = Subscription { names, id, ..Subscription::default() };
                (Command::Unsubscribe(subscription), false)
            }
        };
        let (number, change) = (self.sent, change.clone());
        self.unanswered.push_back(Unanswered { number, request, change, changed, goes_back });
        let mut text = Vec::new();
        command.write_json(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    fn subscription(&self, how: &How, names: Names, id: Option<u64>) -> Subscription {
        let behind = match &how.start {
            Start::Begun => self.progress.position(),
            Start::Behind(position) => Some(position.clone()),
            Start::Now | Start::Replay(_) => None,
        };
        let replay = if let Start::Replay(replay) = how.start { Some(replay) } else { None };
        let is_every = |(channel, _)| how.delivery.on(channel) == Delivery::Every;
        let pos = each(&names).any(is_every);
        Subscription {
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
