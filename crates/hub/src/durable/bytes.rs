//! Numbers and strings in the files of the log: little-endian, strings behind their length.

/// Something in a file is not what was written there.
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

/// Reads what the functions above wrote, checking every length against what is left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

const ENDS: Damage = Damage("it ends too early");

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(ENDS)?;
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
        let (taken, rest) = self.0.split_at_checked(len).ok_or(ENDS)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn str(&mut self) -> Result<&'a str, Damage> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Damage("a string that is not UTF-8"))
    }

    /// How many things of at least `bytes_each` follow: never more than there is room for.
    pub(super) fn count(&mut self, bytes_each: usize) -> Result<usize, Damage> {
        let count = self.u32()?;
        if count > self.0.len() / bytes_each { Err(ENDS) } else { Ok(count) }
    }

    pub(super) fn end(self) -> Result<(), Damage> {
        if self.0.is_empty() { Ok(()) } else { Err(Damage("it goes on behind its end")) }
    }
}
