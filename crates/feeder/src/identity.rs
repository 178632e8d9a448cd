//! The hash that identifies a source in a publisher's mark.

/// Returns the FNV-1a hash of the parts. A byte that does not occur in UTF-8 ends each part, so
/// that the hash depends on the boundaries, too.
pub(crate) fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let bytes = parts.into_iter().flat_map(|part| part.iter().copied().chain([0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
