//! An entry in a list of subscribers.

use super::SessionId;

/// Which of a session's ways to be served a name belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneId(u8);

impl LaneId {
    /// Every tick counts; all other lanes keep the newest only.
    pub(crate) const EVERY: Self = Self(0);

    /// The lane at an index into a session's list of lanes.
    pub(crate) fn of_index(index: usize) -> Self {
        Self(u8::try_from(index + 1).expect("a session has few lanes"))
    }

    /// Index into the session's list of lanes; `None` for [`LaneId::EVERY`].
    pub(crate) const fn index(self) -> Option<usize> {
        (self.0 as usize).checked_sub(1)
    }
}

/// A session that wants a topic, and how: four bytes, since every tick walks a list of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subscriber(u32);

const SLOT_BITS: u32 = 24;
const LANE_BITS: u32 = 6;
/// For `"*"` only: the session also has names in this channel, which come first.
const NAMED: u32 = 1 << 30;
/// For names only: the session is owed the newest tick already. It stands here too, so that the next
/// tick need not touch the session.
const MARKED: u32 = 1 << 31;

impl Subscriber {
    pub(crate) fn new(id: SessionId, lane: LaneId) -> Self {
        debug_assert!(id.0 < 1 << SLOT_BITS, "Shard::open keeps slots below this");
        Self(id.0 | u32::from(lane.0) << SLOT_BITS)
    }

    /// The same entry, with a note whether the session has names beside its `"*"`.
    pub(crate) const fn beside_names(self, named: bool) -> Self {
        if named { Self(self.0 | NAMED) } else { Self(self.0 & !NAMED) }
    }

    pub(crate) const fn has_names(self) -> bool {
        self.0 & NAMED != 0
    }

    /// Whether the topic is among the session's marks.
    pub(crate) const fn is_marked(self) -> bool {
        self.0 & MARKED != 0
    }

    pub(crate) const fn set_marked(&mut self, marked: bool) {
        self.0 = if marked { self.0 | MARKED } else { self.0 & !MARKED };
    }

    /// The session's slot if it wants every tick and there is nothing else to know.
    #[inline]
    pub(crate) const fn every_slot(self) -> Option<usize> {
        if self.0 >> SLOT_BITS == 0 { Some(self.0 as usize) } else { None }
    }

    pub(crate) const fn session(self) -> SessionId {
        SessionId(self.0 & ((1 << SLOT_BITS) - 1))
    }

    pub(crate) const fn lane(self) -> LaneId {
        LaneId((self.0 >> SLOT_BITS & ((1 << LANE_BITS) - 1)) as u8)
    }
}

/// Sessions a shard may have: their slots must fit into a [`Subscriber`].
pub(crate) const SESSIONS_MAX: usize = 1 << SLOT_BITS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_and_lane_come_back_as_they_were() {
        for slot in [0, 1, 77, (1 << SLOT_BITS) - 1] {
            for lane in [LaneId::EVERY, LaneId::of_index(0), LaneId::of_index(8)] {
                for named in [false, true] {
                    let mut entry = Subscriber::new(SessionId(slot), lane).beside_names(named);
                    entry.set_marked(!named);
                    assert_eq!(entry.is_marked(), !named);
                    assert_eq!(entry.session(), SessionId(slot));
                    assert_eq!(entry.lane(), lane);
                    assert_eq!(entry.has_names(), named);
                    assert!(!entry.beside_names(false).has_names());
                }
            }
        }
        assert_eq!(LaneId::EVERY.index(), None);
        assert_eq!(LaneId::of_index(3).index(), Some(3));
    }
}
