//! How clients share the limits of a shard.

use super::super::super::{ClientId, Position, SessionId, TopicInterest};
use super::harness::{Harness, every, symbol};
use tickwire_protocol::{Channel, SubscriptionSet, Symbol};

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

#[test]
fn names_of_clients_are_read_in_pieces() {
    let mut harness = Harness::with_limits(Position::FIRST, |limits| limits.waiting_topics = 1_000);
    let _without_names = open(&mut harness, 3);
    for client in [1, 2, 1] {
        let id = open(&mut harness, client);
        ask(&mut harness, id, client..client + 3);
    }
    let mut found = Vec::new();
    let mut next = Some(0);
    let mut pieces = 0;
    while let Some(from) = next {
        let add = |client, name: TopicInterest| found.push((client, name.symbol.unwrap()));
        next = harness.shard.client_names(from, 4, add);
        pieces += 1;
    }
    assert_eq!((found.len(), pieces), (9, 3));
    found.sort_unstable();
    found.dedup();
    let of = |client: u32| (client..client + 3).map(move |index| (ClientId(client), index));
    let expected = of(1).chain(of(2));
    let expected = expected.map(|(id, index)| (id, Symbol::new(&symbol(index)).unwrap()));
    assert_eq!(found, expected.collect::<Vec<_>>());
}
