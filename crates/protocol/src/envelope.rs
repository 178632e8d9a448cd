//! The keys of every map on the wire that is not a tick: control elements and commands.
//!
//! One flat struct stands for all of them, so that both encodings share one list of keys. Unknown
//! keys are passed over, and what is wrong with a known one is said with its name.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::control::POSITION;
use crate::delivery::{DeliveryWord, Modes};
use crate::names::Selection;
use crate::{
    Channel, DecodeError, Delivery, FeedState, MaxRate, OnLag, PerChannel, ReplaySpeed, Resume,
    ResumeOutcome, SubscriptionSet, ValueError,
};

/// How deep the values of unknown keys may nest; they are passed over by recursion.
const DEPTH_MAX: usize = 64;

/// Declares the struct with its keys in the order in which they are written.
macro_rules! envelope {
    ($($key:literal $field:ident: $value:ty,)*) => {
        #[derive(Default)]
        pub(crate) struct Envelope {
            $(pub(crate) $field: Option<$value>,)*
        }

        impl Serialize for Envelope {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let given = [$(self.$field.is_some()),*].into_iter().filter(|given| *given);
                let mut map = serializer.serialize_map(Some(given.count()))?;
                $(if let Some(value) = &self.$field {
                    map.serialize_entry($key, value)?;
                })*
                map.end()
            }
        }

        impl Keyed for Envelope {
            fn take_value<'de, A: MapAccess<'de>>(
                &mut self,
                key: &str,
                map: &mut A,
                reading: &mut &'static str,
            ) -> Result<(), A::Error> {
                match key {
                    $($key => {
                        *reading = $key;
                        if self.$field.is_some() {
                            return Err(de::Error::custom("given twice"));
                        }
                        self.$field = map.next_value()?;
                    })*
                    _ => {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                *reading = "";
                Ok(())
            }
        }
    };
}

envelope! {
    "T" kind: String,
    "action" action: String,
    "key" key: String,
    "secret" secret: String,
    "S" symbol: String,
    "channel" channel: String,
    "from" from: Start,
    "to" to: u64,
    "code" code: u16,
    "msg" msg: String,
    "detail" detail: String,
    "epoch" epoch: String,
    "feed" feed: String,
    "state" state: FeedState,
    "since" since: String,
    "lost" lost: u64,
    "t" t: String,
    "ticks" ticks: u64,
    "publisher" publisher: String,
    "demand" demand: bool,
    "last" last: u64,
    "up_to" up_to: u64,
    "durable" durable: bool,
    "mark" mark: String,
    "id" id: u64,
    "trades" trades: Selection,
    "quotes" quotes: Selection,
    "bars" bars: Selection,
    "updatedBars" updated_bars: Selection,
    "dailyBars" daily_bars: Selection,
    "statuses" statuses: Selection,
    "lulds" lulds: Selection,
    "imbalances" imbalances: Selection,
    "corrections" corrections: Selection,
    "cancelErrors" cancel_errors: Selection,
    "total" total: PerChannel<u64>,
    "snapshot" snapshot: bool,
    "delivery" delivery: DeliveryWord,
    "max_rate" max_rate: MaxRate,
    "on_lag" on_lag: OnLag,
    "modes" modes: Modes,
    "pos" pos: Pos,
    "resume" resume: Resume,
    "resumed" resumed: ResumeOutcome,
    "speed" speed: ReplaySpeed,
    "added" added: SubscriptionSet,
    "removed" removed: SubscriptionSet,
    "upstream" upstream: String,
    "connects" connects: u64,
    "errors" errors: u64,
    "no_bars" no_bars: bool,
}

/// Positions: a peer asks for them, the hub tells them.
#[derive(Debug)]
pub(crate) enum Pos {
    Asked(bool),
    At(u64),
}

impl Serialize for Pos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Asked(asked) => serializer.serialize_bool(*asked),
            Self::At(position) => serializer.serialize_u64(*position),
        }
    }
}

impl<'de> Deserialize<'de> for Pos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PosVisitor)
    }
}

struct PosVisitor;

impl Visitor<'_> for PosVisitor {
    type Value = Pos;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false or a position")
    }

    fn visit_bool<E>(self, asked: bool) -> Result<Pos, E> {
        Ok(Pos::Asked(asked))
    }

    fn visit_u64<E>(self, position: u64) -> Result<Pos, E> {
        Ok(Pos::At(position))
    }
}

/// Where something begins: a gap by a number, a replay by a time.
#[derive(Debug)]
pub(crate) enum Start {
    Seq(u64),
    Time(String),
}

impl Serialize for Start {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Seq(seq) => serializer.serialize_u64(*seq),
            Self::Time(time) => serializer.serialize_str(time),
        }
    }
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StartVisitor)
    }
}

struct StartVisitor;

impl Visitor<'_> for StartVisitor {
    type Value = Start;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a time")
    }

    fn visit_u64<E>(self, seq: u64) -> Result<Start, E> {
        Ok(Start::Seq(seq))
    }

    fn visit_str<E>(self, time: &str) -> Result<Start, E> {
        Ok(Start::Time(time.to_owned()))
    }
}

impl Envelope {
    pub(crate) fn element(kind: &str) -> Self {
        Self { kind: Some(kind.to_owned()), ..Self::default() }
    }

    pub(crate) fn counted(kind: &str, ticks: u64) -> Self {
        Self { ticks: Some(ticks), ..Self::element(kind) }
    }

    pub(crate) fn position(position: u64) -> Self {
        Self { pos: Some(Pos::At(position)), ..Self::element(POSITION) }
    }

    pub(crate) fn command(action: &str) -> Self {
        Self { action: Some(action.to_owned()), ..Self::default() }
    }

    fn list(&mut self, channel: Channel) -> &mut Option<Selection> {
        match channel {
            Channel::Trades => &mut self.trades,
            Channel::Quotes => &mut self.quotes,
            Channel::Bars => &mut self.bars,
            Channel::UpdatedBars => &mut self.updated_bars,
            Channel::DailyBars => &mut self.daily_bars,
            Channel::Statuses => &mut self.statuses,
            Channel::Lulds => &mut self.lulds,
            Channel::Imbalances => &mut self.imbalances,
            Channel::Corrections => &mut self.corrections,
            Channel::CancelErrors => &mut self.cancel_errors,
        }
    }

    pub(crate) fn take_names(&mut self) -> SubscriptionSet {
        let mut names = SubscriptionSet::default();
        for channel in Channel::ALL {
            names[channel] = self.list(channel).take().unwrap_or_default();
        }
        names
    }

    /// What `delivery` and `max_rate` say together.
    pub(crate) fn delivery(&self, kind: &'static str) -> Result<Delivery, DecodeError> {
        Delivery::from_wire(self.delivery, self.max_rate)
            .map_err(|problem| DecodeError::field(kind, "max_rate", problem))
    }

    /// The default is left out.
    pub(crate) fn with_delivery(mut self, delivery: Delivery) -> Self {
        (self.delivery, self.max_rate) = delivery.to_wire();
        self
    }

    /// Empty channels are left out.
    pub(crate) fn with_names(mut self, names: &SubscriptionSet) -> Self {
        for (channel, selection) in names.iter().filter(|(_, selection)| !selection.is_empty()) {
            *self.list(channel) = Some(selection.clone());
        }
        self
    }

    pub(crate) fn from_json(text: &[u8]) -> Result<Self, DecodeError> {
        let mut source = serde_json::Deserializer::from_slice(text);
        let envelope = Self::read(&mut source)?;
        source.end().map_err(|error| refused("", &error))?;
        Ok(envelope)
    }

    pub(crate) fn from_value(value: Value) -> Result<Self, DecodeError> {
        Self::read(value)
    }

    pub(crate) fn from_msgpack(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut source = msgpack_source(bytes);
        let envelope = Self::read(&mut source)?;
        match source.get_ref().len() {
            0 => Ok(envelope),
            left => Err(DecodeError::message(ValueError::Trailing(left))),
        }
    }

    pub(crate) fn write_json(&self, out: &mut Vec<u8>) {
        let written = serde_json::to_writer(out, self);
        debug_assert!(written.is_ok(), "plain data into a vector");
    }

    pub(crate) fn write_msgpack(&self, out: &mut Vec<u8>) {
        let written = self.serialize(&mut rmp_serde::Serializer::new(out));
        debug_assert!(written.is_ok(), "plain data into a vector");
    }
}

/// What is read from a map key by key.
pub(crate) trait Keyed: Default {
    /// Takes the value of `key`, and notes which field it is reading.
    fn take_value<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        reading: &mut &'static str,
    ) -> Result<(), A::Error>;

    /// Reads all of it; a fault is told with the name of the field it is in.
    fn read<'de, D: Deserializer<'de>>(source: D) -> Result<Self, DecodeError> {
        let mut reading = "";
        KeyedReader { reading: &mut reading, kept: PhantomData }
            .deserialize(source)
            .map_err(|error| refused(reading, &error))
    }
}

struct KeyedReader<'a, K> {
    reading: &'a mut &'static str,
    kept: PhantomData<K>,
}

impl<'de, K: Keyed> DeserializeSeed<'de> for KeyedReader<'_, K> {
    type Value = K;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<K, D::Error> {
        source.deserialize_map(self)
    }
}

impl<'de, K: Keyed> Visitor<'de> for KeyedReader<'_, K> {
    type Value = K;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<K, A::Error> {
        let mut kept = K::default();
        while let Some(key) = map.next_key::<String>()? {
            kept.take_value(&key, &mut map, self.reading)?;
        }
        Ok(kept)
    }
}

/// The `id` of a command that could not be read as a whole, so that the answer can carry it.
#[derive(Default, Deserialize)]
pub(crate) struct IdOnly {
    id: Option<u64>,
}

impl IdOnly {
    pub(crate) fn in_json(text: &[u8]) -> Option<u64> {
        serde_json::from_slice::<Self>(text).unwrap_or_default().id
    }

    pub(crate) fn in_msgpack(bytes: &[u8]) -> Option<u64> {
        Self::deserialize(&mut msgpack_source(bytes)).unwrap_or_default().id
    }
}

/// Reads through `Read`, since only that reader can tell how much is left.
pub(crate) fn msgpack_source(
    bytes: &[u8],
) -> rmp_serde::Deserializer<rmp_serde::decode::ReadReader<&[u8]>> {
    let mut source = rmp_serde::Deserializer::new(bytes);
    source.set_max_depth(DEPTH_MAX);
    source
}

/// The words of serde, cut where the peer's own input makes them long.
pub(crate) fn refused(field: &'static str, error: &impl fmt::Display) -> DecodeError {
    let mut text = error.to_string();
    if let Some((end, _)) = text.char_indices().nth(200) {
        text.truncate(end);
    }
    DecodeError::field("", field, ValueError::Invalid(text))
}
