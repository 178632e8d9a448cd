//! The payload of each tick: a marker by which ticks are counted, and the time the tick was due.

use memchr::memmem::Finder;

/// Precedes the stamp of every tick. Binary fields may contain these bytes by chance, so the
/// padding after the stamp is checked as well.
pub(crate) const MARKER: &[u8; 2] = b"@@";

/// Number of hexadecimal digits of the stamp, which follows the marker.
const STAMP_LEN: usize = 16;

/// Follows the stamp, so that a tick is about as large as a trade.
const PADDING: &[u8; 20] = b"xxxxxxxxxxxxxxxxxxxx";

/// Length of a payload in bytes.
pub(crate) const PAYLOAD_LEN: usize = MARKER.len() + STAMP_LEN + PADDING.len();

/// Appends marker, stamp (nanoseconds since the Unix epoch) and padding.
pub(crate) fn write_payload(stamp_ns: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(MARKER);
    for digit in (0..STAMP_LEN).rev() {
        let nibble = (stamp_ns >> (4 * digit)) & 15;
        out.push(b"0123456789abcdef"[nibble as usize]);
    }
    out.extend_from_slice(PADDING);
}

/// Parses the stamp at the start of the bytes after a marker; `None` if it is cut off or malformed.
pub(crate) fn read_stamp(after_marker: &[u8]) -> Option<u64> {
    let digits = after_marker.get(..STAMP_LEN)?;
    digits.iter().try_fold(0_u64, |stamp, digit| {
        let nibble = char::from(*digit).to_digit(16)?;
        Some(stamp << 4 | u64::from(nibble))
    })
}

/// Finds the payloads of ticks in a message.
#[derive(Debug)]
pub(crate) struct TickFinder(Finder<'static>);

impl TickFinder {
    pub(crate) fn new() -> Self {
        Self(Finder::new(MARKER))
    }

    /// Returns the bytes after the marker of each tick.
    pub(crate) fn find<'a>(&'a self, message: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let after_marker = self.0.find_iter(message).map(|at| &message[at + MARKER.len()..]);
        after_marker.filter(|rest| rest.get(STAMP_LEN) == Some(&PADDING[0]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_found_and_their_stamps_parsed() {
        let stamps = [0, 1, 0x0123_4567_89ab_cdef, u64::MAX];
        let mut message = b"[\"t\",".to_vec();
        for stamp in stamps {
            let before = message.len();
            write_payload(stamp, &mut message);
            assert_eq!(message.len() - before, PAYLOAD_LEN);
            message.push(b',');
        }
        let ticks = TickFinder::new();
        let found: Vec<_> = ticks.find(&message).map(read_stamp).collect();
        assert_eq!(found, stamps.map(Some));
    }

    #[test]
    fn marker_bytes_in_binary_fields_are_not_counted() {
        let mut message = b"\xcf\x18@@\x7f\x01\x02\x03\x04\xcb".to_vec(); // as in a timestamp
        write_payload(7, &mut message);
        message.extend_from_slice(b"\xcf@@\x01");
        let found: Vec<_> = TickFinder::new().find(&message).map(read_stamp).collect();
        assert_eq!(found, [Some(7)]);
    }

    #[test]
    fn stamp_that_is_cut_off_or_malformed_is_none() {
        assert_eq!(read_stamp(b"0123"), None);
        assert_eq!(read_stamp(b"0123456789abcdeg"), None);
    }
}
