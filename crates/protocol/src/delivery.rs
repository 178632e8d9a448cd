//! How ticks are delivered: every one, or only the newest of each topic.

use std::fmt;

use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Channel, SubscriptionSet, ValueError};

/// Most groups of names in an answer to `list`. A session has fewer, for want of rates.
const MODES_MAX: usize = 64;

/// Which ticks of a name a session is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Delivery {
    /// Every tick, in the order in which the hub took them.
    #[default]
    Every,
    /// Only the newest tick of each topic, as it is when the session can take it.
    Latest {
        /// At most so many slots per second; without it, as fast as the socket takes it.
        max_rate: Option<MaxRate>,
    },
}

/// The word of a delivery on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub(crate) enum DeliveryWord {
    Every,
    Latest,
}

/// Read from a string, since a MessagePack reader would take a number for a variant too.
impl TryFrom<String> for DeliveryWord {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        match word.as_str() {
            "every" => Ok(Self::Every),
            "latest" => Ok(Self::Latest),
            _ => Err(unknown(&word, "every", "latest")),
        }
    }
}

fn unknown(word: &str, one: &str, other: &str) -> String {
    let shown: String = word.chars().take(32).collect();
    format!("{shown:?}: expected {one:?} or {other:?}")
}

impl Delivery {
    /// What becomes of it on a channel: corrections and cancels are news each, and always come all.
    #[must_use]
    pub const fn for_channel(self, channel: Channel) -> Self {
        match channel {
            Channel::Corrections | Channel::CancelErrors => Self::Every,
            _ => self,
        }
    }

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

    /// Its word, absent for the default, and its rate.
    pub(crate) const fn to_wire(self) -> (Option<DeliveryWord>, Option<MaxRate>) {
        match self {
            Self::Every => (None, None),
            Self::Latest { max_rate } => (Some(DeliveryWord::Latest), max_rate),
        }
    }
}

/// Slots per second of a session with delivery `latest`: 0.1 to 1000, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaxRate(
    /// Thousandths of a slot per second.
    u32,
);

impl MaxRate {
    /// The slowest: one slot in ten seconds.
    pub const MIN: Self = Self(100);
    /// The fastest: a slot each millisecond.
    pub const MAX: Self = Self(1_000_000);

    /// Takes slots per second, rounded to thousandths.
    ///
    /// # Errors
    /// If the number is not within 0.1 to 1000.
    pub fn per_second(rate: f64) -> Result<Self, ValueError> {
        if !(Self::MIN.as_f64()..=Self::MAX.as_f64()).contains(&rate) {
            let (min, max) = (Self::MIN, Self::MAX);
            return Err(ValueError::Invalid(format!("{rate} a second: expected {min} to {max}")));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "100 to 1,000,000, checked above"
        )]
        Ok(Self((rate * 1000.0).round() as u32))
    }

    /// The time from slot to slot, in nanoseconds, rounded down.
    #[must_use]
    pub const fn interval_ns(self) -> u64 {
        1_000_000_000_000 / self.0 as u64
    }

    /// Slots per second.
    #[must_use]
    pub const fn as_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl fmt::Display for MaxRate {
    /// Slots per second, as short as can be: `10`, `0.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_f64(), f)
    }
}

impl Serialize for MaxRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 % 1000 {
            0 => serializer.serialize_u32(self.0 / 1000),
            _ => serializer.serialize_f64(self.as_f64()),
        }
    }
}

impl<'de> Deserialize<'de> for MaxRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::per_second(f64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// What becomes of a session with delivery `every` that reads too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum OnLag {
    /// It is closed, with error 407.
    #[default]
    Close,
    /// Its names turn to delivery `latest`, and what it lost is named by [`Control::Gap`].
    ///
    /// [`Control::Gap`]: crate::Control::Gap
    Latest,
}

impl TryFrom<String> for OnLag {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        match word.as_str() {
            "close" => Ok(Self::Close),
            "latest" => Ok(Self::Latest),
            _ => Err(unknown(&word, "close", "latest")),
        }
    }
}

/// Names of a session that are delivered in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryGroup {
    /// How.
    pub delivery: Delivery,
    /// Which.
    pub names: SubscriptionSet,
}

impl Serialize for DeliveryGroup {
    /// A map of the channels that are not empty, and how they are delivered.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (word, max_rate) = self.delivery.to_wire();
        let word = word.unwrap_or(DeliveryWord::Every);
        let used = || self.names.iter().filter(|(_, selection)| !selection.is_empty());
        let len = used().count() + 1 + usize::from(max_rate.is_some());
        let mut map = serializer.serialize_map(Some(len))?;
        for (channel, selection) in used() {
            map.serialize_entry(channel.name(), selection)?;
        }
        map.serialize_entry("delivery", &word)?;
        if let Some(max_rate) = max_rate {
            map.serialize_entry("max_rate", &max_rate)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for DeliveryGroup {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ModeVisitor)
    }
}

struct ModeVisitor;

impl<'de> Visitor<'de> for ModeVisitor {
    type Value = DeliveryGroup;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of names and their delivery")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DeliveryGroup, A::Error> {
        let (mut names, mut word, mut max_rate) = (SubscriptionSet::default(), None, None);
        while let Some(key) = map.next_key::<String>()? {
            match (key.as_str(), Channel::from_name(&key)) {
                (_, Some(channel)) => names[channel] = map.next_value()?,
                ("delivery", _) => word = Some(map.next_value()?),
                ("max_rate", _) => max_rate = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let word = word.ok_or_else(|| de::Error::missing_field("delivery"))?;
        let delivery = Delivery::from_wire(Some(word), max_rate)
            .map_err(|problem| de::Error::custom(format_args!("max_rate: {problem}")))?;
        Ok(DeliveryGroup { delivery, names })
    }
}

/// The groups of an answer to `list`, as many as are allowed.
#[derive(Debug)]
pub(crate) struct Modes(pub(crate) Vec<DeliveryGroup>);

impl Serialize for Modes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Modes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ModesVisitor)
    }
}

struct ModesVisitor;

impl<'de> Visitor<'de> for ModesVisitor {
    type Value = Modes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of maps")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Modes, A::Error> {
        let mut modes = Vec::new();
        while let Some(mode) = list.next_element()? {
            // A group takes two bytes of a message and hundreds in memory.
            if modes.len() == MODES_MAX {
                return Err(de::Error::custom(format_args!("more than {MODES_MAX} groups")));
            }
            modes.push(mode);
        }
        Ok(Modes(modes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;

    #[test]
    fn rates_are_kept_to_thousandths_within_their_limits() {
        let rate = |per_second| MaxRate::per_second(per_second).unwrap();
        assert_eq!(rate(0.1), MaxRate::MIN);
        assert_eq!(rate(1000.0), MaxRate::MAX);
        assert_eq!(rate(2.0004), rate(2.0));
        assert!(rate(2.0006) > rate(2.0));
        assert_eq!([rate(10.0), rate(0.5)].map(|rate| rate.to_string()), ["10", "0.5"]);
        for refused in [0.099, 1000.001, 0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = MaxRate::per_second(refused).unwrap_err().to_string();
            assert_eq!(error, format!("{refused} a second: expected 0.1 to 1000"));
        }
    }

    #[test]
    fn a_number_is_no_word_in_either_encoding() {
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

    #[test]
    fn the_interval_of_a_rate_is_its_reciprocal() {
        let interval = |per_second| MaxRate::per_second(per_second).unwrap().interval_ns();
        assert_eq!([0.1, 3.0, 1000.0].map(interval), [10_000_000_000, 333_333_333, 1_000_000]);
    }
}
