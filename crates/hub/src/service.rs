//! What the sessions on `/ws` are served with.

use tickwire_protocol::{Command, CommandError, Control, Encoding};
use tungstenite::Message;

use crate::fanout::{FeedId, SessionId, Shard};
use crate::market::ShardHandle;
use crate::server::Shared;

/// What a session's messages mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// Each is a command of a subscriber, who is sent ticks.
    Ticks,
    /// Each is sent back as it is, on every path: what suites that test a WebSocket server ask for.
    Echo,
}

impl Service {
    /// Says hello to a new session.
    pub(crate) fn greet(self, shared: &Shared, core: &mut Shard, id: SessionId, feed: FeedId) {
        if self == Self::Ticks {
            core.control(id, &Control::Connected { epoch: Some(shared.epoch.clone()) });
            core.control(id, &shared.feeds.get(feed).element());
        }
    }

    /// Deals with a message; those that the library deals with itself are none.
    pub(crate) fn take(
        self,
        message: Message,
        core: &mut Shard,
        id: SessionId,
        shard: &ShardHandle,
    ) {
        match (self, message) {
            (Self::Ticks, Message::Text(text)) => {
                command(Command::from_json(text.as_bytes()), core, id, shard);
            }
            (Self::Ticks, Message::Binary(bytes)) => {
                command(Command::from_msgpack(&bytes), core, id, shard);
            }
            (Self::Echo, Message::Text(text)) => core.message(id, Encoding::Json, text.as_bytes()),
            (Self::Echo, Message::Binary(bytes)) => {
                core.message(id, Encoding::MsgpackArray, &bytes);
            }
            _ => {}
        }
    }
}

fn command(
    command: Result<Command, CommandError>,
    core: &mut Shard,
    id: SessionId,
    shard: &ShardHandle,
) {
    match command {
        Ok(command) => core.command(id, &command),
        Err(error) => {
            shard.metrics.refused_commands.add(1);
            core.reject(id, error.id, &error.problem);
        }
    }
}
