//! The operations on the core, and their random generation.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use tickwire_hub::fanout::CloseReason;
use tickwire_protocol::{Channel, Delivery, Encoding, MaxRate, OnLag};

use crate::wire::ENCODINGS;

/// Few feeds, channels and symbols, so that subscriptions overlap.
pub(crate) const FEEDS: u8 = 2;
/// The last channel is never conflated.
pub(crate) const CHANNELS: [Channel; 3] = [Channel::Trades, Channel::Quotes, Channel::Corrections];
pub(crate) const SYMBOLS: [&str; 6] = ["A", "BB", "CCC", "DDDD", "BRK.B", "X/Y"];
/// More rates than a session may have; some are not multiples of others.
pub(crate) const RATES: [f64; 11] =
    [0.5, 1.0, 3.0, 7.0, 10.0, 20.0, 45.5, 100.0, 333.0, 600.0, 1000.0];

/// The constants of a test case.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// Offset of the log's positions, chosen so that their low half wraps around.
    pub(crate) shift: u64,
    pub(crate) log_ticks: usize,
    pub(crate) message_bytes: usize,
    pub(crate) backlog_ticks: usize,
    pub(crate) total_backlog_ticks: u64,
    pub(crate) total_control_bytes: usize,
    pub(crate) waiting_topics: usize,
}

/// Index of a session, modulo the number of sessions.
pub(crate) type Pick = u16;

/// A name by indices: channel, and a symbol or `"*"`.
pub(crate) type SubscriptionSet = Vec<(Channel, Option<&'static str>)>;

/// The parameters of a subscribe.
#[derive(Debug, Clone, Default)]
pub(crate) struct SubscribeArgs {
    pub(crate) names: SubscriptionSet,
    pub(crate) snapshot: Option<bool>,
    pub(crate) delivery: Delivery,
    pub(crate) on_lag: Option<OnLag>,
}

#[derive(Debug, Clone)]
pub(crate) enum Op {
    Open {
        shard: usize,
        feed: u8,
        encoding: Encoding,
    },
    Close(Pick),
    Subscribe(Pick, SubscribeArgs),
    /// Subscribes one name in each rate, until the limit of rates.
    SubscribeInManyRates(Pick),
    Unsubscribe(Pick, SubscriptionSet),
    List(Pick),
    Reject(Pick),
    Publish(u8, Vec<(Channel, &'static str)>),
    /// The socket is full.
    Stall(Pick),
    /// The socket accepts data again.
    Resume(Pick),
    Finish(Pick, CloseReason),
    Detach(Pick),
    Wait {
        us: u64,
    },
    CheckAges {
        shard: usize,
    },
    Turn(Turn),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Turn {
    pub(crate) shard: usize,
    /// Time since the previous operation.
    pub(crate) us: u64,
    pub(crate) batches: usize,
    /// Most writes to one session.
    pub(crate) share: usize,
    /// Operations within the turn: one when input is read, then one before each session is written.
    pub(crate) between: Vec<Op>,
}

pub(crate) fn setting() -> impl Strategy<Value = Setting> {
    let shift = prop_oneof![Just(0), (1..100_u64).prop_map(|n| (1 << 32) - n)];
    let message_bytes = select(vec![100, 200, 400, 65_535]);
    let total_backlog_ticks = prop_oneof![2 => Just(u64::MAX), 1 => 5..80_u64];
    let total_control_bytes = prop_oneof![3 => Just(usize::MAX), 1 => 500..5_000_usize];
    let sizes = (5..60_usize, message_bytes, 3..40_usize, 2..9_usize);
    (shift, sizes, total_backlog_ticks, total_control_bytes).prop_map(
        |(shift, sizes, total_backlog_ticks, total_control_bytes)| {
            let (log_ticks, message_bytes, backlog_ticks, waiting_topics) = sizes;
            Setting {
                shift,
                log_ticks,
                message_bytes,
                backlog_ticks,
                total_backlog_ticks,
                total_control_bytes,
                waiting_topics,
            }
        },
    )
}

fn channel() -> impl Strategy<Value = Channel> {
    prop_oneof![
        4 => Just(CHANNELS[0]),
        3 => Just(CHANNELS[1]),
        1 => Just(CHANNELS[2]),
    ]
}

fn symbol() -> impl Strategy<Value = &'static str> {
    select(SYMBOLS.to_vec())
}

fn names() -> impl Strategy<Value = SubscriptionSet> {
    vec((channel(), option::weighted(0.85, symbol())), 0..6)
}

pub(crate) fn rate(number: usize) -> MaxRate {
    MaxRate::per_second(RATES[number]).unwrap()
}

fn delivery() -> impl Strategy<Value = Delivery> {
    prop_oneof![
        4 => Just(Delivery::Every),
        3 => Just(Delivery::Latest { max_rate: None }),
        5 => (0..RATES.len()).prop_map(|n| Delivery::Latest { max_rate: Some(rate(n)) }),
    ]
}

fn subscribe_args() -> impl Strategy<Value = SubscribeArgs> {
    let on_lag = prop_oneof![
        3 => Just(None),
        1 => Just(Some(OnLag::Close)),
        2 => Just(Some(OnLag::Latest)),
    ];
    (names(), option::of(any::<bool>()), delivery(), on_lag).prop_map(
        |(names, snapshot, delivery, on_lag)| SubscribeArgs { names, snapshot, delivery, on_lag },
    )
}

fn simple() -> impl Strategy<Value = Op> {
    let pick = any::<Pick>;
    let encoding = select(ENCODINGS.to_vec());
    let reason = select(vec![CloseReason::Shutdown, CloseReason::SlowClient]);
    prop_oneof![
        6 => (0..2_usize, 0..FEEDS, encoding)
            .prop_map(|(shard, feed, encoding)| Op::Open { shard, feed, encoding }),
        2 => pick().prop_map(Op::Close),
        14 => (pick(), subscribe_args()).prop_map(|(pick, args)| Op::Subscribe(pick, args)),
        1 => pick().prop_map(Op::SubscribeInManyRates),
        5 => (pick(), names()).prop_map(|(s, n)| Op::Unsubscribe(s, n)),
        2 => pick().prop_map(Op::List),
        1 => pick().prop_map(Op::Reject),
        14 => (0..FEEDS, vec((channel(), symbol()), 0..10)).prop_map(|(f, t)| Op::Publish(f, t)),
        4 => pick().prop_map(Op::Stall),
        3 => pick().prop_map(Op::Resume),
        1 => (pick(), reason).prop_map(|(s, r)| Op::Finish(s, r)),
        1 => pick().prop_map(Op::Detach),
    ]
}

/// Returns the time steps from the interval of the fastest rate to that of the slowest.
fn microseconds() -> impl Strategy<Value = u64> {
    prop_oneof![1..2_000_u64, 1..100_000_u64, 1..1_000_000_u64]
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let us = prop_oneof![3 => 0..2_000_u64, 1 => microseconds()];
    let turn = (0..2_usize, us, 1..4_usize, 1..5_usize, vec(simple(), 0..4)).prop_map(
        |(shard, us, batches, share, between)| {
            Op::Turn(Turn { shard, us, batches, share, between })
        },
    );
    prop_oneof![
        40 => simple(),
        24 => turn,
        3 => microseconds().prop_map(|us| Op::Wait { us }),
        6 => (0..2_usize).prop_map(|shard| Op::CheckAges { shard }),
    ]
}
