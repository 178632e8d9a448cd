//! A segment: a file of consecutive records that starts where the previous segment ends.

use std::sync::{Arc, Mutex};

use tickwire_protocol::{Feed, UnixNanos};

use super::bytes::{Damage, Reader, put_bytes, put_u64};
use super::frame::{self, Frame};
use super::record::{self, Record};
use crate::fanout::{FeedId, Position};

/// First bytes of a segment. The last byte is the version of the format.
const MAGIC: [u8; 8] = *b"TWSEGM\0\x01";
/// First byte of the header's content.
const HEADER: u8 = b'H';

/// A record in the middle of a log is torn or damaged.
pub(super) const BROKEN_RECORD: Damage = Damage("broken record");

/// Another checkpoint is worth its size once the records since the last one have this many times
/// the bytes of a checkpoint.
pub(super) const CHECKPOINT_SHARE: u64 = 4;

/// A segment on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Number of the segment; numbers are contiguous.
    pub number: u64,
    /// Position of the segment's first tick.
    pub first: Position,
    /// Receive time of the last tick before the segment.
    pub received: UnixNanos,
    /// Size in bytes, or 0 if not known yet.
    pub bytes: u64,
}

/// The segments on disk, oldest first. The router adds segments, the compactor removes them.
pub type Segments = Arc<Mutex<Vec<Segment>>>;

/// The header of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) epoch: String,
    /// Position of the segment's first tick.
    pub(super) first: Position,
    /// Receive time of the last tick before the segment.
    pub(super) received: UnixNanos,
    /// Names of the feeds by their ids in this file.
    pub(super) feeds: Vec<Feed>,
}

impl Header {
    /// Encodes the start of a segment's file.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        frame::write(&mut out, |out| {
            out.push(HEADER);
            put_bytes(out, self.epoch.as_bytes());
            put_u64(out, self.first.0);
            put_u64(out, self.received.0);
            record::write_feeds(&self.feeds, out);
        });
        out
    }

    /// Decodes the header, and returns the offset of the first record.
    pub(super) fn read(file: &[u8]) -> Result<(Self, usize), Damage> {
        if !file.starts_with(&MAGIC) {
            return Err(Damage("not a segment of this version"));
        }
        let Frame::Whole { content, end } = frame::read(file, MAGIC.len()) else {
            return Err(Damage("broken header"));
        };
        let mut reader = Reader(content);
        if reader.u8()? != HEADER {
            return Err(Damage("invalid header"));
        }
        let header = Self {
            epoch: reader.str()?.to_owned(),
            first: Position(reader.u64()?),
            received: record::read_time(reader.u64()?)?,
            feeds: record::read_feeds(&mut reader)?,
        };
        reader.end()?;
        Ok((header, end))
    }

    /// Maps each feed id of this file to the hub's feed id. `feeds` are the hub's feeds.
    pub(super) fn map(&self, feeds: &[Feed]) -> Result<Vec<FeedId>, UnknownFeed> {
        map(&self.feeds, feeds)
    }
}

/// Error: the log holds ticks of a feed that the hub does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnknownFeed(pub(super) Feed);

/// Returns the index in `to` of each feed of `from`.
pub(super) fn map(from: &[Feed], to: &[Feed]) -> Result<Vec<FeedId>, UnknownFeed> {
    let number = |feed: &Feed| {
        let at = to.iter().position(|other| other == feed);
        at.and_then(|at| u8::try_from(at).ok()).map(FeedId).ok_or_else(|| UnknownFeed(feed.clone()))
    };
    from.iter().map(number).collect()
}

/// Iterates over the records of a segment.
#[derive(Debug)]
pub(super) struct Records<'a> {
    file: &'a [u8],
    at: usize,
    feeds: &'a [FeedId],
}

/// How the records of a segment end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// The last record ends with the file.
    Clean,
    /// The file ends within a record.
    Torn,
    /// Damaged bytes follow the last record.
    Damaged,
}

impl<'a> Records<'a> {
    pub(super) const fn new(file: &'a [u8], at: usize, feeds: &'a [FeedId]) -> Self {
        Self { file, at, feeds }
    }

    /// Returns the offset of the next record.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Reads the next record. Returns `None` at the end of the file or of its readable part.
    pub(super) fn next(&mut self) -> Result<Option<Record>, Damage> {
        let Frame::Whole { content, end } = frame::read(self.file, self.at) else {
            return Ok(None);
        };
        let record = record::read(content, self.feeds)?;
        self.at = end;
        Ok(Some(record))
    }

    /// Returns what follows the last readable record.
    pub(super) fn tail(&self) -> Tail {
        match frame::read(self.file, self.at) {
            Frame::End => Tail::Clean,
            Frame::Torn => Tail::Torn,
            Frame::Whole { .. } | Frame::Damaged => Tail::Damaged,
        }
    }
}
