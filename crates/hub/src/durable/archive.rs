//! Reads ticks from disk that memory no longer holds.

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use tickwire_protocol::{Feed, UnixNanos};

use super::bytes::Damage;
use super::frame::{self, Frame};
use super::record::{self, UNKNOWN_FEED};
use super::segment::{Header, Segment, Segments};
use super::storage::{FILE_BYTES_MAX, Storage, segment_name};
use crate::fanout::{Batch, DiskIndex, FeedId, Position, SegmentRange};

/// Bytes from the start of a segment that contain its whole first record.
const FIRST_RECORD_BYTES_MAX: usize = 8 << 20;

/// Reads batches from the segments. The segment read last stays loaded, because a reader usually
/// continues in it.
#[derive(Debug)]
pub struct Archive<S: Storage> {
    storage: S,
    segments: Segments,
    feeds: Vec<Feed>,
    open: Option<OpenSegment>,
    /// Number of the oldest segment, and the receive time of its first record.
    oldest: Option<(u64, UnixNanos)>,
}

/// The requested ticks were deleted from disk or cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evicted {
    /// Position of the next tick that may be readable.
    pub next: Position,
}

#[derive(Debug)]
struct OpenSegment {
    number: u64,
    file: Vec<u8>,
    feeds: Vec<FeedId>,
    /// Position of the first tick of each record, and the byte range of the record's content.
    records: Vec<(Position, Range<usize>)>,
    /// Position after the last tick that was written when the segment was loaded.
    end: Position,
}

impl<S: Storage> Archive<S> {
    /// Creates a reader of the segments that writer and compactor share. `feeds` are the hub's
    /// feeds by their ids.
    pub const fn new(storage: S, segments: Segments, feeds: Vec<Feed>) -> Self {
        Self { storage, segments, feeds, open: None, oldest: None }
    }

    /// Returns an independent reader of the same segments.
    #[must_use]
    pub fn reader(&self) -> Self
    where
        S: Clone,
    {
        Self::new(self.storage.clone(), self.segments.clone(), self.feeds.clone())
    }

    /// Releases the loaded segment.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// Returns the position of the oldest tick on disk, or of the next tick if no segment has
    /// ticks. Returns `None` if there are no segments.
    #[must_use]
    pub fn start(segments: &Segments) -> Option<Position> {
        let segments = segments.lock().unwrap_or_else(PoisonError::into_inner);
        segments.first().map(|segment| segment.first)
    }

    /// Returns the segments on disk. `now` is a lower bound for the receive time of future ticks.
    pub fn disk_index(&mut self, now: UnixNanos) -> DiskIndex {
        let mut segments =
            self.segments.lock().unwrap_or_else(PoisonError::into_inner).clone().into_iter();
        let Some(oldest) = segments.next() else { return DiskIndex::default() };
        if self.oldest.is_none_or(|(number, _)| number != oldest.number) {
            self.oldest =
                self.first_received(oldest.number).map(|received| (oldest.number, received));
        }
        let received = self.oldest.map_or(now, |(_, received)| received);
        let oldest = SegmentRange { first: oldest.first, received };
        let others =
            segments.map(|Segment { first, received, .. }| SegmentRange { first, received });
        DiskIndex::new(std::iter::once(oldest).chain(others).collect())
    }

    /// Returns the receive time of the first record of a segment, if it has one.
    fn first_received(&self, number: u64) -> Option<UnixNanos> {
        let file = self.storage.read(&segment_name(number), FIRST_RECORD_BYTES_MAX).ok()?;
        let (_, at) = Header::read(&file).ok()?;
        let Frame::Whole { content, .. } = frame::read(&file, at) else { return None };
        record::read_received(content).ok()
    }

    /// Reads batches from the one that contains `from`, until they are charged `bytes_max` bytes of
    /// memory; at least one. Returns none if `from` is the position of the next tick.
    ///
    /// # Errors
    /// Fails if the position is no longer on disk or cannot be read.
    pub fn read(&mut self, from: Position, bytes_max: usize) -> Result<Vec<Arc<Batch>>, Evicted> {
        let Some((number, next)) = self.find(from) else {
            return Err(Evicted { next: Self::start(&self.segments).unwrap_or(from) });
        };
        let is_read = |open: &OpenSegment| open.number == number && from < open.end;
        if !self.open.as_ref().is_some_and(is_read) {
            self.open = None; // never hold two segments in memory
            let evicted = Evicted { next: next.unwrap_or_else(|| from.plus(1)) };
            self.open = Some(self.load(number).map_err(|_| evicted)?);
        }
        let Some(open) = &self.open else { return Ok(Vec::new()) };
        let unreadable = |first: Position| Evicted { next: next.unwrap_or_else(|| first.plus(1)) };
        let mut batches = Vec::new();
        let mut bytes = 0;
        for (first, content) in open.records_from(from) {
            let record = record::read(&open.file[content.clone()], &open.feeds)
                .map_err(|_| unreadable(*first))?;
            let Some(batch) = record.batch else { continue };
            bytes += batch.bytes();
            batches.push(Arc::new(batch));
            if bytes >= bytes_max {
                break;
            }
        }
        match next {
            Some(next) if batches.is_empty() => Err(Evicted { next }), // the segment ends too early
            _ => Ok(batches),
        }
    }

    /// Returns the number of the segment that contains a position, and the position at which the
    /// next segment starts, if there is one. Returns `None` if the position is no longer on disk.
    fn find(&self, position: Position) -> Option<(u64, Option<Position>)> {
        let segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        let after = segments.partition_point(|segment| segment.first <= position);
        let segment = segments.get(after.checked_sub(1)?)?;
        Some((segment.number, segments.get(after).map(|next| next.first)))
    }

    fn load(&self, number: u64) -> Result<OpenSegment, Damage> {
        const MISSING: Damage = Damage("the file is missing or cannot be read");
        let file = self.storage.read(&segment_name(number), FILE_BYTES_MAX).map_err(|_| MISSING)?;
        let (header, mut at) = Header::read(&file)?;
        let feeds = header.map(&self.feeds).map_err(|_| UNKNOWN_FEED)?;
        let mut records = Vec::new();
        let mut end = header.first;
        // The router may be writing the last record.
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
        let after = self.records.partition_point(|(first, _)| *first <= position);
        if position < self.end { &self.records[after.saturating_sub(1)..] } else { &[] }
    }
}
