//! The commands of a session.

use tickwire_protocol::{
    Command, Delivery, Replay, ReplaySpeed, Resume, ResumePoint, SubscribeRequest, SubscriptionSet,
};

use super::Session;
use crate::Position;
use crate::subscriptions::{PreviousOptions, Start, SubscribeOptions, each_name, split_by_command};

/// A request of the application.
#[derive(Debug)]
pub(crate) struct Request {
    /// The number that [`Client::subscribe`](crate::Client::subscribe) returned for the request.
    pub(crate) id: u64,
    pub(crate) change: Change,
    pub(crate) names: SubscriptionSet,
}

/// What a request changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Subscribe(SubscribeOptions),
    Unsubscribe,
}

impl Change {
    /// Splits names into parts, one for each command. A replay at a finite speed is one command,
    /// since the hub plays one replay per session at a time.
    pub(super) fn split(&self, names: &SubscriptionSet) -> Vec<SubscriptionSet> {
        let has_finite_speed = matches!(
            self,
            Self::Subscribe(SubscribeOptions {
                start: Start::Replay(Replay { speed: ReplaySpeed::Factor(_), .. }),
                ..
            })
        );
        if has_finite_speed && names.total() > 0 && command_bytes(names) <= COMMAND_BYTES_MAX {
            return vec![names.clone()];
        }
        split_by_command(names)
    }
}

/// The longest command that a hub accepts, in bytes.
pub(crate) const COMMAND_BYTES_MAX: usize = 1 << 20;

/// Room for everything in a command except its names, in bytes.
const OPTIONS_BYTES: usize = 512;

/// Returns the length that a subscribe with these names has at most, in bytes.
pub(crate) fn command_bytes(names: &SubscriptionSet) -> usize {
    let mut text = Vec::new();
    let request = SubscribeRequest { names: names.clone(), ..SubscribeRequest::default() };
    Command::Subscribe(request).write_json(&mut text);
    text.len() + OPTIONS_BYTES
}

/// A command that the hub has not answered yet.
#[derive(Debug)]
pub(super) struct PendingCommand {
    /// The `id` on the wire. The application's own number would collide with commands after a
    /// reconnect.
    pub(super) number: u64,
    /// The number of the application's request that the command belongs to; `None` for a command
    /// that the session sends by itself after a reconnect.
    pub(super) request: Option<u64>,
    pub(super) change: Change,
    /// The names that the command has changed, to be reverted if the hub rejects it.
    pub(super) changed: Vec<PreviousOptions>,
    /// Whether the names start in the past.
    pub(super) starts_in_past: bool,
    /// The position after which the names continue; `None` if they do not resume.
    pub(super) after: Option<u64>,
}

impl PendingCommand {
    /// Returns where the names of a subscribe start; `None` for an unsubscribe.
    pub(super) const fn start(&self) -> Option<&Start> {
        match &self.change {
            Change::Subscribe(SubscribeOptions { start, .. }) => Some(start),
            Change::Unsubscribe => None,
        }
    }
}

impl Session {
    /// Returns a command as JSON, and records that it has no answer yet.
    pub(super) fn command(
        &mut self,
        change: &Change,
        request: Option<u64>,
        names: SubscriptionSet,
        changed: Vec<PreviousOptions>,
    ) -> String {
        self.sent += 1;
        let id = Some(self.sent);
        let (command, starts_in_past, after) = match change {
            Change::Subscribe(options) => {
                let after = self.resume_position(options);
                let subscribe = self.subscribe_request(options, names, id, after.clone());
                let starts_in_past = after.is_some() || subscribe.replay.is_some();
                (Command::Subscribe(subscribe), starts_in_past, after)
            }
            Change::Unsubscribe => {
                let unsubscribe = SubscribeRequest { names, id, ..SubscribeRequest::default() };
                (Command::Unsubscribe(unsubscribe), false, None)
            }
        };
        self.pending.push_back(PendingCommand {
            number: self.sent,
            request,
            change: change.clone(),
            changed,
            starts_in_past,
            after: after.map(|position| position.number),
        });
        let mut text = Vec::new();
        command.write_json(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Returns the position after which names with these options continue; `None` if they do not
    /// resume.
    fn resume_position(&self, options: &SubscribeOptions) -> Option<Position> {
        match &options.start {
            Start::Started => self.progress.position(),
            Start::After(position) => Some(position.clone()),
            Start::Now | Start::Replay(_) => None,
        }
    }

    fn subscribe_request(
        &self,
        options: &SubscribeOptions,
        names: SubscriptionSet,
        id: Option<u64>,
        after: Option<Position>,
    ) -> SubscribeRequest {
        let replay = if let Start::Replay(replay) = options.start { Some(replay) } else { None };
        let is_every = |(channel, _)| options.delivery.for_channel(channel) == Delivery::Every;
        let pos = each_name(&names).any(is_every);
        SubscribeRequest {
            snapshot: self.snapshot,
            delivery: options.delivery,
            on_lag: self.on_lag,
            pos,
            resume: after.map(resume),
            replay,
            names,
            id,
        }
    }
}

fn resume(Position { epoch, number }: Position) -> Resume {
    Resume { epoch: epoch.to_string(), point: ResumePoint::Position(number) }
}
