//! Reads MessagePack values from a slice. Every length is checked against the bytes that are left
//! before it is used.

use rmp::Marker;

use crate::{Conditions, UnixNanos, ValueError};

/// Type of the timestamp extension: -1.
const TIMESTAMP: u8 = 0xff;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A cursor in a MessagePack message.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns the bytes that have not been read.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Returns whether the next value is a map.
    pub(crate) fn at_map(&self) -> bool {
        self.rest.first().is_some_and(|first| {
            matches!(Marker::from_u8(*first), Marker::FixMap(_) | Marker::Map16 | Marker::Map32)
        })
    }

    /// Returns whether the next value is an array.
    pub(crate) fn at_array(&self) -> bool {
        self.rest.first().is_some_and(|first| {
            let marker = Marker::from_u8(*first);
            matches!(marker, Marker::FixArray(_) | Marker::Array16 | Marker::Array32)
        })
    }

    /// Returns whether the next value is a string.
    pub(crate) fn at_str(&self) -> bool {
        self.rest.first().is_some_and(|first| {
            let marker = Marker::from_u8(*first);
            matches!(marker, Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32)
        })
    }

    /// Returns whether the next value is nil.
    pub(crate) fn at_nil(&self) -> bool {
        self.rest.first() == Some(&Marker::Null.to_u8())
    }

    /// Reads the header of an array and returns its length. The length is at most the number of
    /// bytes left, because every element takes at least one byte.
    pub(crate) fn array_len(&mut self) -> Result<usize, ValueError> {
        let len = match self.marker()? {
            Marker::FixArray(len) => u64::from(len),
            Marker::Array16 => self.len16()?,
            Marker::Array32 => self.len32()?,
            other => return Err(mismatch("an array", other)),
        };
        self.checked(len)
    }

    /// Reads the header of a map and returns its number of entries, which is bounded like the
    /// length of an array.
    pub(crate) fn map_len(&mut self) -> Result<usize, ValueError> {
        let len = match self.marker()? {
            Marker::FixMap(len) => u64::from(len),
            Marker::Map16 => self.len16()?,
            Marker::Map32 => self.len32()?,
            other => return Err(mismatch("a map", other)),
        };
        self.checked(2 * len).map(|values| values / 2)
    }

    /// Reads a timestamp extension in any of its three forms.
    pub(crate) fn time(&mut self) -> Result<UnixNanos, ValueError> {
        let body_bytes = match self.marker()? {
            Marker::FixExt4 => 4,
            Marker::FixExt8 => 8,
            Marker::Ext8 => self.len8()?,
            other => return Err(mismatch("a timestamp", other)),
        };
        let [kind] = self.array()?;
        if kind != TIMESTAMP {
            return Err(mismatch("a timestamp", Marker::Ext8));
        }
        let (seconds, fraction) = match body_bytes {
            4 => (u64::from(u32::from_be_bytes(self.array()?)), 0),
            8 => {
                let packed = u64::from_be_bytes(self.array()?);
                (packed & ((1 << 34) - 1), packed >> 34)
            }
            12 => {
                let fraction = u32::from_be_bytes(self.array()?);
                let seconds = i64::from_be_bytes(self.array()?);
                (u64::try_from(seconds).unwrap_or(u64::MAX), u64::from(fraction))
            }
            _ => return Err(mismatch("a timestamp", Marker::Ext8)),
        };
        let nanos =
            seconds.checked_mul(NANOS_PER_SECOND).and_then(|nanos| nanos.checked_add(fraction));
        nanos
            .filter(|_| fraction < NANOS_PER_SECOND)
            .and_then(UnixNanos::new)
            .ok_or_else(|| ValueError::Invalid("expected a timestamp of 1970 to 2262".to_owned()))
    }

    /// Reads an array of condition codes; nil stands for an empty array.
    pub(crate) fn conditions(&mut self) -> Result<Conditions, ValueError> {
        let mut conditions = Conditions::default();
        if self.at_nil() {
            self.marker()?;
            return Ok(conditions);
        }
        let len = self.array_len()?;
        Conditions::check_count(len)?;
        for _ in 0..len {
            conditions.push(self.str()?)?;
        }
        Ok(conditions)
    }

    /// Reads an integer of any form, which must not be negative.
    pub(crate) fn uint(&mut self) -> Result<u64, ValueError> {
        let marker = self.marker()?;
        let value = self.integer(marker, "an unsigned integer")?;
        u64::try_from(value)
            .map_err(|_| ValueError::Invalid(format!("{value}: expected an unsigned integer")))
    }

    /// Reads a float or an integer, as a float.
    pub(crate) fn number(&mut self) -> Result<f64, ValueError> {
        match self.marker()? {
            Marker::F64 => self.array().map(f64::from_be_bytes),
            Marker::F32 => self.array().map(f32::from_be_bytes).map(f64::from),
            other => self.integer(other, "a number").map(|value| value as f64),
        }
    }

    /// Reads the integer that follows its marker; `i128` holds both `u64` and `i64`.
    #[inline]
    fn integer(&mut self, marker: Marker, expected: &'static str) -> Result<i128, ValueError> {
        Ok(match marker {
            Marker::FixPos(value) => value.into(),
            Marker::U8 => u8::from_be_bytes(self.array()?).into(),
            Marker::U16 => u16::from_be_bytes(self.array()?).into(),
            Marker::U32 => u32::from_be_bytes(self.array()?).into(),
            Marker::U64 => u64::from_be_bytes(self.array()?).into(),
            Marker::FixNeg(value) => value.into(),
            Marker::I8 => i8::from_be_bytes(self.array()?).into(),
            Marker::I16 => i16::from_be_bytes(self.array()?).into(),
            Marker::I32 => i32::from_be_bytes(self.array()?).into(),
            Marker::I64 => i64::from_be_bytes(self.array()?).into(),
            other => return Err(mismatch(expected, other)),
        })
    }

    /// Reads a string.
    pub(crate) fn str(&mut self) -> Result<&'a str, ValueError> {
        let len = match self.marker()? {
            Marker::FixStr(len) => u64::from(len),
            Marker::Str8 => self.len8()?,
            Marker::Str16 => self.len16()?,
            Marker::Str32 => self.len32()?,
            other => return Err(mismatch("a string", other)),
        };
        let bytes = self.take(len)?;
        std::str::from_utf8(bytes)
            .map_err(|_| ValueError::Invalid("expected a string of UTF-8".to_owned()))
    }

    /// Reads one value of any type and returns its bytes.
    pub(crate) fn value(&mut self) -> Result<&'a [u8], ValueError> {
        let start = self.rest;
        self.skip()?;
        Ok(&start[..start.len() - self.rest.len()])
    }

    /// Skips one value of any type. It does not recurse, so deep nesting cannot overflow the stack.
    pub(crate) fn skip(&mut self) -> Result<(), ValueError> {
        let mut left = 1_u64;
        while left > 0 {
            let marker = self.marker()?;
            let (body_bytes, values) = self.extent(marker)?;
            self.take(body_bytes)?;
            // Every value takes at least one byte, so the bytes left bound the values that can
            // follow.
            left = left - 1 + self.checked(values)? as u64;
        }
        Ok(())
    }

    /// Returns the number of bytes that follow the marker and its length, and the number of values
    /// that follow those bytes.
    fn extent(&mut self, marker: Marker) -> Result<(u64, u64), ValueError> {
        Ok(match marker {
            Marker::FixPos(_) | Marker::FixNeg(_) => (0, 0),
            Marker::Null | Marker::True | Marker::False => (0, 0),
            Marker::U8 | Marker::I8 => (1, 0),
            Marker::U16 | Marker::I16 => (2, 0),
            Marker::U32 | Marker::I32 | Marker::F32 => (4, 0),
            Marker::U64 | Marker::I64 | Marker::F64 => (8, 0),
            Marker::FixStr(len) => (len.into(), 0),
            Marker::Str8 | Marker::Bin8 => (self.len8()?, 0),
            Marker::Str16 | Marker::Bin16 => (self.len16()?, 0),
            Marker::Str32 | Marker::Bin32 => (self.len32()?, 0),
            // The type of an extension takes one more byte.
            Marker::FixExt1 => (1 + 1, 0),
            Marker::FixExt2 => (1 + 2, 0),
            Marker::FixExt4 => (1 + 4, 0),
            Marker::FixExt8 => (1 + 8, 0),
            Marker::FixExt16 => (1 + 16, 0),
            Marker::Ext8 => (1 + self.len8()?, 0),
            Marker::Ext16 => (1 + self.len16()?, 0),
            Marker::Ext32 => (1 + self.len32()?, 0),
            Marker::FixArray(len) => (0, len.into()),
            Marker::Array16 => (0, self.len16()?),
            Marker::Array32 => (0, self.len32()?),
            Marker::FixMap(len) => (0, 2 * u64::from(len)),
            Marker::Map16 => (0, 2 * self.len16()?),
            Marker::Map32 => (0, 2 * self.len32()?),
            Marker::Reserved => return Err(mismatch("a value", marker)),
        })
    }

    /// Returns `len`, or an error if fewer than `len` bytes are left.
    fn checked(&self, len: u64) -> Result<usize, ValueError> {
        match usize::try_from(len) {
            Ok(len) if len <= self.rest.len() => Ok(len),
            _ => Err(ValueError::Truncated),
        }
    }

    fn marker(&mut self) -> Result<Marker, ValueError> {
        let (first, rest) = self.rest.split_first().ok_or(ValueError::Truncated)?;
        self.rest = rest;
        Ok(Marker::from_u8(*first))
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], ValueError> {
        let len = self.checked(len)?;
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ValueError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(ValueError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn len8(&mut self) -> Result<u64, ValueError> {
        self.array().map(u8::from_be_bytes).map(u64::from)
    }

    fn len16(&mut self) -> Result<u64, ValueError> {
        self.array().map(u16::from_be_bytes).map(u64::from)
    }

    fn len32(&mut self) -> Result<u64, ValueError> {
        self.array().map(u32::from_be_bytes).map(u64::from)
    }
}

fn mismatch(expected: &'static str, found: Marker) -> ValueError {
    let found = match found {
        Marker::Null => "nil",
        Marker::True | Marker::False => "a boolean",
        Marker::F32 | Marker::F64 => "a float",
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => "a string",
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => "binary data",
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => "an array",
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => "a map",
        Marker::FixPos(_) | Marker::U8 | Marker::U16 | Marker::U32 | Marker::U64 => "an integer",
        Marker::FixNeg(_) | Marker::I8 | Marker::I16 | Marker::I32 | Marker::I64 => "an integer",
        Marker::Reserved => "an unused marker",
        _ => "an extension",
    };
    ValueError::Type { expected, found: found.to_owned() }
}
