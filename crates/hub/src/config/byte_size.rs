//! Sizes in bytes, written with their unit: `512MiB`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of bytes. Its text form is a whole number and a unit, such as `65535B`, `512MiB` or
/// `8GiB`, on the command line as in the config file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

/// Units from the largest to the smallest, with their sizes in bytes.
const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// The text is not a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a size with its unit such as 64KiB, 512MiB or 8GiB")]
pub struct ByteSizeError;

impl ByteSize {
    /// Returns a size of this many bytes.
    #[must_use]
    pub const fn bytes(count: u64) -> Self {
        Self(count)
    }

    /// Returns a size of this many times 1,024 bytes.
    #[must_use]
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    /// Returns a size of this many times 1,024² bytes.
    #[must_use]
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// Returns a size of this many times 1,024³ bytes.
    #[must_use]
    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }

    /// Returns a size of this many times 1,024⁴ bytes.
    #[must_use]
    pub const fn tib(count: u64) -> Self {
        Self(count << 40)
    }

    /// Returns the size as a number of bytes.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Returns the size as a number of bytes in memory: `usize::MAX` if the size exceeds the
    /// address space.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Writes the size in the largest unit that divides it: `1MiB`, but `65535B`.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let divides = |(_, size): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(*size);
        let (unit, size) = UNITS.iter().find(divides).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / size)
    }
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let (number, size) = UNITS
            .iter()
            .find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size)))
            .ok_or(ByteSizeError)?;
        let number: u64 = number.trim_end().parse().map_err(|_| ByteSizeError)?;
        number.checked_mul(size).map(Self).ok_or(ByteSizeError)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Visitor)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

struct Visitor;

impl de::Visitor<'_> for Visitor {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size with its unit such as \"64KiB\", \"512MiB\" or \"8GiB\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
        text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_read_back_as_the_same_size() {
        for (size, text) in [
            (ByteSize::gib(8), "8GiB"),
            (ByteSize::mib(1_536), "1536MiB"),
            (ByteSize::bytes(65_535), "65535B"),
            (ByteSize::bytes(0), "0B"),
            (ByteSize::tib(1), "1TiB"),
        ] {
            assert_eq!(size.to_string(), text);
            assert_eq!(text.parse(), Ok(size));
        }
        assert_eq!("12 KiB".parse(), Ok(ByteSize::kib(12)));
    }

    #[test]
    fn sizes_without_a_known_unit_are_refused() {
        for wrong in ["", "7", "8GB", "-1B", "1.5GiB", "GiB", "99999999TiB"] {
            assert_eq!(wrong.parse::<ByteSize>(), Err(ByteSizeError), "{wrong}");
        }
    }
}
