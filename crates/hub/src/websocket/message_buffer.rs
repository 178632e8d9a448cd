//! The bytes of a message that arrives in pieces.

use bytes::Bytes;

use super::message_budget::{BudgetAccount, Reservation};
use super::{MessageError, Payload};

/// Memory of a message that does not count in the budget, in bytes.
const UNCOUNTED_BYTES: usize = 16 * 1024;
/// Step in which the memory of a larger message grows, in bytes.
const SEGMENT_BYTES: usize = 8 * 1024;

/// Collects the bytes of a message. Its memory exceeds the bytes by at most 16 KiB: it grows with
/// the bytes that arrive, in segments, so that growing copies none of them.
#[derive(Debug, Default)]
pub(crate) struct MessageBuffer {
    /// The first segment. It alone grows in place.
    first: Vec<u8>,
    later: Vec<Vec<u8>>,
    len: usize,
    /// Capacity of all segments together.
    capacity: usize,
    reservation: Option<Reservation>,
}

impl MessageBuffer {
    /// Returns the number of bytes.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Appends bytes. Calls `transform` for each piece of them as it is stored.
    ///
    /// # Errors
    /// If the message is evicted from the budget, or `transform` fails.
    pub(crate) fn append(
        &mut self,
        mut bytes: &[u8],
        account: &BudgetAccount,
        mut transform: impl FnMut(&mut [u8]) -> Result<(), MessageError>,
    ) -> Result<(), MessageError> {
        while !bytes.is_empty() {
            let segment = self.segment_with_room(bytes.len(), account)?;
            let start = segment.len();
            let count = bytes.len().min(segment.capacity() - start);
            segment.extend_from_slice(&bytes[..count]);
            transform(&mut segment[start..])?;
            self.len += count;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Returns the bytes in one piece.
    pub(crate) fn finish(self) -> Payload {
        let Self { first: mut whole, later, len, reservation, .. } = self;
        whole.reserve_exact(len - whole.len());
        for segment in later {
            whole.extend_from_slice(&segment);
        }
        Payload { bytes: Bytes::from(whole), is_compressed: false, reservation }
    }

    pub(crate) fn is_evicted(&self) -> bool {
        self.reservation.as_ref().is_some_and(Reservation::is_evicted)
    }

    /// Returns the memory of the segments, in bytes.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        let table = self.later.capacity() * size_of::<Vec<u8>>();
        self.first.capacity() + table + self.later.iter().map(Vec::capacity).sum::<usize>()
    }

    /// Returns a segment with room for at least one of `wanted` further bytes.
    fn segment_with_room(
        &mut self,
        wanted: usize,
        account: &BudgetAccount,
    ) -> Result<&mut Vec<u8>, MessageError> {
        let last = self.later.last().unwrap_or(&self.first);
        if last.len() == last.capacity() {
            if self.len + wanted <= UNCOUNTED_BYTES {
                let capacity = (self.len + wanted).max(2 * self.len).min(UNCOUNTED_BYTES);
                self.first.reserve_exact(capacity - self.len);
                self.capacity = self.first.capacity();
            } else {
                let bytes = wanted.max(SEGMENT_BYTES);
                self.reserve(bytes, account)?;
                let segment = Vec::with_capacity(bytes);
                if self.len == 0 { self.first = segment } else { self.later.push(segment) }
            }
        }
        Ok(self.later.last_mut().unwrap_or(&mut self.first))
    }

    /// Reserves a further segment in the budget. The first 16 KiB of a message do not count, so a
    /// message never counts for more than its bytes.
    fn reserve(&mut self, bytes: usize, account: &BudgetAccount) -> Result<(), MessageError> {
        let counted = self.capacity.saturating_sub(UNCOUNTED_BYTES);
        self.capacity += bytes;
        match self.capacity.saturating_sub(UNCOUNTED_BYTES) - counted {
            0 => {}
            more => match &self.reservation {
                Some(reservation) => reservation.grow(more)?,
                None => self.reservation = Some(account.reserve(more)?),
            },
        }
        Ok(())
    }
}
