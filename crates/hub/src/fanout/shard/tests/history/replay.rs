//! Replays: subscriptions that start at a time in the past.

use std::time::Duration;

use tickwire_protocol::{Replay, ReplaySpeed, ReplayStart, SubscribeRequest, SubscriptionSet};

use super::super::harness::{every, latest, names};
use super::harness;

/// Requests a replay of `names` that starts `ago_ms` in the past.
fn replay(names: SubscriptionSet, ago_ms: u64, speed: ReplaySpeed) -> SubscribeRequest {
    let from = ReplayStart::Ago(Duration::from_millis(ago_ms));
    SubscribeRequest { names, replay: Some(Replay { from, speed }), ..SubscribeRequest::default() }
}

#[test]
fn replay_starts_at_the_requested_time_and_becomes_live() {
    let mut harness = harness();
    for ms in 0..10 {
        harness.received_ms = 1_000 + 100 * ms;
        harness.publish(["A", "B"]);
    }
    harness.turn_at(2_000);
    let id = harness.open();
    harness.subscribe_with(id, replay(names(["A"]), 300, ReplaySpeed::Max));
    assert_eq!(harness.read_all(id), ["ack", "A8", "A9", "A10"]);
    harness.publish(["A"]);
    assert_eq!(harness.read_all(id), ["A11"]);
}

#[test]
fn paced_replay_sends_each_tick_when_it_is_due() {
    let mut harness = harness();
    for n in 0..10 {
        harness.received_ms = 1_000 + 100 * n;
        harness.publish(["A", "B"]);
    }
    harness.turn_at(2_000);
    let id = harness.open();
    harness.subscribe_with(id, replay(names(["A"]), 1_000, ReplaySpeed::factor(2.0).unwrap()));
    assert_eq!(harness.read_all(id), ["ack", "A1"]);
    let mut received = Vec::new();
    for ms in 2_001..3_000 {
        harness.turn_at(ms);
        for id in
            harness.shard.ready.take_live(0).into_iter().chain(harness.shard.next_catching_up())
        {
            received.extend(harness.read_all(id).into_iter().map(|element| (ms, element)));
        }
    }
    assert_eq!(received.len(), 9, "{received:?}");
    for (n, (ms, element)) in received.iter().enumerate() {
        let due = 2_000 + 50 * (n as u64 + 1);
        assert!((due..=due + 12).contains(ms), "{element} at {ms}, due at {due}");
        assert_eq!(*element, format!("A{}", n + 2));
    }
    assert_eq!(harness.shard.stats().catching_up, 0, "the replay has ended");
    harness.publish(["A"]);
    assert_eq!(harness.read_all(id), ["A11"]);
}

#[test]
fn paced_replay_excludes_other_subscriptions_to_every_tick() {
    let mut harness = harness();
    harness.received_ms = 1_000;
    harness.publish(["A", "B"]);
    harness.received_ms = 1_900;
    harness.publish(["A"]);
    harness.turn_at(2_000);
    let other = harness.open();
    let id = harness.open();
    let real_time = ReplaySpeed::factor(1.0).unwrap();
    harness.subscribe_with(other, every(names(["B"])));
    harness.subscribe_with(other, replay(names(["A"]), 1_500, real_time));
    assert_eq!(harness.read_all(other), ["ack", "error 400"]);
    harness.subscribe_with(id, replay(names(["A"]), 1_500, real_time));
    harness.subscribe_with(id, every(names(["B"])));
    harness.subscribe_with(id, latest(names(["B"])));
    assert_eq!(harness.read_all(id), ["ack", "error 400", "ack", "A1"]);
}

#[test]
fn paced_replay_is_not_served_among_live_sessions() {
    let mut harness = harness();
    for n in 0..20 {
        harness.received_ms = n * 100;
        harness.publish(["A"]);
    }
    harness.turn_at(2_000);
    let id = harness.open();
    harness.subscribe_with(id, replay(names(["A"]), 2_000, ReplaySpeed::factor(1.0).unwrap()));
    harness.shard.ready.take_live(0);
    while harness.shard.next_catching_up().is_some() {}
    harness.read_all(id);
    harness.turn_at(2_300);
    assert_eq!(harness.shard.ready.take_live(0), []);
}
