//! Frames: checksummed pieces of a file.
//!
//! A frame is the length of its content (u32), the CRC-32 of the content, the CRC-32 of these eight
//! bytes, and the content. This distinguishes a frame that was not completely written from a
//! damaged one.

use super::bytes::put_u32;

const HEADER_BYTES: usize = 12;

/// Appends a frame whose content `write` appends.
pub(super) fn write(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let header = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    let start = out.len();
    write(out);
    let mut sums = Vec::with_capacity(HEADER_BYTES);
    put_u32(&mut sums, out.len() - start);
    sums.extend_from_slice(&crc32fast::hash(&out[start..]).to_le_bytes());
    let check = crc32fast::hash(&sums);
    sums.extend_from_slice(&check.to_le_bytes());
    out[header..start].copy_from_slice(&sums);
}

/// What [`read`] found at an offset of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// A complete frame, and the offset of the next one.
    Whole { content: &'a [u8], end: usize },
    /// The end of the file.
    End,
    /// A frame that the file's end cuts short.
    Torn,
    /// Bytes that fail a checksum.
    Damaged,
}

/// Reads the frame at an offset.
pub(super) fn read(file: &[u8], at: usize) -> Frame<'_> {
    let rest = file.get(at..).unwrap_or_default();
    let Some((header, rest)) = rest.split_first_chunk::<HEADER_BYTES>() else {
        return if rest.is_empty() { Frame::End } else { Frame::Torn };
    };
    let number = |from: usize| {
        let bytes = header[from..from + 4].try_into().expect("four bytes of twelve");
        u32::from_le_bytes(bytes)
    };
    if crc32fast::hash(&header[..8]) != number(8) {
        return Frame::Damaged;
    }
    match rest.get(..number(0) as usize) {
        None => Frame::Torn,
        Some(content) if crc32fast::hash(content) == number(4) => {
            Frame::Whole { content, end: at + HEADER_BYTES + content.len() }
        }
        Some(_) => Frame::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Vec<u8> {
        let mut file = Vec::new();
        write(&mut file, |out| out.extend_from_slice(b"first"));
        write(&mut file, |out| out.extend_from_slice(b"second"));
        file
    }

    #[test]
    fn frames_follow_each_other() {
        let file = two();
        let Frame::Whole { content: b"first", end } = read(&file, 0) else { panic!("not first") };
        let Frame::Whole { content: b"second", end } = read(&file, end) else { panic!("not 2nd") };
        assert_eq!(read(&file, end), Frame::End);
        assert_eq!(read(&file, end + 1), Frame::End);
    }

    #[test]
    fn cut_frame_is_torn_and_a_changed_one_is_damaged() {
        let file = two();
        for len in 1..17 {
            assert_eq!(read(&file[..len], 0), Frame::Torn, "cut at {len}");
        }
        for bit in 0..17 * 8 {
            let mut file = file.clone();
            file[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&file, 0), Frame::Damaged, "bit {bit}");
        }
        assert_eq!(read(&[0; 64], 0), Frame::Damaged, "zeros are no frame");
    }
}
