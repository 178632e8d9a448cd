//! The subscriptions of a session, grouped by how they are delivered.

use std::fmt;

use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Delivery, DeliveryWord};
use crate::{Channel, SubscriptionSet};

/// Maximum number of groups in the answer to `list`. A session has fewer, because the number of its
/// different rates is limited.
const GROUPS_MAX: usize = 64;

/// Subscriptions of a session that are delivered in the same way: one element of the array `modes`
/// in the answer to `list`.
///
/// On the wire it is a map from channels to names, with `delivery` and `max_rate` beside them:
/// `{"quotes":["*"],"delivery":"latest","max_rate":10}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryGroup {
    /// How the subscriptions are delivered.
    pub delivery: Delivery,
    /// The names that are subscribed to.
    pub names: SubscriptionSet,
}

impl Serialize for DeliveryGroup {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (word, max_rate) = self.delivery.to_wire();
        let word = word.unwrap_or(DeliveryWord::Every);
        let channels = || self.names.iter().filter(|(_, selection)| !selection.is_empty());
        let len = channels().count() + 1 + usize::from(max_rate.is_some());
        let mut map = serializer.serialize_map(Some(len))?;
        for (channel, selection) in channels() {
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
        deserializer.deserialize_map(GroupVisitor)
    }
}

struct GroupVisitor;

impl<'de> Visitor<'de> for GroupVisitor {
    type Value = DeliveryGroup;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of names and their delivery")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DeliveryGroup, A::Error> {
        let mut names = SubscriptionSet::default();
        let mut word = None;
        let mut max_rate = None;
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

/// The array `modes`: at most [`GROUPS_MAX`] groups.
#[derive(Debug)]
pub(crate) struct DeliveryGroups(pub(crate) Vec<DeliveryGroup>);

impl Serialize for DeliveryGroups {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for DeliveryGroups {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(GroupsVisitor)
    }
}

struct GroupsVisitor;

impl<'de> Visitor<'de> for GroupsVisitor {
    type Value = DeliveryGroups;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of maps")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<DeliveryGroups, A::Error> {
        let mut groups = Vec::new();
        while let Some(group) = list.next_element()? {
            // A group takes a few bytes of a message but hundreds in memory.
            if groups.len() == GROUPS_MAX {
                return Err(de::Error::custom(format_args!("at most {GROUPS_MAX} groups allowed")));
            }
            groups.push(group);
        }
        Ok(DeliveryGroups(groups))
    }
}
