//! Strategies for control elements and commands.

use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use tickwire_protocol::{
    Channel, Command, Control, Credentials, Delivery, DeliveryGroup, ErrorCode, Feed, FeedState,
    MaxRate, OnLag, PerChannel, PublishRequest, REPORT_TEXT_BYTES_MAX, Replay, ReplaySpeed,
    ReplayStart, Resume, ResumeOutcome, ResumePoint, Selection, Seq, SourceReport,
    SubscribeRequest, SubscriptionSet,
};

use crate::ticks::{string, symbol, time, uint};

pub(crate) fn names() -> impl Strategy<Value = SubscriptionSet> {
    let selection =
        (any::<bool>(), vec(symbol(), 0..4)).prop_map(|(all, symbols)| Selection { all, symbols });
    vec(selection, Channel::COUNT).prop_map(|selections| {
        let mut names = SubscriptionSet::default();
        for (channel, selection) in Channel::ALL.into_iter().zip(selections) {
            names[channel] = selection;
        }
        names
    })
}

fn error_code() -> impl Strategy<Value = ErrorCode> {
    prop::sample::select(ErrorCode::ALL.to_vec())
}

fn delivery() -> impl Strategy<Value = Delivery> {
    let rate = prop_oneof![100..=1_000_000_u32, (1..=1000_u32).prop_map(|whole| whole * 1000)];
    let max_rate =
        rate.prop_map(|thousandths| MaxRate::per_second(f64::from(thousandths) / 1000.0).unwrap());
    prop_oneof![
        Just(Delivery::Every),
        option::of(max_rate).prop_map(|max_rate| Delivery::Latest { max_rate }),
    ]
}

fn on_lag() -> impl Strategy<Value = OnLag> {
    prop::sample::select(vec![OnLag::Close, OnLag::Latest])
}

fn mode() -> impl Strategy<Value = DeliveryGroup> {
    (delivery(), names()).prop_map(|(delivery, names)| DeliveryGroup { delivery, names })
}

fn subscription_answer() -> impl Strategy<Value = Control> {
    let counts = vec(uint(), Channel::COUNT);
    let resumed = prop::sample::select(vec![
        ResumeOutcome::Complete,
        ResumeOutcome::Gap,
        ResumeOutcome::NewEpoch,
    ]);
    let history = (option::of(uint()), option::of(resumed), option::of(time()));
    let modes = vec(mode(), 0..3);
    (option::of(any::<u64>()), names(), counts, delivery(), on_lag(), modes, history).prop_map(
        |(id, names, counts, delivery, on_lag, modes, (pos, resumed, from))| {
            let mut total = PerChannel::default();
            for (channel, count) in Channel::ALL.into_iter().zip(counts) {
                total[channel] = count;
            }
            let names = Box::new(names);
            Control::Subscription { id, names, total, delivery, on_lag, modes, pos, resumed, from }
        },
    )
}

fn gap() -> impl Strategy<Value = Control> {
    let channel = prop::sample::select(Channel::ALL.to_vec());
    (channel, symbol(), option::of(uint()), option::of(uint()), any::<bool>()).prop_map(
        |(channel, symbol, from, to, lagged)| {
            let to = to.map(|to| to.max(from.unwrap_or(0)));
            Control::Gap { channel, symbol, from, to, lagged }
        },
    )
}

pub(crate) fn control() -> impl Strategy<Value = Control> {
    let state = prop::sample::select(vec![FeedState::Live, FeedState::Stale, FeedState::Down]);
    let feed = "[a-z0-9_-]{1,24}".prop_map(|name| Feed::new(&name).unwrap());
    prop_oneof![
        option::of(string(40)).prop_map(|epoch| Control::Connected { epoch }),
        Just(Control::Authenticated),
        ("[a-z0-9_-]{1,24}", names(), names()).prop_map(|(feed, added, removed)| Control::Demand {
            feed: Feed::new(&feed).unwrap(),
            added: Box::new(added),
            removed: Box::new(removed),
        }),
        ("[a-z0-9_-]{1,24}", vec(names(), 0..4)).prop_map(|(feed, clients)| {
            Control::DemandByClient { feed: Feed::new(&feed).unwrap(), clients }
        }),
        subscription_answer(),
        gap(),
        uint().prop_map(|ticks| Control::Snapshot { ticks }),
        Just(Control::Live),
        (error_code(), option::of(string(300)), option::of(uint()))
            .prop_map(|(code, detail, id)| Control::Error { code, detail, id }),
        (feed, state, time(), uint(), option::of(string(24)), uint()).prop_map(
            |(feed, state, since, lost, view, delay_ms)| Control::Feed {
                feed,
                state,
                since,
                lost,
                view,
                delay_ms
            }
        ),
        (time(), option::of(uint())).prop_map(|(time, pos)| Control::Heartbeat { time, pos }),
        uint().prop_map(|pos| Control::Position { pos }),
        uint().prop_map(|ticks| Control::Lost { ticks }),
        (uint(), option::of(string(64)))
            .prop_map(|(last, mark)| Control::Publishing { last, mark }),
        (uint(), any::<bool>()).prop_map(|(up_to, durable)| Control::Ack { up_to, durable }),
    ]
}

/// Returns ids of publishers, which are also valid marks: 1 to 64 bytes.
pub(crate) fn publisher() -> impl Strategy<Value = String> {
    string(64).prop_filter("not empty", |id| !id.is_empty())
}

fn resume() -> impl Strategy<Value = Resume> {
    let topics = btree_map(symbol(), uint().prop_map(Seq), 0..4);
    let after = vec(topics, Channel::COUNT).prop_map(|channels| {
        let mut after = Box::<PerChannel<Vec<_>>>::default();
        for (channel, topics) in Channel::ALL.into_iter().zip(channels) {
            after[channel] = topics.into_iter().collect();
        }
        ResumePoint::After(after)
    });
    let point = prop_oneof![uint().prop_map(ResumePoint::Position), after];
    (string(40), point).prop_map(|(epoch, point)| Resume { epoch, point })
}

fn replay() -> impl Strategy<Value = Replay> {
    let from = prop_oneof![
        time().prop_map(ReplayStart::At),
        any::<u64>().prop_map(|ms| ReplayStart::Ago(Duration::from_millis(ms))),
    ];
    let thousandths = 10..=100_000_000_u32;
    let speed = prop_oneof![
        Just(ReplaySpeed::Max),
        thousandths
            .prop_map(|thousandths| ReplaySpeed::factor(f64::from(thousandths) / 1000.0).unwrap()),
    ];
    (from, speed).prop_map(|(from, speed)| Replay { from, speed })
}

/// Returns subscribe requests with every allowed combination of options.
fn subscribe_request() -> BoxedStrategy<SubscribeRequest> {
    let delivered = prop_oneof![
        delivery().prop_map(|delivery| (delivery, None, None)),
        resume().prop_map(|resume| (Delivery::Every, Some(resume), None)),
        replay().prop_map(|replay| (Delivery::Every, None, Some(replay))),
    ];
    let id = option::of(uint());
    let snapshot = option::of(any::<bool>());
    (names(), snapshot, delivered, option::of(on_lag()), any::<bool>(), id)
        .prop_map(|(names, snapshot, (delivery, resume, replay), on_lag, pos, id)| {
            SubscribeRequest { names, snapshot, delivery, on_lag, pos, resume, replay, id }
        })
        .boxed()
}

fn report() -> impl Strategy<Value = SourceReport> {
    let text = || option::of(string(REPORT_TEXT_BYTES_MAX));
    let state = prop::sample::select(vec![FeedState::Live, FeedState::Stale, FeedState::Down]);
    let flags = (any::<bool>(), any::<bool>());
    (state, text(), text(), uint(), uint(), uint(), flags).prop_map(
        |(state, detail, upstream, connects, errors, ticks, (no_bars, is_full))| SourceReport {
            state,
            detail,
            upstream,
            connects,
            errors,
            ticks,
            no_bars,
            is_full,
        },
    )
}

pub(crate) fn command() -> impl Strategy<Value = Command> {
    let id = || option::of(uint());
    prop_oneof![
        subscribe_request().prop_map(Command::Subscribe),
        (names(), id()).prop_map(|(names, id)| {
            Command::Unsubscribe(SubscribeRequest { names, id, ..SubscribeRequest::default() })
        }),
        id().prop_map(|id| Command::List { id }),
        (string(40), string(40))
            .prop_map(|(key, secret)| Command::Auth(Credentials::from_pair(key, secret))),
        report().prop_map(Command::Report),
        (publisher(), any::<bool>())
            .prop_map(|(publisher, demand)| Command::Publish(PublishRequest { publisher, demand })),
    ]
}
