//! Messages from the hub, reduced to what the checks need.

use tickwire_protocol::{
    Control, DecodeError, Element, Encoding, ErrorCode, ResumeOutcome, Tick, decode_message,
};

use crate::oracle::Topic;

/// One element of a message from the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Received {
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
    /// Everything subscribed up to this position has been sent. At the end of a data message, or in
    /// a heartbeat.
    Position(u64),
    /// The error before a close because the session lags.
    SlowClient,
    /// Another error element, or a feed state that reports lost ticks.
    Error(String),
    /// An element that the checks ignore, such as a heartbeat without a position.
    Other,
}

/// Decodes one message.
///
/// # Errors
/// The message is invalid; the error names the element and its field.
pub(crate) fn read(message: &[u8], encoding: Encoding) -> Result<Vec<Received>, DecodeError> {
    Ok(decode_message(message, encoding)?.into_iter().map(received).collect())
}

fn received(element: Element) -> Received {
    let control = match element {
        Element::Tick(tick) => return Received::Tick(tick),
        Element::Control(control) => control,
    };
    match control {
        Control::Connected { epoch } => Received::Connected { epoch: epoch.unwrap_or_default() },
        Control::Subscription { resumed, pos, .. } => Received::Ack { resumed, position: pos },
        Control::Gap { channel, symbol, from, to, .. } => {
            Received::Gap { topic: (channel, symbol), from, to }
        }
        Control::Snapshot { ticks } => Received::Snapshot { ticks },
        Control::Live => Received::Live,
        Control::Position { pos } | Control::Heartbeat { pos: Some(pos), .. } => {
            Received::Position(pos)
        }
        Control::Error { code: ErrorCode::SlowClient, .. } => Received::SlowClient,
        Control::Error { code, detail, .. } => {
            Received::Error(format!("{} {}", code.code(), detail.unwrap_or_default()))
        }
        Control::Feed { lost, .. } if lost > 0 => Received::Error(format!(
            "{lost} ticks lost at the source, although it waits for the hub"
        )),
        _ => Received::Other,
    }
}
