//! Every type of control element.

use tickwire_protocol::{
    Channel, Control, Delivery, DeliveryGroup, ErrorCode, Feed, FeedState, OnLag, PerChannel,
    ResumeOutcome, SubscriptionSet, Symbol,
};

use super::latest;
use super::names::{all_quotes, three_channels, two_trades};

/// Answers with delivery `latest`: to a subscribe, and to `list`.
fn latest_answers() -> [(&'static str, Control); 2] {
    let mut total = PerChannel::default();
    total[Channel::Quotes] = 1;
    let ack = Control::Subscription {
        id: Some(1),
        names: Box::new(all_quotes()),
        total,
        delivery: latest(Some(10.0)),
        on_lag: OnLag::Latest,
        modes: Vec::new(),
        pos: None,
        resumed: None,
        from: None,
    };
    total[Channel::Trades] = 2;
    let mut trade = SubscriptionSet::default();
    trade[Channel::Trades].add("MSFT").unwrap();
    let mut every = all_quotes();
    every[Channel::Trades].add("AAPL").unwrap();
    every[Channel::Trades].add("MSFT").unwrap();
    let listed = Control::Subscription {
        id: Some(3),
        names: Box::new(every),
        total,
        delivery: Delivery::Every,
        on_lag: OnLag::Close,
        modes: vec![
            DeliveryGroup { delivery: latest(Some(10.0)), names: all_quotes() },
            DeliveryGroup { delivery: latest(None), names: trade },
        ],
        pos: None,
        resumed: None,
        from: None,
    };
    [("subscription_latest", ack), ("subscription_modes", listed)]
}

/// Returns an answer to a subscribe of two trades.
fn history_answer(pos: u64, resumed: Option<ResumeOutcome>, from: Option<&str>) -> Control {
    let mut total = PerChannel::default();
    total[Channel::Trades] = 2;
    Control::Subscription {
        id: Some(1),
        names: Box::new(two_trades()),
        total,
        delivery: Delivery::Every,
        on_lag: OnLag::Close,
        modes: Vec::new(),
        pos: Some(pos),
        resumed,
        from: from.map(|from| from.parse().unwrap()),
    }
}

/// Answers with a position: to a subscribe, to resumes and to a replay.
fn history_answers() -> [(&'static str, Control); 4] {
    [
        ("subscription_positioned", history_answer(2_000_041, None, None)),
        ("subscription_resumed", history_answer(1_999_000, Some(ResumeOutcome::Complete), None)),
        ("subscription_resumed_gap", history_answer(1_999_512, Some(ResumeOutcome::Gap), None)),
        ("subscription_replay", history_answer(1_500_000, None, Some("2026-01-02T14:30:00Z"))),
    ]
}

fn gaps() -> [(&'static str, Control); 3] {
    let gap = |from, to, lagged| Control::Gap {
        channel: Channel::Trades,
        symbol: Symbol::new("AAPL").unwrap(),
        from,
        to,
        lagged,
    };
    [
        ("gap", gap(Some(1043), Some(2001), false)),
        ("gap_unknown", gap(None, None, false)),
        ("gap_lagged", gap(Some(1043), Some(2001), true)),
    ]
}

/// Elements of hubs that require keys, and of publishers that request demand.
fn access_and_demand() -> [(&'static str, Control); 5] {
    [
        ("connected_without_epoch", Control::Connected { epoch: None }),
        ("authenticated", Control::Authenticated),
        (
            "error_not_allowed",
            Control::Error {
                code: ErrorCode::InsufficientSubscription,
                detail: Some("the key desk-1 may read iex, not sip".to_owned()),
                id: None,
            },
        ),
        (
            "demand",
            Control::Demand {
                feed: Feed::default(),
                added: Box::new(two_trades()),
                removed: Box::new(all_quotes()),
            },
        ),
        (
            "demand_by_client",
            Control::DemandByClient {
                feed: Feed::default(),
                clients: vec![two_trades(), all_quotes()],
            },
        ),
    ]
}

/// Returns every type of control element, with the name of its golden files.
pub(super) fn all() -> Vec<(&'static str, Control)> {
    let mut total = PerChannel::default();
    total[Channel::Trades] = 1;
    total[Channel::Quotes] = 2;
    total[Channel::Bars] = 1;
    let names = Box::new(three_channels());
    let time = "2026-01-02T14:30:00.5Z".parse().unwrap();
    let feed = |lost, view: Option<&str>, delay_ms| Control::Feed {
        feed: Feed::default(),
        state: FeedState::Live,
        since: time,
        lost,
        view: view.map(str::to_owned),
        delay_ms,
    };
    let mut controls = vec![
        ("connected", Control::Connected { epoch: Some("8c1f6e0b52d94a37".to_owned()) }),
        (
            "subscription",
            Control::Subscription {
                id: Some(1),
                names,
                total,
                delivery: Delivery::Every,
                on_lag: OnLag::Close,
                modes: Vec::new(),
                pos: None,
                resumed: None,
                from: None,
            },
        ),
        ("snapshot", Control::Snapshot { ticks: 3 }),
        ("live", Control::Live),
        (
            "error",
            Control::Error {
                code: ErrorCode::InvalidSyntax,
                detail: Some("field action: missing".to_owned()),
                id: Some(4),
            },
        ),
        (
            "error_slow_client",
            Control::Error { code: ErrorCode::SlowClient, detail: None, id: None },
        ),
        ("feed", feed(0, None, 0)),
        ("feed_lost", feed(17, None, 0)),
        ("feed_delayed", feed(0, Some("delayed_sip"), 900_000)),
        ("heartbeat", Control::Heartbeat { time, pos: None }),
        ("heartbeat_positioned", Control::Heartbeat { time, pos: Some(2_000_042) }),
        ("publishing", Control::Publishing { last: 0, mark: None }),
        (
            "publishing_again",
            Control::Publishing { last: 41, mark: Some("trades.csv:1042".to_owned()) },
        ),
        ("ack", Control::Ack { up_to: 42, durable: true }),
        ("ack_not_durable", Control::Ack { up_to: 42, durable: false }),
    ];
    controls.extend(latest_answers());
    controls.extend(history_answers());
    controls.extend(gaps());
    controls.extend(access_and_demand());
    controls
}
