//! An entry in a list of subscribers.

use super::super::SessionId;
use super::super::latest::rate_groups::RateGroupId;

/// A session that subscribes to a topic, and how its ticks are delivered: four bytes, since every
/// tick walks a list of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subscriber(u32);

const SLOT_BITS: u32 = 24;
const GROUP_BITS: u32 = 6;
/// For `"*"` only: the session also subscribes to names of the channel, which take precedence.
const HAS_NAMES: u32 = 1 << 30;
/// For names only: the topic is dirty for the session. The flag is here too, so that the next tick
/// need not touch the session.
const IS_DIRTY: u32 = 1 << 31;

impl Subscriber {
    pub(crate) fn new(id: SessionId, group: RateGroupId) -> Self {
        debug_assert!(id.0 < 1 << SLOT_BITS, "Shard::open keeps slots below this");
        Self(id.0 | u32::from(group.bits()) << SLOT_BITS)
    }

    /// Returns the entry of a `"*"`, with a flag whether the session also subscribes to names of
    /// the channel.
    pub(crate) const fn with_names(self, has_names: bool) -> Self {
        if has_names { Self(self.0 | HAS_NAMES) } else { Self(self.0 & !HAS_NAMES) }
    }

    /// Returns whether the session of a `"*"` also subscribes to names of the channel.
    pub(crate) const fn has_names(self) -> bool {
        self.0 & HAS_NAMES != 0
    }

    /// Returns whether the topic is dirty for the session.
    pub(crate) const fn is_dirty(self) -> bool {
        self.0 & IS_DIRTY != 0
    }

    pub(crate) const fn set_dirty(&mut self, is_dirty: bool) {
        self.0 = if is_dirty { self.0 | IS_DIRTY } else { self.0 & !IS_DIRTY };
    }

    /// Returns the session's slot if every tick is delivered and no flag is set.
    #[inline]
    pub(crate) const fn every_slot(self) -> Option<usize> {
        if self.0 >> SLOT_BITS == 0 { Some(self.0 as usize) } else { None }
    }

    pub(crate) const fn session(self) -> SessionId {
        SessionId(self.0 & ((1 << SLOT_BITS) - 1))
    }

    pub(crate) const fn group(self) -> RateGroupId {
        RateGroupId::from_bits((self.0 >> SLOT_BITS & ((1 << GROUP_BITS) - 1)) as u8)
    }
}

/// Largest number of sessions of a shard: their slots must fit into a [`Subscriber`].
pub(crate) const SESSIONS_MAX: usize = 1 << SLOT_BITS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_group_and_flags_are_read_back() {
        for slot in [0, 1, 77, (1 << SLOT_BITS) - 1] {
            for group in [RateGroupId::EVERY, RateGroupId::of_index(0), RateGroupId::of_index(8)] {
                for has_names in [false, true] {
                    let mut entry = Subscriber::new(SessionId(slot), group).with_names(has_names);
                    entry.set_dirty(!has_names);
                    assert_eq!(entry.is_dirty(), !has_names);
                    assert_eq!(entry.session(), SessionId(slot));
                    assert_eq!(entry.group(), group);
                    assert_eq!(entry.has_names(), has_names);
                    assert!(!entry.with_names(false).has_names());
                }
            }
        }
        assert_eq!(RateGroupId::EVERY.index(), None);
        assert_eq!(RateGroupId::of_index(3).index(), Some(3));
    }
}
