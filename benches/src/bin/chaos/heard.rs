//! What a session is told, as far as it matters here.

use tickwire_protocol::{
    Control, DecodeError, Element, Encoding, ResumeOutcome, Tick, decode_message,
};

use crate::truth::Topic;

/// One element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    Connected {
        epoch: String,
    },
    Ack {
        resumed: Option<ResumeOutcome>,
        position: Option<u64>,
    },
    Gap {
        topic: Topic,
        from: Option<u64>,
        to: Option<u64>,
    },
    Snapshot {
        ticks: u64,
    },
    Live,
    Tick(Tick),
    /// Everything wanted up to here has been sent: at the end of a data message, or in a heartbeat.
    Position(u64),
    /// The hub refuses, or says that it has lost something.
    Error(String),
    /// Feed states, heartbeats without a position.
    Other,
}

/// Reads one message.
///
/// # Errors
/// Says which field of which element was wrong.
pub(crate) fn read(message: &[u8], encoding: Encoding) -> Result<Vec<Heard>, DecodeError> {
    Ok(decode_message(message, encoding)?.into_iter().map(heard).collect())
}

fn heard(element: Element) -> Heard {
    let control = match element {
        Element::Tick(tick) => return Heard::Tick(tick),
        Element::Control(control) => control,
    };
    match control {
        Control::Connected { epoch } => Heard::Connected { epoch: epoch.unwrap_or_default() },
        Control::Subscription { resumed, pos, .. } => Heard::Ack { resumed, position: pos },
        Control::Gap { channel, symbol, from, to, .. } => {
            Heard::Gap { topic: (channel, symbol), from, to }
        }
        Control::Snapshot { ticks } => Heard::Snapshot { ticks },
        Control::Live => Heard::Live,
        Control::Position { pos } | Control::Heartbeat { pos: Some(pos), .. } => {
            Heard::Position(pos)
        }
        Control::Error { code, detail, .. } => {
            Heard::Error(format!("{} {}", code.code(), detail.unwrap_or_default()))
        }
        Control::Feed { lost, .. } if lost > 0 => {
            Heard::Error(format!("{lost} ticks lost at the source, which waits"))
        }
        _ => Heard::Other,
    }
}
