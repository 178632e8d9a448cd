//! Quantiles of measured values.

/// Returns the value that a share of the values, from 0 to 1, does not exceed; `None` without
/// values. The values are in ascending order.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a length is a length"
)]
pub fn quantile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantile_is_taken_by_rank() {
        let values: Vec<u32> = (1..=200).collect();
        let at = |share| quantile(&values, share);
        assert_eq!(
            [at(0.0), at(0.5), at(0.99), at(1.0)],
            [Some(1), Some(100), Some(198), Some(200)]
        );
        assert_eq!(quantile(&[7], 0.01), Some(7));
        assert_eq!(quantile::<u32>(&[], 0.5), None);
    }
}
