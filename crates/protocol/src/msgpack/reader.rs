//! Reads MessagePack values from a slice, checking every length against what is left of it.

use rmp::Marker;

use crate::{CONDITIONS_MAX, Conditions, UnixNanos, ValueError};

/// Type of the timestamp extension, -1.
const TIMESTAMP: u8 = 0xff;
const NANOS: u64 = 1_000_000_000;

/// A position in a MessagePack buffer.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes that have not been read.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether the next value is a map.
    pub(crate) fn at_map(&self) -> bool {
        self.rest.first().is_some_and(|first| {
            matches!(Marker::from_u8(*first), Marker::FixMap(_) | Marker::Map16 | Marker::Map32)
        })
    }

    /// Whether the next value is an array.
    pub(crate) fn at_array(&self) -> bool {
        self.rest.first().is_some_and(|first| {
            let marker = Marker::from_u8(*first);
            matches!(marker, Marker::FixArray(_) | Marker::Array16 | Marker::Array32)
        })
    }

    /// Whether the next value is a string.
    pub(crate) fn at_str(&self) -> bool {
        self.rest.first().is_some_and(|first| {
            let marker = Marker::from_u8(*first);
            matches!(marker, Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32)
        })
    }

    /// Whether the next value is nil.
    pub(crate) fn at_nil(&self) -> bool {
        self.rest.first() == Some(&Marker::Null.to_u8())
    }

    /// The length of an array whose elements come next; at most the number of bytes left, since
    /// every element has one at least.
    pub(crate) fn array_len(&mut self) -> Result<usize, ValueError> {
        let len = match self.marker()? {
            Marker::FixArray(len) => u64::from(len),
            Marker::Array16 => self.len16()?,
            Marker::Array32 => self.len32()?,
            other => return Err(mismatch("an array", other)),
        };
        self.checked(len)
    }

    /// How many pairs of key and value come next, as a map.
    pub(crate) fn map_len(&mut self) -> Result<usize, ValueError> {
        let len = match self.marker()? {
            Marker::FixMap(len) => u64::from(len),
            Marker::Map16 => self.len16()?,
            Marker::Map32 => self.len32()?,
            other => return Err(mismatch("a map", other)),
        };
        self.checked(2 * len).map(|values| values / 2)
    }

    /// A timestamp extension in any of its three forms.
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
                let both = u64::from_be_bytes(self.array()?);
                (both & ((1 << 34) - 1), both >> 34)
            }
            12 => {
                let fraction = u32::from_be_bytes(self.array()?);
                let seconds = i64::from_be_bytes(self.array()?);
                (u64::try_from(seconds).unwrap_or(u64::MAX), u64::from(fraction))
            }
            _ => return Err(mismatch("a timestamp", Marker::Ext8)),
        };
        let nanos = seconds.checked_mul(NANOS).and_then(|nanos| nanos.checked_add(fraction));
        nanos.filter(|_| fraction < NANOS).and_then(UnixNanos::new).ok_or_else(|| {
            ValueError::Invalid("a timestamp outside of 1970 to 2262, or malformed".to_owned())
        })
    }

    /// Condition codes; nil is none.
    pub(crate) fn conditions(&mut self) -> Result<Conditions, ValueError> {
        let mut conditions = Conditions::default();
        if self.at_nil() {
            self.marker()?;
            return Ok(conditions);
        }
        let len = self.array_len()?;
        if len > CONDITIONS_MAX {
            let (value, limit) = (len as u64, CONDITIONS_MAX as u64);
            return Err(ValueError::TooLarge { value, limit });
        }
        for _ in 0..len {
            conditions.push(self.str()?)?;
        }
        Ok(conditions)
    }

    pub(crate) fn uint(&mut self) -> Result<u64, ValueError> {
        let marker = self.marker()?;
        let value = self.integer(marker, "an unsigned integer")?;
        u64::try_from(value)
            .map_err(|_| ValueError::Invalid(format!("{value}: expected an unsigned integer")))
    }

    /// A float or an integer, as a float.
    pub(crate) fn number(&mut self) -> Result<f64, ValueError> {
        match self.marker()? {
            Marker::F64 => self.array().map(f64::from_be_bytes),
            Marker::F32 => self.array().map(f32::from_be_bytes).map(f64::from),
            other => self.integer(other, "a number").map(|value| value as f64),
        }
    }

    /// The integer behind a marker; `i128` holds both `u64` and `i64`.
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
            .map_err(|_| ValueError::Invalid("a string that is not UTF-8".to_owned()))
    }

    /// The bytes of one value of any kind.
    pub(crate) fn value(&mut self) -> Result<&'a [u8], ValueError> {
        let start = self.rest;
        self.skip()?;
        Ok(&start[..start.len() - self.rest.len()])
    }

    /// Passes over one value of any kind, without recursion.
    pub(crate) fn skip(&mut self) -> Result<(), ValueError> {
        let mut left = 1_u64;
        while left > 0 {
            let marker = self.marker()?;
            let (body_bytes, values) = self.extent(marker)?;
            self.take(body_bytes)?;
            // Every value has a byte at least, so what is left bounds how many can follow.
            left = left - 1 + self.checked(values)? as u64;
        }
        Ok(())
    }

    /// How many bytes follow the marker and its length, and how many values follow those.
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
            // The type of an extension is one byte more.
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

    /// A length that the rest of the buffer can hold.
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
