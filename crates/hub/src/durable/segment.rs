//! A segment: a file of records, one behind the other, that begins where the one before ends.

use tickwire_protocol::{Feed, UnixNanos};

use super::bytes::{Damage, Reader, put_bytes, put_u64};
use super::frame::{self, Frame};
use super::record::{self, Record};
use crate::fanout::{FeedId, Position};

/// First bytes of a segment; the last of them is the version of the format.
const MAGIC: [u8; 8] = *b"TWSEGM\0\x01";
/// First byte of the header's content.
const HEADER: u8 = b'H';

/// What a segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) epoch: String,
    /// Position of its first tick.
    pub(super) first: Position,
    /// When the last tick before it was received.
    pub(super) received: UnixNanos,
    /// Names of the feeds, in the order of their numbers in this file.
    pub(super) feeds: Vec<Feed>,
}

impl Header {
    /// The beginning of a segment's file.
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

    /// Reads it, and says where the records begin.
    pub(super) fn read(file: &[u8]) -> Result<(Self, usize), Damage> {
        if !file.starts_with(&MAGIC) {
            return Err(Damage("not a segment of this version"));
        }
        let Frame::Whole { content, end } = frame::read(file, MAGIC.len()) else {
            return Err(Damage("its header is broken"));
        };
        let mut reader = Reader(content);
        if reader.u8()? != HEADER {
            return Err(Damage("its header is none"));
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

    /// The hub's number of each of its feeds, where `feeds` are the hub's.
    pub(super) fn map(&self, feeds: &[Feed]) -> Result<Vec<FeedId>, UnknownFeed> {
        map(&self.feeds, feeds)
    }
}

/// The log holds ticks of a feed that the hub does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnknownFeed(pub(super) Feed);

/// The number in `to` of each feed of `from`.
pub(super) fn map(from: &[Feed], to: &[Feed]) -> Result<Vec<FeedId>, UnknownFeed> {
    let number = |feed: &Feed| {
        let at = to.iter().position(|other| other == feed);
        at.and_then(|at| u8::try_from(at).ok()).map(FeedId).ok_or_else(|| UnknownFeed(feed.clone()))
    };
    from.iter().map(number).collect()
}

/// Reads the records of a segment one after the other.
#[derive(Debug)]
pub(super) struct Records<'a> {
    file: &'a [u8],
    at: usize,
    feeds: &'a [FeedId],
}

/// How the records of a segment end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// With the file.
    Clean,
    /// Amid a record.
    Torn,
    /// With something damaged.
    Damaged,
}

impl<'a> Records<'a> {
    pub(super) const fn new(file: &'a [u8], at: usize, feeds: &'a [FeedId]) -> Self {
        Self { file, at, feeds }
    }

    /// Where the next record begins, if there is one.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// The next record; `None` at the end of the file or of what can be read of it.
    pub(super) fn next(&mut self) -> Result<Option<Record>, Damage> {
        let Frame::Whole { content, end } = frame::read(self.file, self.at) else {
            return Ok(None);
        };
        let record = record::read(content, self.feeds)?;
        self.at = end;
        Ok(Some(record))
    }

    /// What stands behind the last record that could be read.
    pub(super) fn tail(&self) -> Tail {
        match frame::read(self.file, self.at) {
            Frame::End => Tail::Clean,
            Frame::Torn => Tail::Torn,
            Frame::Whole { .. } | Frame::Damaged => Tail::Damaged,
        }
    }
}
