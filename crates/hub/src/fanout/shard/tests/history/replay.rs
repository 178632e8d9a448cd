//! Beginning in the past.

use std::time::Duration;

use tickwire_protocol::{Replay, ReplaySpeed, ReplayStart, SubscribeRequest};

use super::super::harness::{every, latest, names};
use super::rig;

fn from(
    names: tickwire_protocol::SubscriptionSet,
    ago_ms: u64,
    speed: ReplaySpeed,
) -> SubscribeRequest {
    let from = ReplayStart::Ago(Duration::from_millis(ago_ms));
    SubscribeRequest { names, replay: Some(Replay { from, speed }), ..SubscribeRequest::default() }
}

#[test]
fn a_replay_begins_where_it_was_asked_to_and_becomes_live() {
    let mut rig = rig();
    for ms in 0..10 {
        rig.received_ms = 1_000 + 100 * ms;
        rig.trades(["A", "B"]);
    }
    rig.turn_at(2_000);
    let id = rig.open();
    rig.ask(id, from(names(["A"]), 300, ReplaySpeed::Max));
    assert_eq!(rig.read(id), ["ack", "A8", "A9", "A10"]);
    rig.trades(["A"]);
    assert_eq!(rig.read(id), ["A11"]);
}

#[test]
fn a_replay_at_a_pace_sends_each_tick_when_it_is_due() {
    let mut rig = rig();
    for n in 0..10 {
        rig.received_ms = 1_000 + 100 * n;
        rig.trades(["A", "B"]);
    }
    rig.turn_at(2_000);
    let id = rig.open();
    rig.ask(id, from(names(["A"]), 1_000, ReplaySpeed::factor(2.0).unwrap()));
    assert_eq!(rig.read(id), ["ack", "A1"]);
    let mut at = Vec::new();
    for ms in 2_001..3_000 {
        rig.turn_at(ms);
        for id in rig.shard.ready.take_live(0).into_iter().chain(rig.shard.next_catching_up()) {
            at.extend(rig.read(id).into_iter().map(|spelled| (ms, spelled)));
        }
    }
    assert_eq!(at.len(), 9, "{at:?}");
    for (n, (ms, spelled)) in at.iter().enumerate() {
        let due = 2_000 + 50 * (n as u64 + 1);
        assert!((due..=due + 12).contains(ms), "{spelled} at {ms}, due at {due}");
        assert_eq!(*spelled, format!("A{}", n + 2));
    }
    assert_eq!(rig.shard.stats().catching_up, 0, "all was played");
    rig.trades(["A"]);
    assert_eq!(rig.read(id), ["A11"]);
}

#[test]
fn a_replay_at_a_pace_is_alone() {
    let mut rig = rig();
    rig.received_ms = 1_000;
    rig.trades(["A", "B"]);
    rig.received_ms = 1_900;
    rig.trades(["A"]);
    rig.turn_at(2_000);
    let (other, id) = (rig.open(), rig.open());
    let slowly = ReplaySpeed::factor(1.0).unwrap();
    rig.ask(other, every(names(["B"])));
    rig.ask(other, from(names(["A"]), 1_500, slowly));
    assert_eq!(rig.read(other), ["ack", "error 400"]);
    rig.ask(id, from(names(["A"]), 1_500, slowly));
    rig.ask(id, every(names(["B"])));
    rig.ask(id, latest(names(["B"])));
    assert_eq!(rig.read(id), ["ack", "error 400", "ack", "A1"]);
}

#[test]
fn a_replay_at_a_pace_is_served_behind_the_live_ones() {
    let mut rig = rig();
    for n in 0..20 {
        rig.received_ms = n * 100;
        rig.trades(["A"]);
    }
    rig.turn_at(2_000);
    let id = rig.open();
    rig.ask(id, from(names(["A"]), 2_000, ReplaySpeed::factor(1.0).unwrap()));
    rig.shard.ready.take_live(0);
    while rig.shard.next_catching_up().is_some() {}
    rig.read(id);
    rig.turn_at(2_300);
    assert_eq!(rig.shard.ready.take_live(0), []);
}
