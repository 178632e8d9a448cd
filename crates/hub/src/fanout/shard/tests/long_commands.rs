//! Commands over many topics, which are carried out in pieces.

use tickwire_protocol::{Channel, Command, SubscribeRequest, SubscriptionSet};

use super::super::super::{ClientId, Position, SessionId};
use super::harness::{Harness, all_trades, every, latest, names, symbol};

/// Creates a shard whose pieces hold two topics.
fn harness() -> Harness {
    Harness::with_limits(Position::FIRST, |limits| limits.topics_per_piece = 2)
}

fn indexed(indexes: std::ops::Range<u32>) -> SubscriptionSet {
    let mut names = SubscriptionSet::default();
    indexes.for_each(|index| drop(names[Channel::Trades].add(&symbol(index))));
    names
}

fn with_snapshot(request: SubscribeRequest) -> SubscribeRequest {
    SubscribeRequest { snapshot: Some(true), ..request }
}

/// Carries out what is left of all commands. Returns the number of pieces.
fn finish(harness: &mut Harness) -> usize {
    std::iter::from_fn(|| harness.shard.continue_command().then_some(())).count()
}

#[test]
fn ticks_since_a_command_follow_its_answer() {
    for names in [indexed(0..6), all_trades()] {
        let mut harness = harness();
        harness.publish_indexed(0..4);
        let id = harness.open();
        let other = harness.open();
        harness.subscribe_with(id, with_snapshot(every(names)));
        harness.subscribe(other, "A");
        assert!(harness.shard.continue_command());
        harness.publish(["A", "S4"]);
        assert_eq!(harness.read_all(id), [""; 0], "it is held");
        assert_eq!(harness.read_all(other), ["A2"], "others are not");
        finish(&mut harness);
        harness.publish(["A"]);
        let mut received = harness.read_all(id);
        received[2..6].sort_unstable();
        let values = ["ack", "snapshot", "A1", "B1", "C1", "S31", "live"];
        assert_eq!(received[..7], values);
        assert_eq!(received[7..], ["A2", "S41", "A3"]);
        assert_eq!(harness.read_all(other), ["A3"]);
    }
}

#[test]
fn subscriptions_that_a_session_has_continue_after_its_command() {
    let mut harness = harness();
    let id = harness.open();
    harness.subscribe(id, "A");
    harness.publish(["A"]);
    harness.subscribe_with(id, every(indexed(1..6)));
    harness.publish(["A", "B"]);
    assert_eq!(harness.read_all(id), ["A1"], "it was pending");
    finish(&mut harness);
    assert_eq!(harness.read_all(id), ["ack", "A2", "B1"]);
    let request = every(indexed(0..4));
    harness.shard.command(id, &Command::Unsubscribe(request));
    harness.publish(["A", "S4"]);
    finish(&mut harness);
    assert_eq!(harness.read_all(id), ["ack", "S41"]);
}

#[test]
fn newer_value_replaces_one_that_has_left_the_log() {
    let mut harness = harness();
    harness.publish_indexed(0..3);
    harness.turn_with_empty_log();
    let id = harness.open();
    harness.subscribe_with(id, with_snapshot(every(all_trades())));
    harness.publish(["A", "A"]);
    finish(&mut harness);
    harness.publish(["A"]);
    let mut received = harness.read_all(id);
    received[2..5].sort_unstable();
    assert_eq!(received, ["ack", "snapshot", "A3", "B1", "C1", "live", "A4"]);
}

#[test]
fn newest_values_are_sent_once() {
    for names in [indexed(0..6), all_trades()] {
        let mut harness = harness();
        harness.publish_indexed(0..3);
        let id = harness.open();
        harness.subscribe_with(id, with_snapshot(latest(names)));
        assert!(harness.shard.continue_command());
        harness.publish(["A", "B", "C", "S4"]);
        finish(&mut harness);
        let received = harness.read_all(id);
        for newest in ["A2", "B2", "C2", "S41"] {
            let times = received.iter().filter(|element| *element == newest).count();
            assert_eq!(times, 1, "{newest}: {received:?}");
        }
    }
}

#[test]
fn refused_command_changes_nothing() {
    let mut harness = Harness::with_limits(Position::FIRST, |limits| {
        limits.topics_per_piece = 2;
        limits.subscriptions_per_session = 5;
    });
    let id = harness.open();
    harness.subscribe(id, "A");
    harness.subscribe_with(id, every(indexed(0..6)));
    harness.publish_indexed(0..6);
    finish(&mut harness);
    assert_eq!(harness.read_all(id), ["error 405", "A1"]);
    assert_eq!(harness.shard.stats().subscriptions, 1);
}

#[test]
fn names_of_an_ended_session_are_removed_in_pieces() {
    for request in [every(indexed(0..6)), latest(indexed(0..6))] {
        let mut harness = harness();
        let id = harness.open();
        harness.subscribe_with(id, request);
        finish(&mut harness);
        harness.read_all(id);
        harness.shard.take_interest_changes();
        harness.shard.close(id);
        assert_eq!(harness.shard.sessions(), 0);
        harness.turn();
        let next = harness.open();
        assert_ne!(next, id, "its slot is not free yet");
        harness.publish_indexed(0..6);
        let left: Vec<usize> = std::iter::from_fn(|| {
            harness.shard.continue_leaving();
            let left = harness.shard.stats().subscriptions;
            (left > 0).then_some(left)
        })
        .collect();
        assert_eq!(left, [4, 2]);
        while harness.shard.has_pieces() {
            assert!(harness.shard.take_interest_changes().len() <= 2);
        }
        assert!(!harness.shard.is_eager(), "no subscription is left");
        harness.turn();
        assert_eq!(harness.open(), id);
    }
}

#[test]
fn command_of_a_session_that_ends_is_dropped() {
    let mut harness = harness();
    let ids: Vec<SessionId> = (0..6).map(|_| harness.open()).collect();
    for id in &ids {
        harness.subscribe_with(*id, every(indexed(0..6)));
    }
    assert!(harness.shard.continue_command());
    ids.iter().for_each(|id| harness.shard.close(*id));
    assert!(!harness.shard.continue_command());
    harness.shard.continue_leaving();
    assert_eq!(harness.shard.stats().subscriptions, 0);
}

/// The work that hostile clients cause is counted in pieces, not in time.
#[test]
fn hostile_clients_delay_others_by_a_few_pieces() {
    let mut harness = harness();
    harness.publish_indexed(0..100);
    let open = |harness: &mut Harness, client| {
        let id = harness.open();
        harness.shard.set_client(id, ClientId(client));
        id
    };
    for hostile in 0..40 {
        let id = open(&mut harness, 1);
        let request = match hostile % 2 {
            0 => with_snapshot(every(all_trades())),
            _ => every(indexed(0..100)),
        };
        harness.subscribe_with(id, request);
    }
    let few = open(&mut harness, 2);
    harness.subscribe_with(few, every(names(["A"])));
    assert_eq!(harness.read_all(few), ["ack"], "few names need no piece");
    harness.publish(["A"]);
    assert_eq!(harness.read_all(few), ["A2"]);
    let many = open(&mut harness, 3);
    harness.subscribe_with(many, every(indexed(0..6)));
    let mut pieces = 0;
    while harness.read_all(many).is_empty() {
        assert!(harness.shard.continue_command());
        pieces += 1;
    }
    assert!(pieces <= 20, "three pieces of its own, and a few of others after each: {pieces}");
    assert!(finish(&mut harness) > 1_000, "the others go on");
}
