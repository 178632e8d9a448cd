//! One value per channel, and its form on the wire.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Channel;

/// One value for each [`Channel`], indexed by the channel.
///
/// On the wire it is a map from channel names to values. Channels whose value is the default (zero,
/// or empty) are left out; a reader ignores keys that are not channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PerChannel<V>([V; Channel::COUNT]);

impl<V> PerChannel<V> {
    /// Returns the channels with their values, in the order of [`Channel::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Channel, &V)> {
        Channel::ALL.into_iter().zip(&self.0)
    }
}

impl<V> Index<Channel> for PerChannel<V> {
    type Output = V;

    fn index(&self, channel: Channel) -> &V {
        &self.0[channel as usize]
    }
}

impl<V> IndexMut<Channel> for PerChannel<V> {
    fn index_mut(&mut self, channel: Channel) -> &mut V {
        &mut self.0[channel as usize]
    }
}

impl<V: Serialize + Default + PartialEq> Serialize for PerChannel<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let omitted = V::default();
        let entries = || self.iter().filter(|(_, value)| **value != omitted);
        let mut map = serializer.serialize_map(Some(entries().count()))?;
        for (channel, value) in entries() {
            map.serialize_entry(channel.name(), value)?;
        }
        map.end()
    }
}

impl<'de, V: Deserialize<'de> + Default> Deserialize<'de> for PerChannel<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PerChannelVisitor(PhantomData))
    }
}

struct PerChannelVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de> + Default> Visitor<'de> for PerChannelVisitor<V> {
    type Value = PerChannel<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map by channel")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PerChannel<V>, A::Error> {
        let mut values = PerChannel::default();
        while let Some(name) = map.next_key::<String>()? {
            match Channel::from_name(&name) {
                Some(channel) => values[channel] = map.next_value()?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(values)
    }
}
