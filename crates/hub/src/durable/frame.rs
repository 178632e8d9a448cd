//! Frames: how every piece of a file is held together.
//!
//! A frame is a mark of four bytes, the length of its content and the CRC-32 of it (both u32), and the
//! content. No string of a tick can hold the mark, since its bytes never occur in UTF-8, so what may
//! follow a damaged frame is found by looking for marks.

use super::bytes::put_u32;

const MARK: [u8; 4] = [0xc1, b'T', b'W', 0xc1];
const HEADER_BYTES: usize = 12;

/// Appends a frame whose content `write` appends.
pub(super) fn write(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&MARK);
    let header = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES - MARK.len()]);
    let start = out.len();
    write(out);
    let mut sizes = Vec::with_capacity(8);
    put_u32(&mut sizes, out.len() - start);
    sizes.extend_from_slice(&crc32fast::hash(&out[start..]).to_le_bytes());
    out[header..start].copy_from_slice(&sizes);
}

/// What stands at a place of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// A whole frame, and where the next one begins.
    Whole { content: &'a [u8], end: usize },
    /// The file ends here.
    End,
    /// No frame, or not the whole of it.
    Broken,
}

/// Reads the frame at a place.
pub(super) fn read(file: &[u8], at: usize) -> Frame<'_> {
    let Some(rest) = file.get(at..).filter(|rest| !rest.is_empty()) else { return Frame::End };
    let number = |from: usize| {
        let bytes = rest.get(from..from + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let (Some(len), Some(crc)) = (number(MARK.len()), number(MARK.len() + 4)) else {
        return Frame::Broken;
    };
    let content = rest.get(HEADER_BYTES..).and_then(|rest| rest.get(..len as usize));
    match content {
        Some(content) if rest.starts_with(&MARK) && crc32fast::hash(content) == crc => {
            Frame::Whole { content, end: at + HEADER_BYTES + content.len() }
        }
        _ => Frame::Broken,
    }
}

/// Whether a whole frame that `counts` begins anywhere behind a place.
pub(super) fn any_behind(file: &[u8], at: usize, counts: impl Fn(&[u8]) -> bool) -> bool {
    let behind = file.get(at + 1..).unwrap_or_default();
    let marks = behind.windows(MARK.len()).enumerate().filter(|(_, four)| *four == MARK);
    marks.into_iter().any(|(offset, _)| {
        matches!(read(behind, offset), Frame::Whole { content, .. } if counts(content))
    })
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
    }

    #[test]
    fn a_cut_or_changed_frame_is_broken_and_what_follows_is_found() {
        let file = two();
        for len in 1..17 {
            assert_eq!(read(&file[..len], 0), Frame::Broken, "cut at {len}");
        }
        for bit in 0..17 * 8 {
            let mut file = file.clone();
            file[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&file, 0), Frame::Broken, "bit {bit}");
            assert!(any_behind(&file, 0, |content| content == b"second"), "bit {bit}");
            assert!(!any_behind(&file, 0, |content| content == b"first"), "bit {bit}");
        }
        assert!(!any_behind(&file[..file.len() - 1], 17, |_| true));
    }

    #[test]
    fn zeros_are_no_frame() {
        assert_eq!(read(&[0; 64], 0), Frame::Broken);
    }
}
