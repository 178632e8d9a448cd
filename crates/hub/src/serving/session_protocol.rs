//! The protocols of subscriber sessions, and how their messages are decoded.

use bytes::Bytes;
use tickwire_protocol::{
    AlpacaCommand, AlpacaCommandError, Channel, Command, CommandError, Credentials, Encoding,
    ErrorCode, SubscribeRequest, SubscriptionSet,
};

use crate::websocket::Message;

/// The protocol of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionProtocol {
    /// The hub's own protocol, at `/ws`. Text messages are JSON commands and binary messages are
    /// MessagePack commands, independent of the session's encoding.
    Tickwire,
    /// The protocol of Alpaca's stock stream, at `/v2/{view}`. Commands have the session's
    /// encoding, in text and binary messages alike, and one message may contain several. The
    /// session is sent answers, errors and ticks, but no heartbeats or feed states.
    Alpaca,
    /// Sends back each message, for conformance tests of the WebSocket server.
    Echo,
}

/// A decoded command of a session.
#[derive(Debug)]
pub(crate) enum Request {
    /// Authentication.
    Auth(Credentials),
    /// Any other command.
    Command(Box<Command>),
    /// A command that cannot be decoded. `code` and `detail` are the error to answer with.
    Unreadable {
        /// The command's `id`, if it could be decoded.
        id: Option<u64>,
        code: ErrorCode,
        detail: String,
    },
}

impl Request {
    /// Decodes a message of the hub's own protocol. `None` for control frames, which the
    /// connection handles.
    pub(crate) fn read(message: &Message) -> Option<Self> {
        let command = match message {
            Message::Text(text) => Command::from_json(&text.bytes),
            Message::Binary(binary) => Command::from_msgpack(&binary.bytes),
            _ => return None,
        };
        Some(match command {
            Ok(Command::Auth(shown)) => Self::Auth(shown),
            Ok(command) => Self::Command(Box::new(command)),
            Err(CommandError { id, problem }) => {
                Self::Unreadable { id, code: ErrorCode::InvalidSyntax, detail: problem.to_string() }
            }
        })
    }

    /// Removes the first command from a message of Alpaca's protocol, and decodes it. `None` if the
    /// message contains no further command.
    pub(crate) fn take_first(message: &mut Bytes, encoding: Encoding) -> Option<Self> {
        let mut commands = AlpacaCommand::decode_all(message, encoding);
        let first = commands.next()?;
        let rest = commands.rest().len();
        *message = message.slice(message.len() - rest..);
        Some(match first {
            Ok(AlpacaCommand::Auth(shown)) => Self::Auth(shown),
            Ok(AlpacaCommand::Subscribe(names)) => {
                Self::Command(Box::new(Command::Subscribe(subscription_to(names))))
            }
            Ok(AlpacaCommand::Unsubscribe(names)) => {
                Self::Command(Box::new(Command::Unsubscribe(subscription_to(names))))
            }
            Err(AlpacaCommandError { code, detail }) => Self::Unreadable { id: None, code, detail },
        })
    }

    /// Returns the `id` that the answer has to repeat, if the request has one.
    pub(crate) fn id(&self) -> Option<u64> {
        match self {
            Self::Unreadable { id, .. } => *id,
            Self::Auth(_) => None,
            Self::Command(command) => command.id(),
        }
    }
}

/// Returns a subscription to names in Alpaca's protocol. A subscription to trades includes their
/// corrections and cancels.
fn subscription_to(mut names: SubscriptionSet) -> SubscribeRequest {
    for channel in [Channel::Corrections, Channel::CancelErrors] {
        names[channel] = names[Channel::Trades].clone();
    }
    SubscribeRequest { names, snapshot: Some(false), ..SubscribeRequest::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrections_and_cancels_follow_trades() {
        let mut message = Bytes::from_static(
            br#"{"action":"subscribe","trades":["AAPL","*"],"quotes":["MSFT"]}"#,
        );
        let Some(Request::Command(command)) = Request::take_first(&mut message, Encoding::Json)
        else {
            panic!("not a command");
        };
        let Command::Subscribe(asked) = *command else { panic!("not a subscribe") };
        assert_eq!(asked.names[Channel::Corrections], asked.names[Channel::Trades]);
        assert_eq!(asked.names[Channel::CancelErrors], asked.names[Channel::Trades]);
        assert_eq!(asked.names.total(), 7);
        assert_eq!(asked.snapshot, Some(false));
        assert!(message.is_empty());
    }

    #[test]
    fn commands_of_a_message_are_decoded_one_by_one() {
        let text =
            br#"{"action":"subscribe","trades":["A"]} {"action":"auth","key":"k","secret":"s"}
            {"action":"unsubscribe","trades":["A"]}"#;
        let mut message = Bytes::from_static(text);
        let is_subscribe = |command: &Command| matches!(command, Command::Subscribe(_));
        let mut next = || Request::take_first(&mut message, Encoding::Json);
        assert!(matches!(next(), Some(Request::Command(asked)) if is_subscribe(&asked)));
        assert!(matches!(next(), Some(Request::Auth(shown)) if shown.id == "k"));
        assert!(matches!(next(), Some(Request::Command(asked)) if !is_subscribe(&asked)));
        assert!(message.is_empty());
    }
}
