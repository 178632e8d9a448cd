//! What can happen to the core, and how it is drawn.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use tickwire_hub::fanout::CloseReason;
use tickwire_protocol::{Channel, Encoding};

/// Feeds, channels and symbols are few, so that sessions meet.
pub(crate) const FEEDS: u8 = 2;
pub(crate) const CHANNELS: [Channel; 2] = [Channel::Trades, Channel::Quotes];
pub(crate) const SYMBOLS: [&str; 6] = ["A", "BB", "CCC", "DDDD", "BRK.B", "X/Y"];

/// What stays the same in a case.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// Added to the positions of the log, so that their low half wraps around.
    pub(crate) shift: u64,
    pub(crate) log_ticks: usize,
    pub(crate) message_bytes: usize,
    pub(crate) backlog_ticks: usize,
    pub(crate) waiting_topics: usize,
}

/// Which of the sessions there are, taken modulo their number.
pub(crate) type Pick = u16;

/// Names by feed-independent number: channel, and a symbol or `"*"`.
pub(crate) type Ask = Vec<(Channel, Option<&'static str>)>;

#[derive(Debug, Clone)]
pub(crate) enum Op {
    Open {
        shard: usize,
        feed: u8,
        encoding: Encoding,
    },
    Close(Pick),
    Subscribe(Pick, Ask, Option<bool>),
    Unsubscribe(Pick, Ask),
    List(Pick),
    Reject(Pick),
    Publish(u8, Vec<(Channel, &'static str)>),
    /// The socket takes no more.
    Stall(Pick),
    /// The socket takes data again.
    Resume(Pick),
    Finish(Pick, CloseReason),
    Hush(Pick),
    Wait {
        ms: u64,
    },
    CheckAges {
        shard: usize,
    },
    Turn(Turn),
}

#[derive(Debug, Clone)]
pub(crate) struct Turn {
    pub(crate) shard: usize,
    pub(crate) batches: usize,
    /// Writes to one session.
    pub(crate) share: usize,
    /// What happens amid the turn: once before the lagged are taken, then before each write.
    pub(crate) between: Vec<Op>,
}

pub(crate) fn setting() -> impl Strategy<Value = Setting> {
    let shift = prop_oneof![Just(0), (1..100_u64).prop_map(|n| (1 << 32) - n)];
    let message_bytes = select(vec![100, 200, 400, 65_535]);
    (shift, 5..60_usize, message_bytes, 3..40_usize, 2..9_usize).prop_map(
        |(shift, log_ticks, message_bytes, backlog_ticks, waiting_topics)| Setting {
            shift,
            log_ticks,
            message_bytes,
            backlog_ticks,
            waiting_topics,
        },
    )
}

fn channel() -> impl Strategy<Value = Channel> {
    select(CHANNELS.to_vec())
}

fn symbol() -> impl Strategy<Value = &'static str> {
    select(SYMBOLS.to_vec())
}

fn ask() -> impl Strategy<Value = Ask> {
    vec((channel(), option::weighted(0.85, symbol())), 0..6)
}

fn simple() -> impl Strategy<Value = Op> {
    let pick = any::<Pick>;
    let encoding = select(vec![Encoding::Json, Encoding::MsgpackArray]);
    let reason = select(vec![CloseReason::Shutdown, CloseReason::SlowClient]);
    prop_oneof![
        6 => (0..2_usize, 0..FEEDS, encoding)
            .prop_map(|(shard, feed, encoding)| Op::Open { shard, feed, encoding }),
        2 => pick().prop_map(Op::Close),
        10 => (pick(), ask(), option::of(any::<bool>())).prop_map(|(s, a, o)| Op::Subscribe(s, a, o)),
        5 => (pick(), ask()).prop_map(|(s, a)| Op::Unsubscribe(s, a)),
        1 => pick().prop_map(Op::List),
        1 => pick().prop_map(Op::Reject),
        12 => (0..FEEDS, vec((channel(), symbol()), 0..10)).prop_map(|(f, t)| Op::Publish(f, t)),
        4 => pick().prop_map(Op::Stall),
        3 => pick().prop_map(Op::Resume),
        1 => (pick(), reason).prop_map(|(s, r)| Op::Finish(s, r)),
        1 => pick().prop_map(Op::Hush),
    ]
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let turn = (0..2_usize, 1..4_usize, 1..5_usize, vec(simple(), 0..4)).prop_map(
        |(shard, batches, share, between)| Op::Turn(Turn { shard, batches, share, between }),
    );
    prop_oneof![
        40 => simple(),
        20 => turn,
        3 => (1..1_000_u64).prop_map(|ms| Op::Wait { ms }),
        6 => (0..2_usize).prop_map(|shard| Op::CheckAges { shard }),
    ]
}
