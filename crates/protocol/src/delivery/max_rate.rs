//! The rate limit of [`Delivery::Latest`](super::Delivery::Latest).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::ValueError;
use crate::thousandths::Thousandths;

/// How often a session with [`Delivery::Latest`](crate::Delivery::Latest) receives new values: 0.1
/// to 1000 times per second, rounded to thousandths. On the wire it is the number `max_rate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaxRate(Thousandths);

impl MaxRate {
    /// The lowest rate: once in ten seconds.
    pub const MIN: Self = Self(Thousandths(100));
    /// The highest rate: 1000 times per second.
    pub const MAX: Self = Self(Thousandths(1_000_000));

    /// Creates a rate from times per second, rounded to thousandths.
    ///
    /// # Errors
    /// Fails unless the number is within 0.1 to 1000.
    pub fn per_second(rate: f64) -> Result<Self, ValueError> {
        Thousandths::within(rate, Self::MIN.0, Self::MAX.0).map(Self).ok_or_else(|| {
            let min = Self::MIN;
            let max = Self::MAX;
            ValueError::Invalid(format!("{rate} a second: expected {min} to {max}"))
        })
    }

    /// Returns the time between two deliveries, in nanoseconds, rounded down.
    #[must_use]
    pub const fn interval_ns(self) -> u64 {
        1_000_000_000_000 / self.0.0 as u64
    }

    /// Returns the rate as times per second.
    #[must_use]
    pub const fn as_f64(self) -> f64 {
        self.0.as_f64()
    }
}

impl fmt::Display for MaxRate {
    /// Writes the times per second in the shortest form: `10`, `0.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_f64(), f)
    }
}

impl Serialize for MaxRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for MaxRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::per_second(f64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_limited_and_rounded_to_thousandths() {
        let rate = |per_second| MaxRate::per_second(per_second).unwrap();
        assert_eq!(rate(0.1), MaxRate::MIN);
        assert_eq!(rate(1000.0), MaxRate::MAX);
        assert_eq!(rate(2.0004), rate(2.0));
        assert!(rate(2.0006) > rate(2.0));
        assert_eq!([rate(10.0), rate(0.5)].map(|rate| rate.to_string()), ["10", "0.5"]);
        for outside in [0.099, 1000.001, 0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = MaxRate::per_second(outside).unwrap_err().to_string();
            assert_eq!(error, format!("{outside} a second: expected 0.1 to 1000"));
        }
    }

    #[test]
    fn interval_is_the_reciprocal_of_the_rate() {
        let interval = |per_second| MaxRate::per_second(per_second).unwrap().interval_ns();
        assert_eq!([0.1, 3.0, 1000.0].map(interval), [10_000_000_000, 333_333_333, 1_000_000]);
    }
}
