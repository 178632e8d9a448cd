//! What sessions say: the hub's own protocol, that of Alpaca, or anything, which is sent back.

use tickwire_protocol::{
    AlpacaCommand, AlpacaCommandError, Channel, Command, CommandError, Credentials, Encoding,
    ErrorCode, SubscribeRequest, SubscriptionSet,
};
use tungstenite::{Bytes, Message};

/// How a session speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionProtocol {
    /// The hub's own protocol, `/ws`: commands are JSON text or MessagePack, whatever the session gets.
    Tickwire,
    /// That of Alpaca's stock stream, `/v2/…`: commands are spelled as the session negotiated, whatever
    /// the frame says of them, and there may be several in a message. Its sessions are sent answers, errors
    /// and ticks, nothing else.
    Alpaca,
    /// Each message is sent back as it is: what suites that test a WebSocket server ask for.
    Echo,
}

/// What a message asks.
#[derive(Debug)]
pub(crate) enum Request {
    /// To be let in.
    Auth(Credentials),
    /// What a session is there for.
    Command(Box<Command>),
    /// Nothing that can be understood.
    Unreadable {
        /// The command's `id`, if that could be read.
        id: Option<u64>,
        code: ErrorCode,
        detail: String,
    },
}

impl Request {
    /// Reads a message of the hub's own protocol; those that the library deals with itself are none.
    pub(crate) fn read(message: &Message) -> Option<Self> {
        let command = match message {
            Message::Text(text) => Command::from_json(text.as_bytes()),
            Message::Binary(bytes) => Command::from_msgpack(bytes),
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

    /// Takes the first command out of a message of Alpaca's protocol.
    pub(crate) fn take_first(message: &mut Bytes, encoding: Encoding) -> Option<Self> {
        let mut commands = AlpacaCommand::decode_all(message, encoding);
        let first = commands.next()?;
        let rest = commands.rest().len();
        *message = message.slice(message.len() - rest..);
        Some(match first {
            Ok(AlpacaCommand::Auth(shown)) => Self::Auth(shown),
            Ok(AlpacaCommand::Subscribe(names)) => {
                Self::Command(Box::new(Command::Subscribe(naming(names))))
            }
            Ok(AlpacaCommand::Unsubscribe(names)) => {
                Self::Command(Box::new(Command::Unsubscribe(naming(names))))
            }
            Err(AlpacaCommandError { code, detail }) => Self::Unreadable { id: None, code, detail },
        })
    }

    /// The `id` to answer to.
    pub(crate) fn id(&self) -> Option<u64> {
        match self {
            Self::Unreadable { id, .. } => *id,
            Self::Auth(_) => None,
            Self::Command(command) => match &**command {
                Command::Subscribe(asked) | Command::Unsubscribe(asked) => asked.id,
                Command::List { id } => *id,
                _ => None,
            },
        }
    }
}

/// Who has trades gets what becomes of them.
fn naming(mut names: SubscriptionSet) -> SubscribeRequest {
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
    fn commands_of_a_message_are_taken_one_after_the_other() {
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
