//! Delivery: whether a session receives every tick or only the latest ones, and what happens when
//! it reads too slowly.
//!
//! Source: `docs/protocol/subscriber.md`, sections "Delivery modes" and "Slow readers".

mod group;
mod max_rate;

pub use group::DeliveryGroup;
pub(crate) use group::DeliveryGroups;
pub use max_rate::MaxRate;

use crate::word::wire_words;
use crate::{Channel, ValueError};

/// Which ticks of a subscription a session receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Delivery {
    /// Every tick, in the order in which the hub received them.
    #[default]
    Every,
    /// Only the newest tick of each topic, chosen when the session can receive it. Older ticks that
    /// are still unsent are skipped.
    Latest {
        /// How often the session receives new values; `None` for as often as its connection accepts
        /// them.
        max_rate: Option<MaxRate>,
    },
}

impl Delivery {
    /// Returns the delivery that applies to a channel. Corrections and cancels are always delivered
    /// [`Every`](Self::Every), because each of them is about another trade.
    #[must_use]
    pub const fn for_channel(self, channel: Channel) -> Self {
        match channel {
            Channel::Corrections | Channel::CancelErrors => Self::Every,
            _ => self,
        }
    }

    /// Combines the fields `delivery` and `max_rate`. Fails if there is a rate without `"latest"`.
    pub(crate) fn from_wire(
        word: Option<DeliveryWord>,
        max_rate: Option<MaxRate>,
    ) -> Result<Self, ValueError> {
        match (word, max_rate) {
            (Some(DeliveryWord::Latest), max_rate) => Ok(Self::Latest { max_rate }),
            (_, None) => Ok(Self::Every),
            (_, Some(_)) => {
                Err(ValueError::Invalid("allowed only with delivery \"latest\"".to_owned()))
            }
        }
    }

    /// Returns the fields `delivery` and `max_rate`. Both are absent for [`Every`](Self::Every),
    /// which is the default.
    pub(crate) const fn to_wire(self) -> (Option<DeliveryWord>, Option<MaxRate>) {
        match self {
            Self::Every => (None, None),
            Self::Latest { max_rate } => (Some(DeliveryWord::Latest), max_rate),
        }
    }
}

/// The value of the field `delivery`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryWord {
    Every,
    Latest,
}

wire_words!(pub(crate) DeliveryWord { Every = "every", Latest = "latest", });

/// What the hub does with a session that reads its [`Delivery::Every`] subscriptions too slowly:
/// the field `on_lag` of a subscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnLag {
    /// Closes the session with error 407; `"close"` on the wire.
    #[default]
    Close,
    /// Switches the session to [`Delivery::Latest`] and reports the ticks it lost as
    /// [`Control::Gap`](crate::Control::Gap); `"latest"` on the wire.
    Latest,
}

wire_words!(pub OnLag { Close = "close", Latest = "latest", });

#[cfg(test)]
mod tests {
    use crate::Command;

    #[test]
    fn delivery_and_on_lag_are_strings_in_both_encodings() {
        for key in ["delivery", "on_lag"] {
            let text = format!(r#"{{"action":"subscribe","{key}":1}}"#);
            let mut bytes = vec![0x82, 0xa6];
            bytes.extend_from_slice(b"action\xa9subscribe");
            bytes.push(0xa0 | u8::try_from(key.len()).unwrap());
            bytes.extend_from_slice(key.as_bytes());
            bytes.push(1);
            for error in [Command::from_json(text.as_bytes()), Command::from_msgpack(&bytes)] {
                let error = error.unwrap_err().to_string();
                assert!(error.contains(key), "{error}");
            }
        }
    }
}
