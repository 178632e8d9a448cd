//! The ticks of one turn of the router, shared by everyone who follows the log.

use std::sync::OnceLock;

use tickwire_protocol::{Encoding, Tick, UnixNanos};

use super::{FeedId, Position, TopicId};

/// A tick with its number and its topic.
#[derive(Debug, Clone)]
pub struct Numbered {
    /// Its topic.
    pub topic: TopicId,
    /// The feed of that topic.
    pub feed: FeedId,
    /// The tick, with its sequence number.
    pub tick: Tick,
}

/// The ticks the router numbered in one turn. Immutable but for its encodings, each of which is made
/// at most once, when a session first needs it.
#[derive(Debug)]
pub struct Batch {
    first: Position,
    received: UnixNanos,
    ticks: Box<[Numbered]>,
    /// What the batch may come to hold, in bytes: see [`Batch::bytes`].
    bytes: usize,
    encoded: [OnceLock<Encoded>; Encoding::COUNT],
}

/// All ticks of a batch, spelled one after the other.
#[derive(Debug)]
pub struct Encoded {
    bytes: Box<[u8]>,
    /// `ends[i]` is where tick `i` ends in `bytes`; it begins where the one before ends.
    ends: Box<[u32]>,
}

impl Encoded {
    /// The bytes of ticks `from..=to` of the batch, separators of the encoding included.
    #[must_use]
    pub fn run(&self, from: usize, to: usize) -> &[u8] {
        &self.bytes[self.start(from)..self.ends[to] as usize]
    }

    /// Lengths in bytes of the runs that begin at tick `from`: of the first tick, of the first two
    /// and so on to the end of the batch.
    pub(crate) fn lengths_from(&self, from: usize) -> impl Iterator<Item = usize> {
        let start = self.start(from);
        self.ends[from..].iter().map(move |end| *end as usize - start)
    }

    fn start(&self, tick: usize) -> usize {
        if tick == 0 { 0 } else { self.ends[tick - 1] as usize }
    }
}

impl Batch {
    /// A batch that begins at a position. `received` is when the hub got it.
    #[must_use]
    pub fn new(first: Position, received: UnixNanos, ticks: Vec<Numbered>) -> Self {
        let bytes = size_of::<Self>() + ticks.iter().map(Numbered::footprint).sum::<usize>();
        let encoded = Default::default();
        Self { first, received, ticks: ticks.into_boxed_slice(), bytes, encoded }
    }

    /// Position of the first tick.
    #[must_use]
    pub const fn first(&self) -> Position {
        self.first
    }

    /// Position behind the last tick.
    #[must_use]
    pub const fn end(&self) -> Position {
        self.first.plus(self.ticks.len())
    }

    /// When the hub received it; never decreases from batch to batch.
    #[must_use]
    pub const fn received(&self) -> UnixNanos {
        self.received
    }

    /// The ticks in order of position.
    #[must_use]
    pub const fn ticks(&self) -> &[Numbered] {
        &self.ticks
    }

    /// What it is charged in the log, in bytes: the ticks and every encoding of them, made or not,
    /// since encodings appear after the batch was taken into account. Right for usual ticks; the
    /// largest that are allowed take less than twice as much.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// All ticks in an encoding; JSON elements are each followed by a comma.
    pub fn encoded(&self, encoding: Encoding) -> &Encoded {
        self.encoded[encoding as usize].get_or_init(|| {
            let mut bytes = Vec::with_capacity(self.ticks.len() * 72);
            let mut ends = Vec::with_capacity(self.ticks.len());
            for numbered in &self.ticks {
                encoding.write_tick(&numbered.tick, &mut bytes);
                if encoding == Encoding::Json {
                    bytes.push(b',');
                }
                ends.push(u32::try_from(bytes.len()).expect("a batch is far smaller than 4 GiB"));
            }
            Encoded { bytes: bytes.into_boxed_slice(), ends: ends.into_boxed_slice() }
        })
    }
}

impl Numbered {
    /// Bytes it may occupy: itself, long strings outside of it, and all encodings (for a trade
    /// typically 60 in arrays, 80 in maps and 130 in JSON, for a quote 80, 100 and 150).
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
        Bar, Conditions, Correction, Price, Quote, Seq, Status, Symbol, Text, TickData, Trade,
    };

    #[test]
    fn runs_are_the_ticks_in_between() {
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

    /// The largest ticks of each kind: numbers as long as they get, `text` in each string.
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
    fn charge_is_at_least_half_of_what_the_largest_ticks_take() {
        let long = "x".repeat(64);
        let plain = [("", 0), ("ABCDEFGHIJKLMNO", 0), ("AB", 16), (&long, 16)];
        let escaped = [("\0", 16), ("\0\0\0\0", 3), ("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 0)];
        let symbol = Symbol::new("ABCDEFGHIJKLMNOPQRSTUVWX").unwrap();
        for (text, conditions) in plain.into_iter().chain(escaped) {
            for data in largest(text, conditions) {
                let tick = Tick { symbol, seq: Seq(u64::MAX), time: UnixNanos::MAX, data };
                assert_eq!(tick.check_size(), Ok(()));
                let outside = tick.heap_bytes();
                let numbered = Numbered { topic: TopicId(0), feed: FeedId(0), tick };
                let batch = Batch::new(Position::FIRST, UnixNanos(0), vec![numbered; 10]);
                let encoded =
                    |encoding| batch.encoded(encoding).bytes.len() + 10 * size_of::<u32>();
                let holds = 10 * (size_of::<Numbered>() + outside)
                    + encoded(Encoding::Json)
                    + encoded(Encoding::MsgpackArray)
                    + encoded(Encoding::MsgpackMap);
                assert!(holds < 2 * batch.bytes(), "{holds}, {:?}", batch.ticks()[0]);
            }
        }
    }
}
