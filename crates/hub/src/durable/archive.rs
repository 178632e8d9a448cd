//! Reads ticks back that memory no longer holds.

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use tickwire_protocol::{Feed, UnixNanos};

use super::bytes::Damage;
use super::frame::{self, Frame};
use super::keeper::Segments;
use super::record;
use super::segment::Header;
use super::storage::{FILE_BYTES_MAX, Storage, segment_name};
use super::writer::Segment;
use crate::fanout::{Batch, DiskIndex, FeedId, Position, SegmentRange};

/// Bytes in which a segment's first record ends.
const FIRST_RECORD_BYTES_MAX: usize = 8 << 20;

/// The segments as a reader sees them. It keeps the one it has read last, since who reads on asks for
/// what follows.
#[derive(Debug)]
pub struct Archive<S: Storage> {
    storage: S,
    segments: Segments,
    feeds: Vec<Feed>,
    open: Option<OpenSegment>,
    /// Number of the oldest segment, and when its first record was received.
    oldest: Option<(u64, UnixNanos)>,
}

/// Ticks that are on disk no longer, or cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// Position of the first tick behind them that may be there.
    pub next: Position,
}

#[derive(Debug)]
struct OpenSegment {
    number: u64,
    file: Vec<u8>,
    feeds: Vec<FeedId>,
    /// The records: where the content of each is, behind the position of its first tick.
    records: Vec<(Position, Range<usize>)>,
    /// Position behind its last tick, as far as it was written.
    end: Position,
}

impl<S: Storage> Archive<S> {
    /// The archive of segments the writer and the keeper share. `feeds` are those of the hub.
    pub const fn new(storage: S, segments: Segments, feeds: Vec<Feed>) -> Self {
        Self { storage, segments, feeds, open: None, oldest: None }
    }

    /// Another reader of the same segments.
    #[must_use]
    pub fn another(&self) -> Self
    where
        S: Clone,
    {
        Self::new(self.storage.clone(), self.segments.clone(), self.feeds.clone())
    }

    /// Gives the memory back that reading takes, until the next time.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// Position of the oldest tick on disk, or of the next one if there is none.
    #[must_use]
    pub fn start(segments: &Segments) -> Option<Position> {
        let segments = segments.lock().unwrap_or_else(PoisonError::into_inner);
        segments.first().map(|segment| segment.first)
    }

    /// What is there, segment by segment. Ticks that are still to come will be received `now` or later.
    pub fn disk_index(&mut self, now: UnixNanos) -> DiskIndex {
        let mut segments =
            self.segments.lock().unwrap_or_else(PoisonError::into_inner).clone().into_iter();
        let Some(oldest) = segments.next() else { return DiskIndex::default() };
        if self.oldest.is_none_or(|(number, _)| number != oldest.number) {
            self.oldest = self.began(oldest.number).map(|received| (oldest.number, received));
        }
        let received = self.oldest.map_or(now, |(_, received)| received);
        let oldest = SegmentRange { first: oldest.first, received };
        let others =
            segments.map(|Segment { first, received, .. }| SegmentRange { first, received });
        DiskIndex::new(std::iter::once(oldest).chain(others).collect())
    }

    /// When the first record of a segment was received, if it has any.
    fn began(&self, number: u64) -> Option<UnixNanos> {
        let file = self.storage.read(&segment_name(number), FIRST_RECORD_BYTES_MAX).ok()?;
        let (_, at) = Header::read(&file).ok()?;
        let Frame::Whole { content, .. } = frame::read(&file, at) else { return None };
        record::read_received(content).ok()
    }

    /// The batches from the one that holds a position on, as many as are charged `bytes_max` or one; none
    /// if the position is that of the next tick.
    ///
    /// # Errors
    /// If the position is no longer there.
    pub fn read(&mut self, from: Position, bytes_max: usize) -> Result<Vec<Arc<Batch>>, Gone> {
        let Some((number, next)) = self.find(from) else {
            return Err(Gone { next: Self::start(&self.segments).unwrap_or(from) });
        };
        let is_read = |open: &OpenSegment| open.number == number && from < open.end;
        if !self.open.as_ref().is_some_and(is_read) {
            self.open = None; // two of them need not be in memory at once
            let gone = Gone { next: next.unwrap_or_else(|| from.plus(1)) };
            self.open = Some(self.load(number).map_err(|_| gone)?);
        }
        let Some(open) = &self.open else { return Ok(Vec::new()) };
        let gone = |first: Position| Gone { next: next.unwrap_or_else(|| first.plus(1)) };
        let mut batches = Vec::new();
        let mut bytes = 0;
        for (first, content) in open.records_from(from) {
            let record =
                record::read(&open.file[content.clone()], &open.feeds).map_err(|_| gone(*first))?;
            let Some(batch) = record.batch else { continue };
            bytes += batch.bytes();
            batches.push(Arc::new(batch));
            if bytes >= bytes_max {
                break;
            }
        }
        match next {
            Some(next) if batches.is_empty() => Err(Gone { next }), // it ends before it should
            _ => Ok(batches),
        }
    }

    /// The segment that holds a position, and where the next one begins.
    fn find(&self, position: Position) -> Option<(u64, Option<Position>)> {
        let segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = segments.partition_point(|segment| segment.first <= position);
        let segment = segments.get(behind.checked_sub(1)?)?;
        Some((segment.number, segments.get(behind).map(|next| next.first)))
    }

    fn load(&self, number: u64) -> Result<OpenSegment, Damage> {
        const GONE: Damage = Damage("it is gone");
        let file = self.storage.read(&segment_name(number), FILE_BYTES_MAX).map_err(|_| GONE)?;
        let (header, mut at) = Header::read(&file)?;
        let feeds = header.map(&self.feeds).map_err(|_| Damage("it names a feed that is none"))?;
        let mut records = Vec::new();
        let mut end = header.first;
        // The last record may be about to be written.
        while let Frame::Whole { content, end: next } = frame::read(&file, at) {
            let (first, ticks) = record::read_extent(content)?;
            if ticks > 0 {
                records.push((first, next - content.len()..next));
                end = first.plus(ticks);
            }
            at = next;
        }
        Ok(OpenSegment { number, file, feeds, records, end })
    }
}

impl OpenSegment {
    fn records_from(&self, position: Position) -> &[(Position, Range<usize>)] {
        let behind = self.records.partition_point(|(first, _)| *first <= position);
        if position < self.end { &self.records[behind.saturating_sub(1)..] } else { &[] }
    }
}
