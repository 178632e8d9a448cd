//! The frames of a snapshot.

use tickwire_protocol::{Control, Encoding, Tick};

use super::super::super::{FrameBuf, frame};
use super::super::control_queue::CONTROL_WRITE_BYTES;

/// The frames of a snapshot, in pieces that each fit into one write: a piece that is not written
/// yet counts as pending.
#[derive(Debug, Default)]
pub(in super::super) struct SnapshotFrames {
    ticks: u64,
    pieces: Vec<Vec<u8>>,
}

impl SnapshotFrames {
    /// Appends ticks, in messages with at most `body_max` bytes of ticks.
    pub(in super::super) fn append(
        &mut self,
        encoding: Encoding,
        ticks: &[&Tick],
        body_max: usize,
    ) {
        self.ticks += ticks.len() as u64;
        let mut piece = self.pieces.pop().unwrap_or_default();
        FrameBuf::default().write_ticks(encoding, ticks, body_max, |frame| {
            if piece.len() + frame.len() > CONTROL_WRITE_BYTES {
                self.pieces.push(std::mem::take(&mut piece));
            }
            piece.extend_from_slice(frame);
        });
        self.pieces.push(piece);
    }

    /// Returns the frames, with the elements that begin and end a snapshot.
    pub(in super::super) fn finish(self, encoding: Encoding) -> Vec<Vec<u8>> {
        let control = |control: Control| {
            let mut frames = Vec::new();
            frame::write_message(encoding, &mut frames, |out| control.write_message(encoding, out));
            frames
        };
        let mut pieces = vec![control(Control::Snapshot { ticks: self.ticks })];
        pieces.extend(self.pieces);
        pieces.push(control(Control::Live));
        pieces
    }
}
