//! Where ticks that have been are asked for: resuming behind what a session had, and replaying.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, IgnoredAny, MapAccess, Unexpected, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Channel, PerChannel, Seq, Symbol, UnixNanos, ValueError};

/// Behind what a session goes on that was interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// The life of the hub in which the point is valid.
    pub epoch: String,
    /// The last ticks the peer has.
    pub point: ResumePoint,
}

/// The last ticks a peer has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResumePoint {
    /// All of its names up to this position.
    Position(u64),
    /// Each of these topics up to this number, in order of symbols.
    After(Box<PerChannel<Vec<(Symbol, Seq)>>>),
}

impl Serialize for Resume {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("epoch", &self.epoch)?;
        match &self.point {
            ResumePoint::Position(position) => map.serialize_entry("pos", position)?,
            ResumePoint::After(after) => map.serialize_entry("after", &After(after))?,
        }
        map.end()
    }
}

/// A map of the channels that are not empty.
struct After<'a>(&'a PerChannel<Vec<(Symbol, Seq)>>);

impl Serialize for After<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let used = || self.0.iter().filter(|(_, topics)| !topics.is_empty());
        let mut map = serializer.serialize_map(Some(used().count()))?;
        for (channel, topics) in used() {
            map.serialize_entry(channel.name(), &Topics(topics))?;
        }
        map.end()
    }
}

struct Topics<'a>(&'a [(Symbol, Seq)]);

impl Serialize for Topics<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (symbol, seq) in self.0 {
            map.serialize_entry(symbol, &seq.0)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Resume {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ResumeVisitor)
    }
}

struct ResumeVisitor;

impl<'de> Visitor<'de> for ResumeVisitor {
    type Value = Resume;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of epoch and pos, or of epoch and after")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Resume, A::Error> {
        let (mut epoch, mut position, mut after) = (None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "epoch" => epoch = Some(map.next_value()?),
                "pos" => position = Some(map.next_value()?),
                "after" => after = Some(map.next_value::<Numbers>()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let epoch = epoch.ok_or_else(|| de::Error::missing_field("epoch"))?;
        let point = match (position, after) {
            (Some(position), None) => ResumePoint::Position(position),
            (None, Some(Numbers(after))) => ResumePoint::After(after),
            _ => return Err(de::Error::custom("expected either pos or after")),
        };
        Ok(Resume { epoch, point })
    }
}

/// Numbers by channel and symbol.
struct Numbers(Box<PerChannel<Vec<(Symbol, Seq)>>>);

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NumbersVisitor)
    }
}

struct NumbersVisitor;

impl<'de> Visitor<'de> for NumbersVisitor {
    type Value = Numbers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of channels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Numbers, A::Error> {
        let mut after = Box::<PerChannel<Vec<(Symbol, Seq)>>>::default();
        while let Some(key) = map.next_key::<String>()? {
            match Channel::from_name(&key) {
                Some(channel) => after[channel].append(&mut map.next_value::<NumbersOf>()?.0),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        for channel in Channel::ALL {
            let topics = &mut after[channel];
            topics.sort_unstable();
            if let Some(pair) = topics.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(de::Error::custom(format_args!("{} is given twice", pair[0].0)));
            }
        }
        Ok(Numbers(after))
    }
}

/// Numbers of one channel by symbol.
struct NumbersOf(Vec<(Symbol, Seq)>);

impl<'de> Deserialize<'de> for NumbersOf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NumbersOfVisitor)
    }
}

struct NumbersOfVisitor;

impl<'de> Visitor<'de> for NumbersOfVisitor {
    type Value = NumbersOf;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of symbols and numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NumbersOf, A::Error> {
        let mut topics = Vec::new();
        while let Some(symbol) = map.next_key::<Symbol>()? {
            topics.push((symbol, Seq(map.next_value()?)));
        }
        Ok(NumbersOf(topics))
    }
}

/// How a resume has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum ResumeOutcome {
    /// Nothing is missing.
    #[serde(rename = "all")]
    Complete,
    /// Some ticks are no longer there; each topic of which they are is named by a gap.
    Gap,
    /// The epoch is another one; what was missed is not known.
    #[serde(rename = "epoch")]
    NewEpoch,
}

/// Read from a string, since a MessagePack reader would take a number for a variant too.
impl TryFrom<String> for ResumeOutcome {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        match word.as_str() {
            "all" => Ok(Self::Complete),
            "gap" => Ok(Self::Gap),
            "epoch" => Ok(Self::NewEpoch),
            _ => {
                let shown: String = word.chars().take(32).collect();
                Err(format!("{shown:?}: expected \"all\", \"gap\" or \"epoch\""))
            }
        }
    }
}

/// A wish to have what was, before what is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay {
    /// Where it begins.
    pub from: ReplayStart,
    /// At which pace it comes.
    pub speed: ReplaySpeed,
}

/// Where a replay begins, by the time at which the hub received the ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayStart {
    /// At this time.
    At(UnixNanos),
    /// So long ago; kept to milliseconds on the wire.
    Ago(Duration),
}

/// Units of a time ago, largest first, in milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl fmt::Display for ReplayStart {
    /// As on the wire: `2026-01-02T14:30:00Z`, `-5m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(time) => time.fmt(f),
            Self::Ago(ago) => {
                let ms = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
                let whole = |(_, unit_ms): &(&str, u64)| ms > 0 && ms % unit_ms == 0;
                let (unit, unit_ms) = UNITS.into_iter().find(whole).unwrap_or(("s", 1000));
                write!(f, "-{}{unit}", ms / unit_ms)
            }
        }
    }
}

impl FromStr for ReplayStart {
    type Err = ValueError;

    /// Reads a time in RFC 3339, or how long ago it was, such as `-5m`.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let Some(ago) = text.strip_prefix('-') else {
            return text.parse().map(Self::At).map_err(|_| not_a_start(text));
        };
        let digits = ago.len() - ago.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (count, unit) = ago.split_at(digits);
        let unit = UNITS.into_iter().find(|(name, _)| *name == unit);
        let ms = unit.and_then(|(_, ms)| count.parse::<u64>().ok()?.checked_mul(ms));
        ms.map(|ms| Self::Ago(Duration::from_millis(ms))).ok_or_else(|| not_a_start(text))
    }
}

fn not_a_start(text: &str) -> ValueError {
    let shown: String = text.chars().take(40).collect();
    ValueError::Invalid(format!(
        "{shown:?}: expected a time such as \"2026-01-02T14:30:00Z\", or how long ago such as \"-5m\" (h, m, s, ms)"
    ))
}

/// At which pace a replay comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplaySpeed {
    /// As fast as the peer takes it.
    #[default]
    Max,
    /// So many times the pace at which the hub received it.
    Factor(SpeedFactor),
}

impl ReplaySpeed {
    /// Takes a multiple of the original pace, rounded to thousandths.
    ///
    /// # Errors
    /// If the number is not within 0.01 to 100,000.
    pub fn factor(factor: f64) -> Result<Self, ValueError> {
        SpeedFactor::new(factor).map(Self::Factor)
    }
}

impl fmt::Display for ReplaySpeed {
    /// `max`, `20`, `0.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => f.write_str("max"),
            Self::Factor(factor) => factor.as_f64().fmt(f),
        }
    }
}

impl FromStr for ReplaySpeed {
    type Err = ValueError;

    /// Reads a number or `max`.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.parse() {
            _ if text == "max" => Ok(Self::Max),
            Ok(factor) => Self::factor(factor),
            Err(_) => {
                let shown: String = text.chars().take(32).collect();
                Err(ValueError::Invalid(format!("{shown:?}: expected {SPEEDS}")))
            }
        }
    }
}

/// A multiple of a pace: 0.01 to 100,000, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpeedFactor(
    /// Thousandths.
    u32,
);

const SPEEDS: &str = "\"max\" or a number from 0.01 to 100000";

impl SpeedFactor {
    fn new(times: f64) -> Result<Self, ValueError> {
        if !(0.01..=100_000.0).contains(&times) {
            return Err(ValueError::Invalid(format!("{times}: expected {SPEEDS}")));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "10 to 100,000,000, checked above"
        )]
        Ok(Self((times * 1000.0).round() as u32))
    }

    /// The multiple in thousandths, 10 to 100,000,000.
    #[must_use]
    pub const fn thousandths(self) -> u32 {
        self.0
    }

    /// The multiple.
    #[must_use]
    pub const fn as_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl Serialize for ReplaySpeed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Max => serializer.serialize_str("max"),
            Self::Factor(SpeedFactor(thousandths)) if thousandths % 1000 == 0 => {
                serializer.serialize_u32(thousandths / 1000)
            }
            Self::Factor(factor) => serializer.serialize_f64(factor.as_f64()),
        }
    }
}

impl<'de> Deserialize<'de> for ReplaySpeed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpeedVisitor)
    }
}

struct SpeedVisitor;

impl Visitor<'_> for SpeedVisitor {
    type Value = ReplaySpeed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SPEEDS)
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<ReplaySpeed, E> {
        match word {
            "max" => Ok(ReplaySpeed::Max),
            _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
        }
    }

    fn visit_f64<E: de::Error>(self, times: f64) -> Result<ReplaySpeed, E> {
        ReplaySpeed::factor(times).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, times: u64) -> Result<ReplaySpeed, E> {
        self.visit_f64(times as f64)
    }

    fn visit_i64<E: de::Error>(self, times: i64) -> Result<ReplaySpeed, E> {
        self.visit_f64(times as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_time_or_how_long_ago() {
        for text in ["2026-01-02T14:30:00.5Z", "-5m", "-1h", "-90s", "-250ms", "-0s"] {
            assert_eq!(text.parse::<ReplayStart>().unwrap().to_string(), text);
        }
        assert_eq!("-120m".parse::<ReplayStart>().unwrap().to_string(), "-2h");
        let refused = ["", "-", "5m", "-5", "-m", "-1.5h", "--5m", "-5d", "-99999999999999999999s"];
        for text in refused.into_iter().chain(["-18446744073709551615h", "now", "-5 m"]) {
            let error = text.parse::<ReplayStart>().unwrap_err().to_string();
            assert!(error.contains("expected a time such as"), "{text}: {error}");
        }
    }

    #[test]
    fn speeds_are_kept_to_thousandths_within_their_limits() {
        for text in ["max", "1", "0.01", "20.5", "100000"] {
            assert_eq!(text.parse::<ReplaySpeed>().unwrap().to_string(), text);
        }
        assert_eq!(ReplaySpeed::factor(2.0004), ReplaySpeed::factor(2.0));
        for text in ["0.009", "100000.1", "-1", "NaN", "inf", "", "fast"] {
            let error = text.parse::<ReplaySpeed>().unwrap_err().to_string();
            assert!(error.ends_with("expected \"max\" or a number from 0.01 to 100000"), "{error}");
        }
    }
}
