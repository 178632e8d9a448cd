//! Resuming: continuing the subscriptions of an earlier session after the last ticks it received.
//!
//! Source: `docs/protocol/subscriber.md`, section "Resume".

use std::fmt;

use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::word::wire_words;
use crate::{Channel, PerChannel, Seq, Symbol};

/// A request to continue after ticks of an earlier session. On the wire it is a map,
/// `{"epoch":"…","pos":7}` or `{"epoch":"…","after":{"trades":{"AAPL":41}}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// The epoch of the hub in which the point was reported.
    pub epoch: String,
    /// The last ticks that the peer has.
    pub point: ResumePoint,
}

/// The last ticks that a peer has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResumePoint {
    /// The peer has all ticks of its subscriptions up to and including this position in the hub.
    Position(u64),
    /// The peer has the ticks of each of these topics up to and including this sequence number. The
    /// topics of a channel are sorted by symbol, and none is listed twice.
    After(Box<PerChannel<Vec<(Symbol, Seq)>>>),
}

/// What a session receives after a resume: the field `resumed` of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResumeOutcome {
    /// Every tick that was missed; `"all"` on the wire.
    Complete,
    /// Some missed ticks are no longer available. A gap element for each topic that lost ticks
    /// precedes the others. `"gap"` on the wire.
    Gap,
    /// The hub has another epoch, so the number of missed ticks is unknown. A gap element for each
    /// topic precedes its last value. `"epoch"` on the wire.
    NewEpoch,
}

wire_words!(pub ResumeOutcome { Complete = "all", Gap = "gap", NewEpoch = "epoch", });

impl Serialize for Resume {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("epoch", &self.epoch)?;
        match &self.point {
            ResumePoint::Position(position) => map.serialize_entry("pos", position)?,
            ResumePoint::After(after) => map.serialize_entry("after", &AfterRef(after))?,
        }
        map.end()
    }
}

/// Serializes the value of `after`: a map from channels to maps from symbols to sequence numbers,
/// without empty channels.
struct AfterRef<'a>(&'a PerChannel<Vec<(Symbol, Seq)>>);

impl Serialize for AfterRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = || self.0.iter().filter(|(_, topics)| !topics.is_empty());
        let mut map = serializer.serialize_map(Some(entries().count()))?;
        for (channel, topics) in entries() {
            map.serialize_entry(channel.name(), &ChannelSeqsRef(topics))?;
        }
        map.end()
    }
}

/// Serializes the topics of one channel: a map from symbols to sequence numbers.
struct ChannelSeqsRef<'a>(&'a [(Symbol, Seq)]);

impl Serialize for ChannelSeqsRef<'_> {
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
        let mut epoch = None;
        let mut position = None;
        let mut after = None;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "epoch" => epoch = Some(map.next_value()?),
                "pos" => position = Some(map.next_value()?),
                "after" => after = Some(map.next_value::<After>()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let epoch = epoch.ok_or_else(|| de::Error::missing_field("epoch"))?;
        let point = match (position, after) {
            (Some(position), None) => ResumePoint::Position(position),
            (None, Some(After(after))) => ResumePoint::After(after),
            _ => return Err(de::Error::custom("expected either pos or after")),
        };
        Ok(Resume { epoch, point })
    }
}

/// The value of `after`, sorted and checked for duplicates.
struct After(Box<PerChannel<Vec<(Symbol, Seq)>>>);

impl<'de> Deserialize<'de> for After {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AfterVisitor)
    }
}

struct AfterVisitor;

impl<'de> Visitor<'de> for AfterVisitor {
    type Value = After;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of channels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<After, A::Error> {
        let mut after = Box::<PerChannel<Vec<(Symbol, Seq)>>>::default();
        while let Some(key) = map.next_key::<String>()? {
            match Channel::from_name(&key) {
                Some(channel) => after[channel].append(&mut map.next_value::<ChannelSeqs>()?.0),
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
        Ok(After(after))
    }
}

/// The topics of one channel, in the order in which they were given.
struct ChannelSeqs(Vec<(Symbol, Seq)>);

impl<'de> Deserialize<'de> for ChannelSeqs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ChannelSeqsVisitor)
    }
}

struct ChannelSeqsVisitor;

impl<'de> Visitor<'de> for ChannelSeqsVisitor {
    type Value = ChannelSeqs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of symbols and sequence numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ChannelSeqs, A::Error> {
        let mut topics = Vec::new();
        while let Some(symbol) = map.next_key::<Symbol>()? {
            topics.push((symbol, Seq(map.next_value()?)));
        }
        Ok(ChannelSeqs(topics))
    }
}
