//! How clients share the limits of a shard.

use super::super::super::{ClientId, Position, SessionId};
use super::harness::{Harness, every, symbol};
use tickwire_protocol::{Channel, SubscriptionSet};

/// Opens a session of a client.
fn open(harness: &mut Harness, client: u32) -> SessionId {
    let id = harness.open();
    harness.shard.set_client(id, ClientId(client));
    id
}

/// Subscribes to the symbols with these indexes, and returns the answer.
fn ask(harness: &mut Harness, id: SessionId, indexes: std::ops::Range<u32>) -> String {
    let mut names = SubscriptionSet::default();
    indexes.for_each(|index| drop(names[Channel::Trades].add(&symbol(index))));
    harness.subscribe_with(id, every(names));
    harness.read_all(id).pop().unwrap()
}

#[test]
fn names_without_ticks_leave_room_for_other_clients() {
    let mut harness = Harness::with_limits(Position::FIRST, |limits| limits.waiting_topics = 100);
    let one = open(&mut harness, 1);
    let same = open(&mut harness, 1);
    let other = open(&mut harness, 2);
    assert_eq!(ask(&mut harness, one, 0..51), "error 405");
    assert_eq!(ask(&mut harness, one, 0..50), "ack");
    assert_eq!(ask(&mut harness, same, 50..51), "error 405");
    assert_eq!(ask(&mut harness, other, 40..70), "ack", "ten of them exist already");
    harness.publish_indexed(0..50);
    assert_eq!(ask(&mut harness, same, 80..100), "ack", "its names have ticked");
    harness.shard.close(same);
    harness.turn();
    assert_eq!(ask(&mut harness, other, 70..99), "ack");
}

#[test]
fn subscriptions_leave_room_for_other_clients() {
    let mut harness = Harness::with_limits(Position::FIRST, |limits| limits.subscriptions = 100);
    let one = open(&mut harness, 1);
    let same = open(&mut harness, 1);
    let other = open(&mut harness, 2);
    assert_eq!(ask(&mut harness, one, 0..30), "ack");
    assert_eq!(ask(&mut harness, same, 0..21), "error 405");
    assert_eq!(ask(&mut harness, same, 0..20), "ack");
    assert_eq!(ask(&mut harness, other, 0..26), "error 405");
    harness.shard.close(one);
    assert_eq!(ask(&mut harness, other, 0..26), "ack");
    assert_eq!(harness.shard.stats().subscriptions, 46);
}
