//! A shard that tests drive directly: publish batches to it, subscribe, and read what it writes.
//!
//! Other drivers of a shard run whole turns (`turn::run`). These tests call the steps of a turn one
//! by one (`begin_turn`, `apply`, `next_write`), because they check the state between two steps and
//! orders that whole turns produce only by chance, such as a command between two batches of a turn
//! or a session that is written only some of its frames.
//!
//! Elements are compared as text (see [`format_element`]).

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use tickwire_protocol::{
    Channel, Command, Control, Delivery, Element, Encoding, MaxRate, OnLag, Seq, SubscribeRequest,
    SubscriptionSet, Symbol, Tick, TickData, Trade, UnixNanos, decode_message,
};
use tungstenite::protocol::frame::FrameHeader;

use super::super::super::{Batch, FeedId, FrameBuf, Numbered, Position, SessionId, TopicId};
use super::super::{Limits, Shard};
use crate::fanout::NextWrite;

pub(super) const FEED: FeedId = FeedId(0);
/// The largest age of a pending tick.
pub(super) const AGE_MAX_MS: u64 = 1_000;
const NANOS_PER_MS: u64 = 1_000_000;

pub(super) struct Harness {
    pub(super) shard: Shard,
    pub(super) out: FrameBuf,
    /// Id of each topic, in the order of their first ticks, and number of its last tick.
    topics: BTreeMap<(Channel, String), (TopicId, u64)>,
    /// Number of published ticks, which is also the id of the last trade.
    pub(super) ticks: u64,
    /// Receive time of the next batches.
    pub(super) received_ms: u64,
}

impl Harness {
    pub(super) fn new(from: Position, message_bytes: usize) -> Self {
        Self::with_limits(from, |limits| limits.message_bytes = message_bytes)
    }

    pub(super) fn with_limits(from: Position, change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits {
            feeds: 1,
            subscriptions_per_session: 100_000,
            subscriptions: 100_000,
            waiting_topics: 100_000,
            backlog_ticks: 100_000,
            total_backlog_ticks: 1_000,
            total_control_bytes: 1 << 30,
            backlog_age_ns: AGE_MAX_MS * NANOS_PER_MS,
            message_bytes: 65_535,
            topics_per_piece: usize::MAX,
        };
        change(&mut limits);
        let shard = Shard::new(limits, from);
        let out = FrameBuf::default();
        Self { shard, out, topics: BTreeMap::new(), ticks: 0, received_ms: 0 }
    }

    /// Replaces the shard by one that accepts resumes within `epoch`.
    pub(super) fn in_epoch(mut self, epoch: &str) -> Self {
        self.shard = self.shard.in_epoch(epoch);
        self
    }

    pub(super) fn open(&mut self) -> SessionId {
        self.shard.open(FEED, Encoding::MsgpackArray)
    }

    pub(super) fn turn(&mut self) {
        self.turn_at(0);
    }

    pub(super) fn turn_at(&mut self, ms: u64) {
        self.shard.begin_turn(UnixNanos(ms * NANOS_PER_MS), Position(0));
    }

    /// Begins a turn in which the log starts at a position: older ticks are evicted.
    pub(super) fn turn_with_log_start(&mut self, start: u64) {
        self.shard.begin_turn(UnixNanos(0), Position(start));
    }

    /// Begins a turn in which the log is empty: every tick so far is evicted.
    pub(super) fn turn_with_empty_log(&mut self) {
        self.shard.begin_turn(UnixNanos(0), self.shard.head());
    }

    /// Sends a subscribe or unsubscribe command for `names`, without a snapshot.
    pub(super) fn command(
        &mut self,
        id: SessionId,
        command: fn(SubscribeRequest) -> Command,
        names: SubscriptionSet,
    ) {
        let snapshot = Some(false);
        self.shard.command(
            id,
            &command(SubscribeRequest { names, snapshot, ..SubscribeRequest::default() }),
        );
    }

    /// Subscribes without a snapshot and reads the ack.
    pub(super) fn subscribe(&mut self, id: SessionId, symbol: &str) {
        self.command(id, Command::Subscribe, names([symbol]));
        assert_eq!(self.shard.next_write(id, &mut self.out), NextWrite::Frames { ticks: 0 });
    }

    /// Unsubscribes and reads the ack.
    pub(super) fn unsubscribe(&mut self, id: SessionId, symbol: &str) {
        self.command(id, Command::Unsubscribe, names([symbol]));
        assert_eq!(self.shard.next_write(id, &mut self.out), NextWrite::Frames { ticks: 0 });
    }

    /// Sends a subscribe command. Its ack is left to the test.
    pub(super) fn subscribe_with(&mut self, id: SessionId, request: SubscribeRequest) {
        self.shard.command(id, &Command::Subscribe(request));
    }

    /// Publishes one batch of trades of the symbols with these indexes (see [`symbol`]).
    pub(super) fn publish_indexed(&mut self, indexes: impl IntoIterator<Item = u32>) {
        let symbols = indexes.into_iter().map(symbol);
        self.publish_batch(symbols.map(|symbol| (Channel::Trades, symbol)).collect());
    }

    /// Publishes one batch of trades of these symbols.
    pub(super) fn publish<'a>(&mut self, symbols: impl IntoIterator<Item = &'a str>) -> Arc<Batch> {
        let topics = symbols.into_iter().map(|symbol| (Channel::Trades, symbol.to_owned()));
        self.publish_batch(topics.collect())
    }

    /// Publishes one batch with a tick of each topic.
    pub(super) fn publish_batch(&mut self, topics: Vec<(Channel, String)>) -> Arc<Batch> {
        let ticks = topics.into_iter().map(|topic| self.numbered(topic)).collect();
        let received = UnixNanos(self.received_ms * NANOS_PER_MS);
        let batch = Arc::new(Batch::new(self.shard.head(), received, ticks));
        self.shard.apply(batch.clone());
        batch
    }

    fn numbered(&mut self, (channel, symbol): (Channel, String)) -> Numbered {
        self.ticks += 1;
        let next = TopicId(u32::try_from(self.topics.len()).unwrap());
        let (topic, seq) = self.topics.entry((channel, symbol.clone())).or_insert((next, 0));
        *seq += 1;
        let data = match channel {
            Channel::Corrections => TickData::Correction(Box::default()),
            _ => TickData::Trade(Trade { id: self.ticks, ..Trade::default() }),
        };
        let symbol = Symbol::new(&symbol).unwrap();
        let seq = Seq(*seq);
        Numbered { topic: *topic, feed: FEED, tick: Tick { symbol, seq, time: UnixNanos(1), data } }
    }

    /// Returns the ids of the trades in the next write.
    pub(super) fn next_trades(&mut self, id: SessionId) -> Vec<u64> {
        let NextWrite::Frames { ticks } = self.shard.next_write(id, &mut self.out) else {
            return Vec::new();
        };
        let elements = self.elements(Encoding::MsgpackArray);
        assert_eq!(elements.len(), ticks);
        let number = |element| match element {
            Element::Tick(Tick { data: TickData::Trade(trade), .. }) => trade.id,
            other => panic!("{other:?}"),
        };
        elements.into_iter().map(number).collect()
    }

    /// Reads the next write. Returns `None` if the shard has nothing to write now.
    pub(super) fn read_next(&mut self, id: SessionId) -> Option<Vec<String>> {
        match self.shard.next_write(id, &mut self.out) {
            NextWrite::Frames { .. } => Some(
                self.elements(Encoding::MsgpackArray).into_iter().map(format_element).collect(),
            ),
            NextWrite::Idle | NextWrite::Ended(_) => None,
            NextWrite::Yield => Some(Vec::new()),
            NextWrite::Lagged => panic!("the session lags"),
        }
    }

    /// Reads writes until the shard has nothing more to write now.
    pub(super) fn read_all(&mut self, id: SessionId) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(write) = self.read_next(id) {
            all.extend(write);
        }
        all
    }

    /// Decodes the frames of the last write.
    pub(super) fn elements(&self, encoding: Encoding) -> Vec<Element> {
        let bytes = self.out.frame();
        let mut cursor = Cursor::new(bytes);
        let mut elements = Vec::new();
        while let Some((_, length)) = FrameHeader::parse(&mut cursor).unwrap() {
            let start = usize::try_from(cursor.position()).unwrap();
            let end = start + usize::try_from(length).unwrap();
            elements.extend(decode_message(&bytes[start..end], encoding).unwrap());
            cursor.set_position(end as u64);
        }
        elements
    }
}

/// Returns the symbol with an index: A, B, C, S3, S4 and so on.
pub(super) fn symbol(index: u32) -> String {
    let short = ["A", "B", "C"].get(index as usize).copied().map(str::to_owned);
    short.unwrap_or_else(|| format!("S{index}"))
}

/// Returns a set of these symbols in the channel of trades. `"*"` is the wildcard.
pub(super) fn names<'a>(symbols: impl IntoIterator<Item = &'a str>) -> SubscriptionSet {
    names_in(Channel::Trades, symbols)
}

pub(super) fn names_in<'a>(
    channel: Channel,
    symbols: impl IntoIterator<Item = &'a str>,
) -> SubscriptionSet {
    let mut names = SubscriptionSet::default();
    for symbol in symbols {
        names[channel].add(symbol).unwrap();
    }
    names
}

pub(super) fn all_trades() -> SubscriptionSet {
    names(["*"])
}

/// Requests every tick of `names`, without a snapshot.
pub(super) fn every(names: SubscriptionSet) -> SubscribeRequest {
    SubscribeRequest { names, snapshot: Some(false), ..SubscribeRequest::default() }
}

/// Requests the latest values of `names`, as fast as the socket accepts them, without a snapshot.
pub(super) fn latest(names: SubscriptionSet) -> SubscribeRequest {
    SubscribeRequest { delivery: Delivery::Latest { max_rate: None }, ..every(names) }
}

/// Requests the latest values of `names` at a maximum rate, without a snapshot.
pub(super) fn latest_at_rate(names: SubscriptionSet, per_second: f64) -> SubscribeRequest {
    let max_rate = Some(MaxRate::per_second(per_second).unwrap());
    SubscribeRequest { delivery: Delivery::Latest { max_rate }, ..every(names) }
}

/// Requests every tick of `names`, and a downgrade to latest values if the session lags.
pub(super) fn latest_on_lag(names: SubscriptionSet) -> SubscribeRequest {
    SubscribeRequest { on_lag: Some(OnLag::Latest), ..every(names) }
}

/// Formats an element: `A7` is tick 7 of symbol A, `gap A 3-6` a gap, `p9` a position.
pub(super) fn format_element(element: Element) -> String {
    let number = |seq: Option<u64>| seq.map_or_else(|| "?".to_owned(), |seq| seq.to_string());
    match element {
        Element::Tick(tick) => format!("{}{}", tick.symbol, tick.seq.0),
        Element::Control(Control::Gap { symbol, from, to, .. }) => {
            format!("gap {symbol} {}-{}", number(from), number(to))
        }
        Element::Control(Control::Subscription { resumed: Some(resumed), pos, .. }) => {
            format!("ack {resumed:?} {}", number(pos))
        }
        Element::Control(Control::Subscription { pos: Some(pos), .. }) => format!("ack {pos}"),
        Element::Control(Control::Subscription { .. }) => "ack".to_owned(),
        Element::Control(Control::Position { pos }) => format!("p{pos}"),
        Element::Control(Control::Snapshot { .. }) => "snapshot".to_owned(),
        Element::Control(Control::Live) => "live".to_owned(),
        Element::Control(Control::Error { code, .. }) => format!("error {}", code.code()),
        Element::Control(other) => panic!("{other:?}"),
    }
}
