//! Chooses which instrument is active next.

use super::random::Random;

/// A heavy-tailed choice among instruments: rank r (from 1) has weight 1 / (r + 1).
///
/// Uses Walker's alias method, which decides in constant time for any number of instruments.
#[derive(Debug)]
pub(super) struct Activity {
    slots: Vec<Slot>,
}

/// One of the equally likely slots of the alias method. `own_share` is the probability that the
/// slot yields its own index; otherwise it yields `alias`.
#[derive(Debug, Clone, Copy)]
struct Slot {
    own_share: f64,
    alias: usize,
}

impl Activity {
    /// Prepares the choice among `count` instruments, at least one.
    pub(super) fn new(count: usize) -> Self {
        let weight = |index: usize| 1.0 / (index as f64 + 2.0);
        let mean = (0..count).map(weight).sum::<f64>() / count as f64;
        let mut slots: Vec<_> = (0..count)
            .map(|index| Slot { own_share: weight(index) / mean, alias: index })
            .collect();
        let (mut small, mut large): (Vec<_>, Vec<_>) =
            (0..count).partition(|&index| slots[index].own_share < 1.0);
        // A cell below its share is filled from one above its share.
        while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
            slots[poor].alias = rich;
            slots[rich].own_share -= 1.0 - slots[poor].own_share;
            if slots[rich].own_share < 1.0 {
                small.extend(large.pop());
            }
        }
        Self { slots }
    }

    /// Returns the index of a randomly chosen instrument.
    pub(super) fn pick(&self, random: &mut Random) -> usize {
        let index = random.index(self.slots.len());
        let slot = self.slots[index];
        if random.chance(slot.own_share) { index } else { slot.alias }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choice_follows_the_weights() {
        let count = 50;
        let draws = 400_000;
        let activity = Activity::new(count);
        let mut random = Random::new(3);
        let mut hits = vec![0_u32; count];
        for _ in 0..draws {
            hits[activity.pick(&mut random)] += 1;
        }
        let total: f64 = (0..count).map(|index| 1.0 / (index as f64 + 2.0)).sum();
        for (index, &hits) in hits.iter().enumerate() {
            let expected = f64::from(draws) / (index as f64 + 2.0) / total;
            let deviation = (f64::from(hits) - expected).abs();
            assert!(deviation < 5.0 * expected.sqrt(), "{index}: {hits} of {expected}");
        }
    }
}
