//! What a `latest` session still has to be sent: topics, not ticks.

use super::topics::LocalId;

/// Topics whose newest tick a session is owed, each once. They leave in the order they came while they
/// are few, and in turn when they are many, so that none waits forever behind busier ones.
#[derive(Debug)]
pub(crate) enum Marks {
    /// Oldest first.
    Few(Vec<LocalId>),
    /// A bit per topic of the shard.
    Many(Bitmap),
}

/// Marks kept as a list: so many are searched faster than a map is reached.
const FEW: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Bitmap {
    words: Vec<u64>,
    /// Invariant: the number of bits that are set.
    count: usize,
    /// Where the next look begins.
    cursor: usize,
}

impl Default for Marks {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Marks {
    /// Says whether the topic was not marked before.
    pub(crate) fn insert(&mut self, topic: LocalId) -> bool {
        let marked = match self {
            Self::Few(list) => list.contains(&topic),
            Self::Many(bitmap) => bitmap.contains(topic),
        };
        if !marked {
            self.insert_new(topic);
        }
        !marked
    }

    /// Marks a topic that is known not to be marked.
    #[inline]
    pub(crate) fn insert_new(&mut self, topic: LocalId) {
        match self {
            Self::Few(list) if list.len() < FEW => list.push(topic),
            Self::Few(list) => {
                let mut bitmap = Bitmap::default();
                for marked in &*list {
                    bitmap.insert(*marked);
                }
                bitmap.cursor = list[0].0 as usize; // about where the longest wait is
                bitmap.insert(topic);
                *self = Self::Many(bitmap);
            }
            Self::Many(bitmap) => bitmap.insert(topic),
        }
    }

    /// Takes a topic away. Says how many of the first `line` are left: at least so many for a map,
    /// where nobody knows who is among them.
    pub(crate) fn remove(&mut self, topic: LocalId, line: usize) -> usize {
        let left = match self {
            Self::Few(list) => {
                let place = list.iter().position(|marked| *marked == topic);
                place.map(|place| list.remove(place));
                line - usize::from(place.is_some_and(|place| place < line))
            }
            Self::Many(bitmap) => line.saturating_sub(usize::from(bitmap.remove(topic))),
        };
        self.settle();
        left
    }

    /// Keeps some topics. Says how many of the first `line` are left, as [`Marks::remove`] does.
    pub(crate) fn retain(&mut self, line: usize, mut keep: impl FnMut(LocalId) -> bool) -> usize {
        let before = self.len();
        let left = match self {
            Self::Few(list) => {
                let (mut place, mut left) = (0, 0);
                list.retain(|topic| {
                    let kept = keep(*topic);
                    left += usize::from(kept && place < line);
                    place += 1;
                    kept
                });
                left
            }
            Self::Many(bitmap) => {
                bitmap.retain(keep);
                line.saturating_sub(before - bitmap.count)
            }
        };
        self.settle();
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

    /// Offers marked topics in turn, `most` at the most, until one is not accepted; takes the accepted
    /// ones away and says how many they were.
    pub(crate) fn take(&mut self, most: usize, mut accept: impl FnMut(LocalId) -> bool) -> usize {
        let taken = match self {
            Self::Few(list) => {
                let offered = list.iter().take(most);
                let taken = offered.take_while(|topic| accept(**topic)).count();
                list.drain(..taken);
                taken
            }
            Self::Many(bitmap) => bitmap.take(most, accept),
        };
        self.settle();
        taken
    }

    /// Gives memory back, for a session that has been quiet.
    pub(crate) fn release(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// A bitmap without bits becomes a list again.
    fn settle(&mut self) {
        if let Self::Many(Bitmap { count: 0, .. }) = self {
            *self = Self::default();
        }
    }
}

impl Bitmap {
    fn contains(&self, LocalId(topic): LocalId) -> bool {
        let word = self.words.get(topic as usize / 64);
        word.is_some_and(|word| word & 1 << (topic % 64) != 0)
    }

    fn insert(&mut self, LocalId(topic): LocalId) {
        let (word, bit) = (topic as usize / 64, 1 << (topic % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.count += usize::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
    }

    /// Says whether the topic was marked.
    fn remove(&mut self, LocalId(topic): LocalId) -> bool {
        let (word, bit) = (topic as usize / 64, 1 << (topic % 64));
        match self.words.get_mut(word) {
            Some(word) if *word & bit != 0 => {
                *word &= !bit;
                self.count -= 1;
                true
            }
            _ => false,
        }
    }

    fn retain(&mut self, mut keep: impl FnMut(LocalId) -> bool) {
        let mut next = self.next_from(0);
        while let Some(topic) = next {
            if !keep(topic) {
                self.remove(topic);
            }
            next = self.next_from(topic.0 as usize + 1);
        }
    }

    fn take(&mut self, most: usize, mut accept: impl FnMut(LocalId) -> bool) -> usize {
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

    /// The first marked topic from a bit on.
    fn next_from(&self, bit: usize) -> Option<LocalId> {
        let mut mask = u64::MAX << (bit % 64);
        for (at, word) in self.words.iter().enumerate().skip(bit / 64) {
            let found = word & mask;
            if found != 0 {
                let topic = at * 64 + found.trailing_zeros() as usize;
                return Some(LocalId(u32::try_from(topic).expect("topics are below 2^32")));
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

    fn mark(marks: &mut Marks, topics: std::ops::Range<u32>) {
        for topic in topics {
            marks.insert(LocalId(topic));
        }
    }

    fn all(marks: &mut Marks, most: usize) -> Vec<u32> {
        let mut taken = Vec::new();
        let count = marks.take(most, |topic| {
            taken.push(topic.0);
            true
        });
        assert_eq!(count, taken.len());
        taken
    }

    #[test]
    fn what_is_not_kept_is_gone() {
        for count in [10_u32, 300] {
            let mut marks = Marks::default();
            mark(&mut marks, 0..count);
            marks.retain(0, |topic| topic.0 % 3 == 0);
            marks.remove(LocalId(3), 0);
            let kept: Vec<u32> = (0..count).step_by(3).filter(|topic| *topic != 3).collect();
            assert_eq!(all(&mut marks, usize::MAX), kept);
        }
    }

    #[test]
    fn few_topics_leave_in_the_order_of_their_first_marks() {
        let mut marks = Marks::default();
        for topic in [5, 900, 5, 2, 900] {
            marks.insert(LocalId(topic));
        }
        assert_eq!(marks.len(), 3);
        assert_eq!(all(&mut marks, 2), [5, 900]);
        assert!(marks.insert(LocalId(5)), "it was taken, so it counts anew");
        assert_eq!(all(&mut marks, 9), [2, 5]);
        assert!(marks.is_empty());
    }

    #[test]
    fn a_topic_that_is_not_accepted_stays_the_next() {
        for count in [3_u32, 500] {
            let mut marks = Marks::default();
            mark(&mut marks, 0..count);
            assert_eq!(marks.take(usize::MAX, |topic| topic.0 < 2), 2);
            assert_eq!(all(&mut marks, 1), [2]);
        }
    }

    #[test]
    fn busy_topics_do_not_keep_the_others_waiting() {
        let mut marks = Marks::default();
        let mut seen = BTreeSet::new();
        for _ in 0..100 {
            mark(&mut marks, 0..1_000);
            seen.extend(all(&mut marks, 10)); // a slow socket: ten at a time
        }
        assert_eq!(seen.len(), 1_000);
    }

    #[test]
    fn many_marks_cost_a_bit_per_topic_and_nothing_once_they_have_left() {
        let mut marks = Marks::default();
        for _ in 0..3 {
            mark(&mut marks, 0..100_000);
        }
        assert_eq!(marks.len(), 100_000);
        let Marks::Many(bitmap) = &marks else { panic!("a list of {}", marks.len()) };
        assert!(bitmap.words.capacity() * 8 < 40_000);
        for topic in (0..100_000).step_by(2).chain([1_000_000]) {
            marks.remove(LocalId(topic), 0);
        }
        let left = all(&mut marks, usize::MAX);
        assert_eq!(left.len(), 50_000);
        assert!(left.iter().all(|topic| topic % 2 == 1));
        assert!(matches!(marks, Marks::Few(list) if list.capacity() == 0));
    }
}
