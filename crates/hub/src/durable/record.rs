//! A record: the changes of one turn of the router.

use tickwire_protocol::{Encoding, Feed, UnixNanos, decode_ticks};

use super::bytes::{Damage, Reader, put_bytes, put_u32, put_u64};
use crate::fanout::{
    Batch, FeedId, Numbered, Position, PublisherChanges, PublisherProgress, TopicId,
};

/// A segment or a record names a feed that the hub does not have.
pub(super) const UNKNOWN_FEED: Damage = Damage("unknown feed");

/// A tick in a record or checkpoint cannot be decoded.
pub(super) const INVALID_TICK: Damage = Damage("invalid tick");

/// First byte of a record's content.
pub(super) const RECORD: u8 = b'R';
/// Marker of a MessagePack array with a count of four bytes (`array 32`).
pub(super) const ARRAY32: u8 = 0xdd;

/// One turn of the router, to be written as a record.
#[derive(Debug, Clone, Copy)]
pub struct Turn<'a> {
    /// The ticks of the turn; `None` if only publishers progressed.
    pub batch: Option<&'a Batch>,
    /// Number of ticks at the end of the batch that are bars made by the hub.
    pub made: usize,
    /// Progress of publishers, and publishers that were forgotten.
    pub changes: &'a PublisherChanges,
    /// Feeds for which the hub makes no bars from this turn on.
    pub without_bars: &'a [FeedId],
    /// Receive time of the last tick.
    pub received: UnixNanos,
}

impl Turn<'_> {
    /// Returns whether the turn changed nothing.
    pub(super) const fn is_empty(&self) -> bool {
        self.batch.is_none() && self.changes.is_empty() && self.without_bars.is_empty()
    }
}

/// One turn of the router, read from a record.
#[derive(Debug)]
pub struct Record {
    /// The ticks of the turn; `None` if only publishers progressed.
    pub batch: Option<Batch>,
    /// Number of ticks at the end of the batch that are bars made by the hub.
    pub made: usize,
    /// Progress of publishers, and publishers that were forgotten.
    pub changes: PublisherChanges,
    /// Feeds for which the hub makes no bars from this turn on.
    pub without_bars: Vec<FeedId>,
    /// Position of the first tick of the turn, or of the next tick if the turn had none.
    pub first: Position,
    /// Receive time of the last tick.
    pub received: UnixNanos,
}

/// Appends the content of a record. `head` is the position of the turn's first tick.
pub(super) fn write(turn: &Turn<'_>, head: Position, out: &mut Vec<u8>) {
    let Turn { batch, made, changes, without_bars, received } = *turn;
    out.push(RECORD);
    put_u64(out, head.0);
    put_u64(out, received.0);
    put_u32(out, changes.forgotten.len());
    for id in &changes.forgotten {
        put_bytes(out, id.as_bytes());
    }
    put_u32(out, changes.at.len());
    for publisher in &changes.at {
        write_publisher(publisher, out);
    }
    let ticks = batch.map_or(&[][..], |batch| batch.ticks());
    put_u32(out, ticks.len());
    put_u32(out, made);
    let runs = || ticks.chunk_by(|one, next| one.feed == next.feed);
    put_u32(out, without_bars.len() + runs().count());
    for feed in without_bars {
        out.push(feed.0);
        put_u32(out, 0); // a run without ticks means: no bars of this feed from now on
    }
    for run in runs() {
        out.push(run[0].feed.0);
        put_u32(out, run.len());
    }
    for numbered in ticks {
        out.extend_from_slice(&numbered.topic.0.to_le_bytes());
    }
    let Some(batch) = batch else { return };
    out.push(ARRAY32);
    out.extend_from_slice(&u32::try_from(ticks.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(batch.encoded(Encoding::MsgpackArray).run(0, ticks.len() - 1));
}

/// Reads the position of a record's first tick, and the number of its ticks.
pub(super) fn read_extent(content: &[u8]) -> Result<(Position, usize), Damage> {
    let mut reader = Reader(content);
    let (first, _) = read_start(&mut reader)?;
    read_changes(&mut reader)?;
    Ok((first, reader.count(4)?))
}

/// Reads the receive time of a record.
pub(super) fn read_received(content: &[u8]) -> Result<UnixNanos, Damage> {
    read_start(&mut Reader(content)).map(|(_, received)| received)
}

/// Reads the content of a record. `feeds` maps the feed ids of its segment to the hub's.
///
/// # Errors
/// Fails if the content is not a valid record.
pub(super) fn read(content: &[u8], feeds: &[FeedId]) -> Result<Record, Damage> {
    let mut reader = Reader(content);
    let (first, received) = read_start(&mut reader)?;
    let changes = read_changes(&mut reader)?;
    let (ticks, made, without_bars) = read_ticks(reader, feeds)?;
    let batch = (!ticks.is_empty()).then(|| Batch::new(first, received, ticks));
    Ok(Record { batch, made, changes, without_bars, first, received })
}

/// Reads the fixed start of a record: position of the first tick, and receive time.
fn read_start(reader: &mut Reader<'_>) -> Result<(Position, UnixNanos), Damage> {
    if reader.u8()? != RECORD {
        return Err(Damage("not a record"));
    }
    let first = Position(reader.u64()?);
    let received = read_time(reader.u64()?)?;
    Ok((first, received))
}

pub(super) fn read_time(nanos: u64) -> Result<UnixNanos, Damage> {
    UnixNanos::new(nanos).ok_or(Damage("invalid time"))
}

fn read_changes(reader: &mut Reader<'_>) -> Result<PublisherChanges, Damage> {
    let mut changes = PublisherChanges::default();
    for _ in 0..reader.count(4)? {
        changes.forgotten.push(reader.str()?.to_owned());
    }
    for _ in 0..reader.count(13)? {
        changes.at.push(read_publisher(reader)?);
    }
    Ok(changes)
}

/// Reads the ticks, the number of bars at their end, and the feeds without bars from this turn on.
fn read_ticks(
    mut reader: Reader<'_>,
    feeds: &[FeedId],
) -> Result<(Vec<Numbered>, usize, Vec<FeedId>), Damage> {
    const TICKS: Damage = Damage("wrong number of ticks");
    let count = reader.count(4)?;
    let made = reader.u32()?;
    let mut of_ticks = Vec::with_capacity(count);
    let mut without_bars = Vec::new();
    for _ in 0..reader.count(5)? {
        let feed = feeds.get(usize::from(reader.u8()?)).ok_or(UNKNOWN_FEED)?;
        let run = reader.u32()?;
        if run > count - of_ticks.len() {
            return Err(TICKS);
        }
        if run == 0 {
            without_bars.push(*feed);
        }
        of_ticks.resize(of_ticks.len() + run, *feed);
    }
    let (topics, ticks) = reader.0.split_at_checked(4 * count).ok_or(TICKS)?;
    let (topics, _) = topics.as_chunks::<4>();
    if made > count || of_ticks.len() != count || (count == 0 && !ticks.is_empty()) {
        return Err(TICKS);
    }
    if count == 0 {
        return Ok((Vec::new(), 0, without_bars));
    }
    let ticks = decode_ticks(ticks, Encoding::MsgpackArray).map_err(|_| INVALID_TICK)?;
    if ticks.len() != count {
        return Err(TICKS);
    }
    let numbered = topics.iter().zip(of_ticks).zip(ticks).map(|((topic, feed), tick)| {
        let topic = TopicId(u32::from_le_bytes(*topic));
        Numbered { topic, feed, tick }
    });
    Ok((numbered.collect(), made, without_bars))
}

/// Bits that say which optional fields of a publisher are present. Records of older versions, which
/// knew no owners, have at most the first.
const HAS_MARK: u8 = 1;
const HAS_OWNER: u8 = 2;

pub(super) fn write_publisher(publisher: &PublisherProgress, out: &mut Vec<u8>) {
    let PublisherProgress { id, last, mark, owner } = publisher;
    put_bytes(out, id.as_bytes());
    put_u64(out, *last);
    let [has_mark, has_owner] = [mark.is_some(), owner.is_some()].map(u8::from);
    out.push((has_mark * HAS_MARK) | (has_owner * HAS_OWNER));
    put_bytes(out, mark.as_deref().unwrap_or_default().as_bytes());
    if let Some(owner) = owner {
        put_bytes(out, owner.as_bytes());
    }
}

pub(super) fn read_publisher(reader: &mut Reader<'_>) -> Result<PublisherProgress, Damage> {
    let id = reader.str()?.to_owned();
    let last = reader.u64()?;
    let present = reader.u8()?;
    let mark = reader.str()?.to_owned();
    let mark = (present & HAS_MARK != 0).then_some(mark);
    let owner = if present & HAS_OWNER != 0 { Some(reader.str()?.to_owned()) } else { None };
    Ok(PublisherProgress { id, last, mark, owner })
}

/// Appends the names of feeds by their ids in a file.
pub(super) fn write_feeds(feeds: &[Feed], out: &mut Vec<u8>) {
    put_u32(out, feeds.len());
    for feed in feeds {
        put_bytes(out, feed.as_str().as_bytes());
    }
}

pub(super) fn read_feeds(reader: &mut Reader<'_>) -> Result<Vec<Feed>, Damage> {
    let mut feeds = Vec::new();
    for _ in 0..reader.count(4)? {
        feeds.push(Feed::new(reader.str()?).map_err(|_| Damage("invalid feed name"))?);
    }
    Ok(feeds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishers_with_and_without_owners_are_read_and_old_records_have_none() {
        let text = |text: &str| Some(text.to_owned());
        for (mark, owner) in
            [(None, None), (text("m"), None), (None, text("key")), (text("m"), text("key"))]
        {
            let publisher = PublisherProgress { id: "main\np".to_owned(), last: 7, mark, owner };
            let mut bytes = Vec::new();
            write_publisher(&publisher, &mut bytes);
            let mut reader = Reader(&bytes);
            assert_eq!(read_publisher(&mut reader), Ok(publisher));
            reader.end().unwrap();
        }
        let old = [&[1, 0, 0, 0, b'p'][..], &[7, 0, 0, 0, 0, 0, 0, 0], &[1], &[1, 0, 0, 0, b'm']];
        let read = read_publisher(&mut Reader(&old.concat())).unwrap();
        assert_eq!((read.last, read.mark, read.owner), (7, text("m"), None));
    }
}
