//! The maps of the protocol: commands, and control elements.
//!
//! One flat struct, [`WireMap`], has a field for every key of every such map, so that both
//! encodings share one list of keys. Unknown keys are ignored; an error in a known one names its
//! key.

mod keyed;
mod values;

pub(crate) use keyed::{FromKeys, decode_error, msgpack_deserializer};
pub(crate) use values::{FromField, PosField};

use serde::de::{self, IgnoredAny, MapAccess};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::control::POSITION;
use crate::delivery::{DeliveryGroups, DeliveryWord};
use crate::{
    Channel, DecodeError, Delivery, Encoding, FeedState, MaxRate, OnLag, PerChannel, ReplaySpeed,
    Resume, ResumeOutcome, Selection, SubscriptionSet, ValueError,
};

/// Declares [`WireMap`]: the keys in the order in which they are written, each with the name and
/// the type of its field.
macro_rules! wire_map {
    ($($key:literal $field:ident: $value:ty,)*) => {
        /// A command or a control element as a map; absent keys are `None`.
        #[derive(Default)]
        pub(crate) struct WireMap {
            $(pub(crate) $field: Option<$value>,)*
        }

        impl Serialize for WireMap {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let present = [$(self.$field.is_some()),*].into_iter().filter(|present| *present);
                let mut map = serializer.serialize_map(Some(present.count()))?;
                $(if let Some(value) = &self.$field {
                    map.serialize_entry($key, value)?;
                })*
                map.end()
            }
        }

        impl FromKeys for WireMap {
            fn read_value<'de, A: MapAccess<'de>>(
                &mut self,
                key: &str,
                map: &mut A,
                current: &mut &'static str,
            ) -> Result<(), A::Error> {
                match key {
                    $($key => {
                        *current = $key;
                        if self.$field.is_some() {
                            return Err(de::Error::custom("given twice"));
                        }
                        self.$field = map.next_value()?;
                    })*
                    _ => {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                *current = "";
                Ok(())
            }
        }
    };
}

wire_map! {
    "T" kind: String,
    "action" action: String,
    "key" key: String,
    "secret" secret: String,
    "S" symbol: String,
    "channel" channel: String,
    "from" from: FromField,
    "to" to: u64,
    "code" code: u16,
    "msg" msg: String,
    "detail" detail: String,
    "epoch" epoch: String,
    "feed" feed: String,
    "state" state: FeedState,
    "since" since: String,
    "lost" lost: u64,
    "view" view: String,
    "delay_ms" delay_ms: u64,
    "t" time: String,
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
    "modes" modes: DeliveryGroups,
    "pos" pos: PosField,
    "resume" resume: Resume,
    "resumed" resumed: ResumeOutcome,
    "speed" speed: ReplaySpeed,
    "added" added: SubscriptionSet,
    "removed" removed: SubscriptionSet,
    "upstream" upstream: String,
    "connects" connects: u64,
    "errors" errors: u64,
    "no_bars" no_bars: bool,
    "full" is_full: bool,
    "clients" clients: Vec<SubscriptionSet>,
}

impl WireMap {
    /// Creates a control element: a map with a type, `T`.
    pub(crate) fn element(kind: &str) -> Self {
        Self { kind: Some(kind.to_owned()), ..Self::default() }
    }

    /// Creates a control element that carries a number of ticks.
    pub(crate) fn counted(kind: &str, ticks: u64) -> Self {
        Self { ticks: Some(ticks), ..Self::element(kind) }
    }

    /// Creates a position element.
    pub(crate) fn position(position: u64) -> Self {
        Self { pos: Some(PosField::Position(position)), ..Self::element(POSITION) }
    }

    /// Creates a command: a map with an `action`.
    pub(crate) fn command(action: &str) -> Self {
        Self { action: Some(action.to_owned()), ..Self::default() }
    }

    fn selection_mut(&mut self, channel: Channel) -> &mut Option<Selection> {
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

    /// Takes the names out of the keys that are channels.
    pub(crate) fn take_names(&mut self) -> SubscriptionSet {
        let mut names = SubscriptionSet::default();
        for channel in Channel::ALL {
            names[channel] = self.selection_mut(channel).take().unwrap_or_default();
        }
        names
    }

    /// Sets a key for each channel that has names.
    pub(crate) fn with_names(mut self, names: &SubscriptionSet) -> Self {
        for (channel, selection) in names.iter().filter(|(_, selection)| !selection.is_empty()) {
            *self.selection_mut(channel) = Some(selection.clone());
        }
        self
    }

    /// Returns the delivery that the fields `delivery` and `max_rate` specify together. `kind` is
    /// the type of the element, for errors.
    pub(crate) fn delivery(&self, kind: &'static str) -> Result<Delivery, DecodeError> {
        Delivery::from_wire(self.delivery, self.max_rate)
            .map_err(|problem| DecodeError::field(kind, "max_rate", problem))
    }

    /// Sets `delivery` and `max_rate`, unless the delivery is the default.
    pub(crate) fn with_delivery(mut self, delivery: Delivery) -> Self {
        (self.delivery, self.max_rate) = delivery.to_wire();
        self
    }

    /// Decodes a JSON object, after which only white space may follow.
    pub(crate) fn from_json(text: &[u8]) -> Result<Self, DecodeError> {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let map = Self::decode(&mut deserializer)?;
        deserializer.end().map_err(|error| decode_error("", &error))?;
        Ok(map)
    }

    /// Decodes a JSON value that has been parsed already.
    pub(crate) fn from_value(value: Value) -> Result<Self, DecodeError> {
        Self::decode(value)
    }

    /// Decodes a MessagePack map, after which nothing may follow.
    pub(crate) fn from_msgpack(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut deserializer = msgpack_deserializer(bytes);
        let map = Self::decode(&mut deserializer)?;
        match deserializer.get_ref().len() {
            0 => Ok(map),
            left => Err(DecodeError::message(ValueError::Trailing(left))),
        }
    }

    /// Appends the map; it is the same in both MessagePack encodings.
    pub(crate) fn write(&self, encoding: Encoding, out: &mut Vec<u8>) {
        let is_written = match encoding {
            Encoding::Json => serde_json::to_writer(out, self).is_ok(),
            Encoding::MsgpackArray | Encoding::MsgpackMap => {
                self.serialize(&mut rmp_serde::Serializer::new(out)).is_ok()
            }
        };
        debug_assert!(is_written, "plain data is written into a vector");
    }
}

/// The `id` of a command that could not be decoded as a whole, so that the answer can carry it.
#[derive(Default, Deserialize)]
struct IdOnly {
    id: Option<u64>,
}

/// Returns the `id` of a malformed JSON command, if it is readable.
pub(crate) fn id_in_json(text: &[u8]) -> Option<u64> {
    serde_json::from_slice::<IdOnly>(text).unwrap_or_default().id
}

/// Returns the `id` of a malformed MessagePack command, if it is readable.
pub(crate) fn id_in_msgpack(bytes: &[u8]) -> Option<u64> {
    IdOnly::deserialize(&mut msgpack_deserializer(bytes)).unwrap_or_default().id
}
