//! The topics whose newest tick a `latest` session still has to receive.

use super::super::LocalTopicId;

/// The topics whose newest tick a session has not been sent, each once.
///
/// Few topics are sent in the order in which they became dirty. Many are sent round-robin in the
/// order of their numbers, so that busy topics cannot keep others waiting.
#[derive(Debug)]
pub(crate) enum DirtySet {
    /// A list, oldest first.
    Few(Vec<LocalTopicId>),
    /// A bit for each topic of the shard.
    Many(Bitmap),
}

/// Maximum length of the list. Searching a list of this length is faster than accessing a bitmap.
const FEW: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Bitmap {
    words: Vec<u64>,
    /// Number of bits that are set (invariant).
    count: usize,
    /// The bit at which the next search begins.
    cursor: usize,
}

impl Default for DirtySet {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl DirtySet {
    /// Adds a topic. Returns whether it was not dirty before.
    pub(crate) fn insert(&mut self, topic: LocalTopicId) -> bool {
        let is_dirty = match self {
            Self::Few(list) => list.contains(&topic),
            Self::Many(bitmap) => bitmap.contains(topic),
        };
        if !is_dirty {
            self.insert_new(topic);
        }
        !is_dirty
    }

    /// Adds a topic that is known not to be dirty.
    #[inline]
    pub(crate) fn insert_new(&mut self, topic: LocalTopicId) {
        match self {
            Self::Few(list) if list.len() < FEW => list.push(topic),
            Self::Few(list) => {
                let mut bitmap = Bitmap::default();
                for dirty in &*list {
                    bitmap.insert(*dirty);
                }
                bitmap.cursor = list[0].0 as usize; // about where the longest wait is
                bitmap.insert(topic);
                *self = Self::Many(bitmap);
            }
            Self::Many(bitmap) => bitmap.insert(topic),
        }
    }

    /// Removes a topic. `due` is the number of topics, first in order, that may be sent now;
    /// returns that number without the removed topic. A bitmap has no order and counts every
    /// removed topic as due, so that no topic is sent too early.
    pub(crate) fn remove(&mut self, topic: LocalTopicId, due: usize) -> usize {
        let left = match self {
            Self::Few(list) => {
                let index = list.iter().position(|dirty| *dirty == topic);
                index.map(|index| list.remove(index));
                due - usize::from(index.is_some_and(|index| index < due))
            }
            Self::Many(bitmap) => due.saturating_sub(usize::from(bitmap.remove(topic))),
        };
        self.shrink_if_empty();
        left
    }

    /// Removes the topics that `keep` does not select. Returns how many of the first `due` topics
    /// remain, as [`DirtySet::remove`] does.
    pub(crate) fn retain(
        &mut self,
        due: usize,
        mut keep: impl FnMut(LocalTopicId) -> bool,
    ) -> usize {
        let before = self.len();
        let left = match self {
            Self::Few(list) => {
                let mut index = 0;
                let mut left = 0;
                list.retain(|topic| {
                    let is_kept = keep(*topic);
                    left += usize::from(is_kept && index < due);
                    index += 1;
                    is_kept
                });
                left
            }
            Self::Many(bitmap) => {
                bitmap.retain(keep);
                due.saturating_sub(before - bitmap.count)
            }
        };
        self.shrink_if_empty();
        left
    }

    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::Few(list) => list.len(),
            Self::Many(bitmap) => bitmap.count,
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Offers at most `most` dirty topics in turn, until `accept` refuses one. Removes the accepted
    /// topics and returns their number.
    pub(crate) fn take(
        &mut self,
        most: usize,
        mut accept: impl FnMut(LocalTopicId) -> bool,
    ) -> usize {
        let taken = match self {
            Self::Few(list) => {
                let offered = list.iter().take(most);
                let taken = offered.take_while(|topic| accept(**topic)).count();
                list.drain(..taken);
                taken
            }
            Self::Many(bitmap) => bitmap.take(most, accept),
        };
        self.shrink_if_empty();
        taken
    }

    /// Releases the memory of an empty set, for a session that has been idle.
    pub(crate) fn release_memory(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Replaces an empty bitmap by a list.
    fn shrink_if_empty(&mut self) {
        if let Self::Many(Bitmap { count: 0, .. }) = self {
            *self = Self::default();
        }
    }
}

impl Bitmap {
    fn contains(&self, LocalTopicId(topic): LocalTopicId) -> bool {
        let word = self.words.get(topic as usize / 64);
        word.is_some_and(|word| word & 1 << (topic % 64) != 0)
    }

    fn insert(&mut self, LocalTopicId(topic): LocalTopicId) {
        let word = topic as usize / 64;
        let bit = 1 << (topic % 64);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.count += usize::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
    }

    /// Clears the bit of a topic and returns whether it was set.
    fn remove(&mut self, LocalTopicId(topic): LocalTopicId) -> bool {
        let word = topic as usize / 64;
        let bit = 1 << (topic % 64);
        match self.words.get_mut(word) {
            Some(word) if *word & bit != 0 => {
                *word &= !bit;
                self.count -= 1;
                true
            }
            _ => false,
        }
    }

    fn retain(&mut self, mut keep: impl FnMut(LocalTopicId) -> bool) {
        let mut next = self.next_from(0);
        while let Some(topic) = next {
            if !keep(topic) {
                self.remove(topic);
            }
            next = self.next_from(topic.0 as usize + 1);
        }
    }

    fn take(&mut self, most: usize, mut accept: impl FnMut(LocalTopicId) -> bool) -> usize {
        let mut taken = 0;
        while taken < most
            && let Some(topic) = self.next_from(self.cursor).or_else(|| self.next_from(0))
            && accept(topic)
        {
            self.remove(topic);
            self.cursor = topic.0 as usize + 1;
            taken += 1;
        }
        taken
    }

    /// Returns the first topic whose bit is set, from a bit on.
    fn next_from(&self, bit: usize) -> Option<LocalTopicId> {
        let mut mask = u64::MAX << (bit % 64);
        for (index, word) in self.words.iter().enumerate().skip(bit / 64) {
            let found = word & mask;
            if found != 0 {
                let topic = index * 64 + found.trailing_zeros() as usize;
                return Some(LocalTopicId(u32::try_from(topic).expect("topics are below 2^32")));
            }
            mask = u64::MAX;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn insert(dirty: &mut DirtySet, topics: std::ops::Range<u32>) {
        for topic in topics {
            dirty.insert(LocalTopicId(topic));
        }
    }

    fn take(dirty: &mut DirtySet, most: usize) -> Vec<u32> {
        let mut taken = Vec::new();
        let count = dirty.take(most, |topic| {
            taken.push(topic.0);
            true
        });
        assert_eq!(count, taken.len());
        taken
    }

    #[test]
    fn removed_topics_are_not_taken() {
        for count in [10_u32, 300] {
            let mut dirty = DirtySet::default();
            insert(&mut dirty, 0..count);
            dirty.retain(0, |topic| topic.0 % 3 == 0);
            dirty.remove(LocalTopicId(3), 0);
            let kept: Vec<u32> = (0..count).step_by(3).filter(|topic| *topic != 3).collect();
            assert_eq!(take(&mut dirty, usize::MAX), kept);
        }
    }

    #[test]
    fn few_topics_leave_in_the_order_in_which_they_became_dirty() {
        let mut dirty = DirtySet::default();
        for topic in [5, 900, 5, 2, 900] {
            dirty.insert(LocalTopicId(topic));
        }
        assert_eq!(dirty.len(), 3);
        assert_eq!(take(&mut dirty, 2), [5, 900]);
        assert!(dirty.insert(LocalTopicId(5)), "it was taken, so it is not dirty");
        assert_eq!(take(&mut dirty, 9), [2, 5]);
        assert!(dirty.is_empty());
    }

    #[test]
    fn refused_topic_is_taken_first_the_next_time() {
        for count in [3_u32, 500] {
            let mut dirty = DirtySet::default();
            insert(&mut dirty, 0..count);
            assert_eq!(dirty.take(usize::MAX, |topic| topic.0 < 2), 2);
            assert_eq!(take(&mut dirty, 1), [2]);
        }
    }

    #[test]
    fn busy_topics_do_not_keep_others_waiting() {
        let mut dirty = DirtySet::default();
        let mut seen = BTreeSet::new();
        for _ in 0..100 {
            insert(&mut dirty, 0..1_000);
            seen.extend(take(&mut dirty, 10)); // a slow socket: ten at a time
        }
        assert_eq!(seen.len(), 1_000);
    }

    #[test]
    fn many_topics_cost_a_bit_each_and_an_empty_set_costs_nothing() {
        let mut dirty = DirtySet::default();
        for _ in 0..3 {
            insert(&mut dirty, 0..100_000);
        }
        assert_eq!(dirty.len(), 100_000);
        let DirtySet::Many(bitmap) = &dirty else { panic!("a list of {}", dirty.len()) };
        assert!(bitmap.words.capacity() * 8 < 40_000);
        for topic in (0..100_000).step_by(2).chain([1_000_000]) {
            dirty.remove(LocalTopicId(topic), 0);
        }
        let left = take(&mut dirty, usize::MAX);
        assert_eq!(left.len(), 50_000);
        assert!(left.iter().all(|topic| topic % 2 == 1));
        assert!(matches!(dirty, DirtySet::Few(list) if list.capacity() == 0));
    }
}
