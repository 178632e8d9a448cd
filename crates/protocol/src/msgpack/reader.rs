//! Reads MessagePack values from a slice, checking every length against what is left of it.

use rmp::Marker;

use crate::ValueError;

/// A position in a MessagePack buffer.
#[derive(Debug, Clone)]
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

    /// Takes a nil, if one comes next.
    pub(crate) fn nil(&mut self) -> bool {
        let nil = self.rest.first() == Some(&Marker::Null.to_u8());
        if nil {
            self.rest = &self.rest[1..];
        }
        nil
    }

    /// The length of an array whose elements come next; at most the number of bytes left, since
    /// every element has one at least.
    pub(crate) fn array_len(&mut self) -> Result<usize, ValueError> {
        let len = match self.marker()? {
            Marker::FixArray(len) => u64::from(len),
            Marker::Array16 => self.be(2)?,
            Marker::Array32 => self.be(4)?,
            other => return Err(mismatch("an array", other)),
        };
        self.checked(len)
    }

    pub(crate) fn uint(&mut self) -> Result<u64, ValueError> {
        let marker = self.marker()?;
        let signed = match marker {
            Marker::FixPos(value) => return Ok(u64::from(value)),
            Marker::U8 => return self.be(1),
            Marker::U16 => return self.be(2),
            Marker::U32 => return self.be(4),
            Marker::U64 => return self.be(8),
            Marker::FixNeg(value) => i64::from(value),
            Marker::I8 => i64::from(i8::from_be_bytes(self.array()?)),
            Marker::I16 => i64::from(i16::from_be_bytes(self.array()?)),
            Marker::I32 => i64::from(i32::from_be_bytes(self.array()?)),
            Marker::I64 => i64::from_be_bytes(self.array()?),
            other => return Err(mismatch("an unsigned integer", other)),
        };
        u64::try_from(signed)
            .map_err(|_| ValueError::Invalid(format!("{signed}: expected an unsigned integer")))
    }

    /// A float or an integer, as a float.
    pub(crate) fn number(&mut self) -> Result<f64, ValueError> {
        let integer = self.clone();
        match self.marker()? {
            Marker::F64 => Ok(f64::from_be_bytes(self.array()?)),
            Marker::F32 => Ok(f64::from(f32::from_be_bytes(self.array()?))),
            Marker::FixNeg(value) => Ok(f64::from(value)),
            Marker::I8 => Ok(f64::from(i8::from_be_bytes(self.array()?))),
            Marker::I16 => Ok(f64::from(i16::from_be_bytes(self.array()?))),
            Marker::I32 => Ok(f64::from(i32::from_be_bytes(self.array()?))),
            Marker::I64 => Ok(i64::from_be_bytes(self.array()?) as f64),
            Marker::FixPos(_) | Marker::U8 | Marker::U16 | Marker::U32 | Marker::U64 => {
                *self = integer;
                self.uint().map(|value| value as f64)
            }
            other => Err(mismatch("a number", other)),
        }
    }

    pub(crate) fn str(&mut self) -> Result<&'a str, ValueError> {
        let len = match self.marker()? {
            Marker::FixStr(len) => u64::from(len),
            Marker::Str8 => self.be(1)?,
            Marker::Str16 => self.be(2)?,
            Marker::Str32 => self.be(4)?,
            other => return Err(mismatch("a string", other)),
        };
        let bytes = self.take(len)?;
        std::str::from_utf8(bytes)
            .map_err(|_| ValueError::Invalid("a string that is not UTF-8".to_owned()))
    }

    /// Passes over one value of any kind, without recursion.
    pub(crate) fn skip(&mut self) -> Result<(), ValueError> {
        let mut left = 1_u64;
        while left > 0 {
            left -= 1;
            let body = match self.marker()? {
                Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null => 0,
                Marker::True | Marker::False | Marker::Reserved => 0,
                Marker::U8 | Marker::I8 => 1,
                Marker::U16 | Marker::I16 => 2,
                Marker::U32 | Marker::I32 | Marker::F32 => 4,
                Marker::U64 | Marker::I64 | Marker::F64 => 8,
                Marker::FixStr(len) => u64::from(len),
                Marker::Str8 | Marker::Bin8 => self.be(1)?,
                Marker::Str16 | Marker::Bin16 => self.be(2)?,
                Marker::Str32 | Marker::Bin32 => self.be(4)?,
                Marker::FixExt1 => 2,
                Marker::FixExt2 => 3,
                Marker::FixExt4 => 5,
                Marker::FixExt8 => 9,
                Marker::FixExt16 => 17,
                Marker::Ext8 => self.be(1)? + 1,
                Marker::Ext16 => self.be(2)? + 1,
                Marker::Ext32 => self.be(4)? + 1,
                Marker::FixArray(len) => self.nested(&mut left, u64::from(len))?,
                Marker::Array16 => {
                    let len = self.be(2)?;
                    self.nested(&mut left, len)?
                }
                Marker::Array32 => {
                    let len = self.be(4)?;
                    self.nested(&mut left, len)?
                }
                Marker::FixMap(len) => self.nested(&mut left, 2 * u64::from(len))?,
                Marker::Map16 => {
                    let len = self.be(2)?;
                    self.nested(&mut left, 2 * len)?
                }
                Marker::Map32 => {
                    let len = self.be(4)?;
                    self.nested(&mut left, 2 * len)?
                }
            };
            self.take(body)?;
        }
        Ok(())
    }

    /// Counts the values inside a container as still to be passed over; none of them are bytes of
    /// its own.
    fn nested(&self, left: &mut u64, values: u64) -> Result<u64, ValueError> {
        self.checked(values)?;
        *left += values;
        Ok(0)
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

    /// A big-endian number of so many bytes.
    fn be(&mut self, bytes: u64) -> Result<u64, ValueError> {
        Ok(self.take(bytes)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
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
