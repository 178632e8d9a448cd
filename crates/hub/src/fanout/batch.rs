//! The ticks that the router numbered in one turn. All shards share them.

use std::sync::OnceLock;

use tickwire_protocol::{Encoding, Tick, TickData, UnixNanos};

use super::{FeedId, Position, TopicId};

/// A tick with its sequence number and its topic.
#[derive(Debug, Clone)]
pub struct Numbered {
    /// The topic of the tick.
    pub topic: TopicId,
    /// The feed of the topic.
    pub feed: FeedId,
    /// The tick. Its sequence number is set.
    pub tick: Tick,
}

/// The ticks that the router numbered in one turn. A batch is immutable, except that each of its
/// encodings is made when a session first needs it, at most once.
#[derive(Debug)]
pub struct Batch {
    first: Position,
    received: UnixNanos,
    ticks: Box<[Numbered]>,
    /// Size that the log charges: see [`Batch::bytes`].
    bytes: usize,
    encoded: [OnceLock<Encoded>; Encoding::COUNT],
}

/// All ticks of a batch in one encoding, one after the other.
#[derive(Debug)]
pub struct Encoded {
    bytes: Box<[u8]>,
    /// Tick `i` ends at `ends[i]` in `bytes`, and begins where tick `i - 1` ends.
    ends: Box<[u32]>,
    /// Indexes of corrections and cancels, ascending. Usually empty.
    corrections: Box<[u32]>,
}

impl Encoded {
    /// Returns the bytes of ticks `from..=to` of the batch, separators of the encoding included.
    #[must_use]
    pub fn run(&self, from: usize, to: usize) -> &[u8] {
        &self.bytes[self.start(from)..self.ends[to] as usize]
    }

    /// Returns the lengths in bytes of the runs that begin at tick `from`: of the first tick alone,
    /// of the first two, and so on to the end of the batch.
    pub(crate) fn lengths_from(&self, from: usize) -> impl Iterator<Item = usize> {
        let start = self.start(from);
        self.ends[from..].iter().map(move |end| *end as usize - start)
    }

    /// Returns whether tick `from` is a correction or cancel, and how many ticks from there on are
    /// of the same sort. If none of a different sort follows, the number is `usize::MAX`.
    pub(crate) fn run_of_sort(&self, from: usize) -> (bool, usize) {
        let before = self.corrections.partition_point(|index| (*index as usize) < from);
        let rest = &self.corrections[before..];
        match rest.first() {
            None => (false, usize::MAX),
            Some(next) if *next as usize > from => (false, *next as usize - from),
            Some(_) => {
                let ascending = rest.iter().zip(from..);
                (true, ascending.take_while(|(index, at)| **index as usize == *at).count())
            }
        }
    }

    fn start(&self, tick: usize) -> usize {
        if tick == 0 { 0 } else { self.ends[tick - 1] as usize }
    }
}

impl Batch {
    /// Creates a batch whose first tick has the position `first`. The hub received it at
    /// `received`.
    #[must_use]
    pub fn new(first: Position, received: UnixNanos, ticks: Vec<Numbered>) -> Self {
        let bytes = size_of::<Self>() + ticks.iter().map(Numbered::footprint).sum::<usize>();
        let encoded = Default::default();
        Self { first, received, ticks: ticks.into_boxed_slice(), bytes, encoded }
    }

    /// Returns the position of the first tick.
    #[must_use]
    pub const fn first(&self) -> Position {
        self.first
    }

    /// Returns the position after the last tick.
    #[must_use]
    pub const fn end(&self) -> Position {
        self.first.plus(self.ticks.len())
    }

    /// Returns the time at which the hub received the batch; it never decreases from batch to
    /// batch.
    #[must_use]
    pub const fn received(&self) -> UnixNanos {
        self.received
    }

    /// Returns the ticks, in the order of their positions.
    #[must_use]
    pub const fn ticks(&self) -> &[Numbered] {
        &self.ticks
    }

    /// Returns the number of bytes that the log charges for the batch: the ticks and all their
    /// encodings, whether made yet or not, since encodings appear after the batch was charged. The
    /// estimate fits usual ticks; the largest that are allowed take less than twice as much.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns all ticks in an encoding. In JSON a comma follows each tick.
    pub fn encoded(&self, encoding: Encoding) -> &Encoded {
        self.encoded[encoding as usize].get_or_init(|| {
            let mut bytes = Vec::with_capacity(self.ticks.len() * 72);
            let mut ends = Vec::with_capacity(self.ticks.len());
            let mut corrections = Vec::new();
            for numbered in &self.ticks {
                if matches!(numbered.tick.data, TickData::Correction(_) | TickData::CancelError(_))
                {
                    corrections.push(u32::try_from(ends.len()).expect("a batch is far smaller"));
                }
                encoding.write_tick(&numbered.tick, &mut bytes);
                if encoding == Encoding::Json {
                    bytes.push(b',');
                }
                ends.push(u32::try_from(bytes.len()).expect("a batch is far smaller than 4 GiB"));
            }
            Encoded {
                bytes: bytes.into_boxed_slice(),
                ends: ends.into_boxed_slice(),
                corrections: corrections.into_boxed_slice(),
            }
        })
    }
}

impl Numbered {
    /// Estimates the bytes that a tick may occupy: itself, its long strings, and all its encodings.
    /// A trade typically takes 60 bytes in arrays, 80 in maps and 130 in JSON; a quote 80, 100 and
    /// 150.
    fn footprint(&self) -> usize {
        const ENCODINGS: usize = 340;
        size_of::<Self>() + ENCODINGS + 5 * self.tick.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sequencer::tests::trade;
    use super::*;
    use tickwire_protocol::{
        Bar, Conditions, Correction, Price, Quote, Seq, Status, Symbol, Text, Trade,
    };

    #[test]
    fn run_holds_exactly_its_ticks() {
        let numbered = |seq| Numbered { topic: TopicId(0), feed: FeedId(0), tick: trade("A", seq) };
        let batch = Batch::new(Position(7), UnixNanos(1), (1..=4).map(numbered).collect());
        assert_eq!((batch.first(), batch.end()), (Position(7), Position(11)));
        let mut expected = Vec::new();
        for numbered in &batch.ticks()[1..=2] {
            numbered.tick.write_json(&mut expected);
            expected.push(b',');
        }
        let encoded = batch.encoded(Encoding::Json);
        assert_eq!(encoded.run(1, 2), expected);
        assert_eq!(encoded.lengths_from(1).nth(1), Some(expected.len()));
        assert_eq!(encoded.lengths_from(1).count(), 3);
    }

    #[test]
    fn runs_end_where_corrections_begin_and_end() {
        let correction = || TickData::Correction(Box::default());
        let cancel = || TickData::CancelError(Box::default());
        let trade = || TickData::Trade(Trade::default());
        let data = [trade(), trade(), correction(), cancel(), trade(), correction(), trade()];
        let symbol = Symbol::new("A").unwrap();
        let numbered = data.map(|data| {
            let tick = Tick { symbol, seq: Seq(1), time: UnixNanos(1), data };
            Numbered { topic: TopicId(0), feed: FeedId(0), tick }
        });
        let batch = Batch::new(Position::FIRST, UnixNanos(1), numbered.into());
        let encoded = batch.encoded(Encoding::Json);
        let runs: Vec<_> = (0..7).map(|from| encoded.run_of_sort(from)).collect();
        let expected = [(false, 2), (false, 1), (true, 2), (true, 1), (false, 1), (true, 1)];
        assert_eq!(runs[..6], expected);
        assert_eq!(runs[6], (false, usize::MAX));
    }

    /// Returns a tick of each kind with the longest numbers, and `text` in each string.
    fn largest(text: &str, conditions: usize) -> Vec<TickData> {
        let price: Price = "-3999999.123456789".parse().unwrap();
        let number = u64::MAX;
        let text = || Text::new(text).unwrap();
        let codes = || Conditions::new(vec![text().as_str(); conditions]).unwrap();
        vec![
            TickData::Trade(Trade {
                id: number,
                exchange: text(),
                price,
                size: number,
                conditions: codes(),
                tape: text(),
            }),
            TickData::Quote(Quote {
                bid_exchange: text(),
                bid: price,
                bid_size: number,
                ask_exchange: text(),
                ask: price,
                ask_size: number,
                conditions: codes(),
                tape: text(),
            }),
            TickData::Bar(Bar {
                open: price,
                high: price,
                low: price,
                close: price,
                volume: number,
                trades: number,
                vwap: price,
            }),
            TickData::Status(Box::new(Status {
                code: text(),
                message: text(),
                reason_code: text(),
                reason: text(),
                tape: text(),
            })),
            TickData::Correction(Box::new(Correction {
                exchange: text(),
                original_id: number,
                original_price: price,
                original_size: number,
                original_conditions: codes(),
                corrected_id: number,
                corrected_price: price,
                corrected_size: number,
                corrected_conditions: codes(),
                tape: text(),
            })),
        ]
    }

    #[test]
    fn charge_is_at_least_half_of_the_size_of_the_largest_ticks() {
        let long = "x".repeat(64);
        let plain = [("", 0), ("ABCDEFGHIJKLMNO", 0), ("AB", 16), (&long, 16)];
        let escaped = [("\0", 16), ("\0\0\0\0", 3), ("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 0)];
        let symbol = Symbol::new("ABCDEFGHIJKLMNOPQRSTUVWX").unwrap();
        for (text, conditions) in plain.into_iter().chain(escaped) {
            for data in largest(text, conditions) {
                let tick = Tick { symbol, seq: Seq(u64::MAX), time: UnixNanos::MAX, data };
                assert_eq!(tick.check_size(), Ok(()));
                let heap = tick.heap_bytes();
                let numbered = Numbered { topic: TopicId(0), feed: FeedId(0), tick };
                let batch = Batch::new(Position::FIRST, UnixNanos(0), vec![numbered; 10]);
                let encoded =
                    |encoding| batch.encoded(encoding).bytes.len() + 10 * size_of::<u32>();
                let size = 10 * (size_of::<Numbered>() + heap)
                    + encoded(Encoding::Json)
                    + encoded(Encoding::MsgpackArray)
                    + encoded(Encoding::MsgpackMap);
                assert!(size < 2 * batch.bytes(), "{size}, {:?}", batch.ticks()[0]);
            }
        }
    }
}
