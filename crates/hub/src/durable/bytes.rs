//! Integers and strings in the files of the log: little-endian, strings prefixed by their length.

/// Describes why the content of a file is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Damage(pub(super) &'static str);

pub(super) fn put_u32(out: &mut Vec<u8>, value: usize) {
    let value = u32::try_from(value).expect("one turn of the router is far below 4 GiB");
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_bytes(out: &mut Vec<u8>, value: &[u8]) {
    put_u32(out, value.len());
    out.extend_from_slice(value);
}

/// Reads what the `put_*` functions wrote, and checks every length against the remaining bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

const TOO_SHORT: Damage = Damage("unexpected end of data");

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(TOO_SHORT)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Damage> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Result<usize, Damage> {
        self.array().map(|bytes| u32::from_le_bytes(bytes) as usize)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Damage> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Damage> {
        let len = self.u32()?;
        let (taken, rest) = self.0.split_at_checked(len).ok_or(TOO_SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn str(&mut self) -> Result<&'a str, Damage> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Damage("a string is not UTF-8"))
    }

    /// Reads a count of items of at least `bytes_each` bytes, and rejects a count that the
    /// remaining bytes cannot hold.
    pub(super) fn count(&mut self, bytes_each: usize) -> Result<usize, Damage> {
        let count = self.u32()?;
        if count > self.0.len() / bytes_each { Err(TOO_SHORT) } else { Ok(count) }
    }

    pub(super) fn end(self) -> Result<(), Damage> {
        if self.0.is_empty() { Ok(()) } else { Err(Damage("unexpected data after the end")) }
    }
}
