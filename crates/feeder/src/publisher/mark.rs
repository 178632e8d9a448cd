//! The mark: the progress of a source, which the hub stores.

/// Returns the mark after `taken` ticks of a source: its identity and the number of ticks.
pub(super) fn write(identity: u64, taken: u64) -> String {
    format!("{identity:016x}:{taken}")
}

/// Returns the number of ticks in a mark, or `None` if the mark belongs to another source.
pub(super) fn read(identity: u64, mark: &str) -> Option<u64> {
    let (source, taken) = mark.split_once(':')?;
    (source == format!("{identity:016x}")).then(|| taken.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mark_belongs_to_its_source() {
        let mark = write(7, u64::MAX);
        assert!(mark.len() <= 64);
        assert_eq!(read(7, &mark), Some(u64::MAX));
        assert_eq!(read(8, &mark), None);
        assert_eq!(read(7, "elsewhere"), None);
        assert_eq!(read(7, "0000000000000007:x"), None);
    }
}
