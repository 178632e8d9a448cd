//! The file `epoch`: the epoch of the log, and whether it may be continued.

use crate::fanout::Position;

/// Name of the file.
pub(super) const EPOCH_FILE: &str = "epoch";
const FIRST_LINE: &str = "tickwire log 1";

/// Content of the file. The file is deleted when the log can no longer be continued, which works
/// even on a full disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EpochFile {
    pub(super) epoch: String,
    /// Boot id of the machine while the hub ran.
    pub(super) boot: String,
    /// Position after the last tick, if the hub shut down cleanly with all records on the disk.
    pub(super) clean: Option<Position>,
}

impl EpochFile {
    pub(super) fn write(&self) -> String {
        let Self { epoch, boot, clean } = self;
        let clean = clean.map_or_else(String::new, |head| format!("clean {head}\n"));
        format!("{FIRST_LINE}\nepoch {epoch}\nboot {boot}\n{clean}")
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let epoch = lines.next()?.strip_prefix("epoch ")?.to_owned();
        let boot = lines.next()?.strip_prefix("boot ")?.to_owned();
        let clean = match lines.next() {
            Some(line) => Some(Position(line.strip_prefix("clean ")?.parse().ok()?)),
            None => None,
        };
        lines.next().is_none().then_some(Self { epoch, boot, clean })
    }

    /// Returns whether the epoch of a log that was read up to `head` may continue, which requires
    /// that nothing that was sent is missing. A killed hub wrote everything before sending it, and
    /// the system still holds those writes unless the machine rebooted.
    pub(super) fn continues(&self, epoch: &str, head: Position, boot: &str) -> bool {
        let complete = match self.clean {
            Some(clean) => clean == head,
            None => self.boot == boot,
        };
        self.epoch == epoch && complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_epoch_is_read_back_and_a_cut_file_is_refused() {
        for clean in [None, Some(Position(1_042))] {
            let file = EpochFile { epoch: "e1".into(), boot: "b-2".into(), clean };
            let text = file.write();
            assert_eq!(EpochFile::read(&text), Some(file));
            let whole_lines = |len: &usize| !text[..*len].ends_with('\n');
            for len in (0..text.len()).filter(whole_lines) {
                assert_eq!(EpochFile::read(&text[..len]), None, "{len}");
            }
        }
    }

    #[test]
    fn epoch_continues_only_after_a_kill_or_clean_stop() {
        let file = |clean| EpochFile { epoch: "e".into(), boot: "b".into(), clean };
        let killed = file(None);
        let ended = file(Some(Position(9)));
        assert!(killed.continues("e", Position(5), "b"));
        assert!(!killed.continues("e", Position(5), "another boot"));
        assert!(ended.continues("e", Position(9), "another boot"));
        assert!(!ended.continues("e", Position(8), "b"), "its end is missing");
        assert!(!ended.continues("another epoch", Position(9), "b"));
    }
}
