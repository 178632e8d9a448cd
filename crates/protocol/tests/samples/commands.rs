//! Every command.

use tickwire_protocol::{
    Channel, Command, Credentials, FeedState, OnLag, PerChannel, PublishRequest, Replay,
    ReplaySpeed, Resume, ResumePoint, Seq, SourceReport, SubscribeRequest, SubscriptionSet, Symbol,
};

use super::latest;
use super::names::{all_quotes, three_channels, two_trades};

/// Subscribes with a position, a resume or a replay.
fn history_commands() -> [(&'static str, Command); 5] {
    let subscribe = |pos, resume, replay| {
        let names = two_trades();
        let id = Some(1);
        Command::Subscribe(SubscribeRequest {
            names,
            id,
            pos,
            resume,
            replay,
            ..SubscribeRequest::default()
        })
    };
    let resume = |point| Some(Resume { epoch: "8c1f6e0b52d94a37".to_owned(), point });
    let mut after = Box::<PerChannel<_>>::default();
    after[Channel::Trades] = ["AAPL", "MSFT"].map(|s| (Symbol::new(s).unwrap(), Seq(1041))).into();
    let replay = |from: &str, speed| Some(Replay { from: from.parse().unwrap(), speed });
    let slowly = ReplaySpeed::factor(20.0).unwrap();
    [
        ("subscribe_positioned", subscribe(true, None, None)),
        ("subscribe_resume", subscribe(true, resume(ResumePoint::Position(1_999_000)), None)),
        ("subscribe_resume_after", subscribe(false, resume(ResumePoint::After(after)), None)),
        (
            "subscribe_replay",
            subscribe(false, None, replay("2026-01-02T14:30:00Z", ReplaySpeed::Max)),
        ),
        ("subscribe_replay_paced", subscribe(false, None, replay("-5m", slowly))),
    ]
}

/// Returns credentials, and commands of publishers.
fn publisher_commands() -> [(&'static str, Command); 3] {
    [
        (
            "auth",
            Command::Auth(Credentials { id: "desk-1".to_owned(), secret: "s3cret".to_owned() }),
        ),
        (
            "publish_on_demand",
            Command::Publish(PublishRequest { publisher: "relay-1".to_owned(), demand: true }),
        ),
        (
            "report",
            Command::Report(SourceReport {
                state: FeedState::Stale,
                detail: Some("nothing came for 30 s".to_owned()),
                upstream: Some("wss://stream.example/v2/sip".to_owned()),
                connects: 2,
                errors: 1,
                ticks: 31_250,
                no_bars: true,
                is_full: true,
            }),
        ),
    ]
}

/// Returns every command, with the name of its golden files.
pub(super) fn all() -> Vec<(&'static str, Command)> {
    let mut dropped = SubscriptionSet::default();
    dropped[Channel::Quotes].add("MSFT").unwrap();
    let mut everything = SubscriptionSet::default();
    for channel in Channel::ALL {
        everything[channel].add("*").unwrap();
    }
    let mut commands = vec![
        (
            "subscribe",
            Command::Subscribe(SubscribeRequest {
                names: three_channels(),
                id: Some(1),
                ..SubscribeRequest::default()
            }),
        ),
        (
            "subscribe_everything",
            Command::Subscribe(SubscribeRequest {
                names: everything,
                snapshot: Some(true),
                ..SubscribeRequest::default()
            }),
        ),
        (
            "subscribe_latest",
            Command::Subscribe(SubscribeRequest {
                names: all_quotes(),
                delivery: latest(Some(10.0)),
                on_lag: Some(OnLag::Latest),
                id: Some(1),
                ..SubscribeRequest::default()
            }),
        ),
        (
            "subscribe_latest_fractional_rate",
            Command::Subscribe(SubscribeRequest {
                names: all_quotes(),
                delivery: latest(Some(0.5)),
                ..SubscribeRequest::default()
            }),
        ),
        (
            "unsubscribe",
            Command::Unsubscribe(SubscribeRequest {
                names: dropped,
                id: Some(2),
                ..SubscribeRequest::default()
            }),
        ),
        ("list", Command::List { id: Some(3) }),
        (
            "publish",
            Command::Publish(PublishRequest { publisher: "replay-1".to_owned(), demand: false }),
        ),
    ];
    commands.extend(history_commands());
    commands.extend(publisher_commands());
    commands
}
