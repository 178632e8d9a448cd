//! Resume and replay of ticks that the log still holds.

mod lost;
mod replay;

use tickwire_protocol::{
    Channel, Command, PerChannel, Resume, ResumePoint, Seq, SubscribeRequest, SubscriptionSet,
    Symbol,
};

use super::super::super::{CloseReason, Position};
use super::harness::{Harness, all_trades, every, latest, names};
use crate::fanout::NextWrite;

const EPOCH: &str = "epoch-1";

fn harness() -> Harness {
    Harness::new(Position::FIRST, 65_535).in_epoch(EPOCH)
}

/// Requests the ticks of `names` after a point in the current epoch, with positions.
fn resume(names: SubscriptionSet, point: ResumePoint) -> SubscribeRequest {
    let resume = Some(Resume { epoch: EPOCH.to_owned(), point });
    SubscribeRequest { names, resume, pos: true, ..SubscribeRequest::default() }
}

fn resume_after_position(names: SubscriptionSet, position: u64) -> SubscribeRequest {
    resume(names, ResumePoint::Position(position))
}

fn resume_after_numbers(names: SubscriptionSet, topics: &[(&str, u64)]) -> SubscribeRequest {
    let mut after = Box::<PerChannel<_>>::default();
    let topic = |(symbol, seq): &(&str, u64)| (Symbol::new(symbol).unwrap(), Seq(*seq));
    after[Channel::Trades] = topics.iter().map(topic).collect();
    resume(names, ResumePoint::After(after))
}

#[test]
fn resume_by_position_catches_up_and_becomes_live() {
    let mut harness = harness();
    harness.publish(["A", "B", "C", "A", "B"]);
    harness.publish(["A", "C", "B"]);
    let id = harness.open();
    harness.subscribe_with(id, resume_after_position(names(["A", "B"]), 2));
    harness.publish(["A"]);
    assert_eq!(harness.shard.next_catching_up(), Some(id));
    let expected = ["ack Complete 2", "A2", "B2", "A3", "B3", "A4", "p9"];
    assert_eq!(harness.read_all(id), expected);
    assert_eq!(harness.shard.stats().catching_up, 0);
    harness.publish(["C", "B", "C"]);
    assert_eq!(harness.read_all(id), ["B4", "p11"]);
    assert_eq!(harness.shard.stats().backlog_ticks, 0);
}

#[test]
fn resume_by_number_sends_a_snapshot_of_unlisted_topics() {
    let mut harness = harness();
    harness.publish(["A", "B", "C", "A", "B", "A", "A"]);
    let id = harness.open();
    harness.subscribe_with(
        id,
        resume_after_numbers(names(["A", "B", "C", "D"]), &[("A", 1), ("B", 2), ("D", 0)]),
    );
    let expected = ["ack Complete 3", "snapshot", "C1", "live", "A2", "A3", "A4", "p7"];
    assert_eq!(harness.read_all(id), expected);
    harness.publish(["D", "C", "B"]);
    assert_eq!(harness.read_all(id), ["D1", "C2", "B3", "p10"]);
}

#[test]
fn wildcard_resume_sends_unlisted_topics_from_their_first_tick() {
    let mut harness = harness();
    harness.publish(["A", "B", "C", "A", "B", "C"]);
    let id = harness.open();
    harness.subscribe_with(id, resume_after_numbers(all_trades(), &[("A", 1), ("B", 2)]));
    assert_eq!(harness.read_all(id), ["ack Complete 0", "C1", "A2", "C2", "p6"]);
    harness.publish(["B"]);
    assert_eq!(harness.read_all(id), ["B3", "p7"]);
}

#[test]
fn session_without_ticks_resumes_from_the_position_of_its_ack() {
    let mut harness = harness();
    harness.publish(["A"]);
    let id = harness.open();
    harness.subscribe_with(id, SubscribeRequest { pos: true, ..every(names(["Q"])) });
    assert_eq!(harness.read_all(id), ["ack 1"]);
    harness.publish(["A", "Q"]);
    harness.publish(["Q"]);
    let again = harness.open();
    harness.subscribe_with(again, resume_after_position(names(["Q"]), 1));
    assert_eq!(harness.read_all(again), ["ack Complete 1", "Q1", "Q2", "p4"]);
    assert_eq!(harness.shard.position(again), Some(Position(4)));
}

#[test]
fn live_names_wait_while_other_names_catch_up() {
    let mut harness = harness();
    harness.publish(["A", "B", "A"]);
    let id = harness.open();
    harness.subscribe_with(id, every(names(["A"])));
    harness.publish(["A", "B"]);
    harness.subscribe_with(id, resume_after_position(names(["B"]), 1));
    harness.publish(["A", "B"]);
    let expected = ["ack", "A3", "p4", "ack Complete 1", "B1", "B2", "A4", "B3", "p7"];
    assert_eq!(harness.read_all(id), expected);
}

#[test]
fn second_resume_goes_back_and_repeats_no_tick() {
    let mut harness = harness();
    for _ in 0..2_000 {
        harness.publish(["A", "B"]);
    }
    let id = harness.open();
    harness.subscribe_with(id, resume_after_position(names(["A"]), 0));
    assert_eq!(harness.read_next(id).unwrap(), ["ack Complete 0"]);
    let mut read = harness.read_next(id).unwrap();
    harness.subscribe_with(id, resume_after_position(names(["B"]), 0));
    harness.subscribe_with(id, every(names(["C"])));
    harness.publish(["C", "A", "B"]);
    read.append(&mut harness.read_all(id));
    for symbol in ["A", "B"] {
        let of = |element: &&String| element.starts_with(symbol);
        let found: Vec<_> = read.iter().filter(of).cloned().collect();
        let all: Vec<_> = (1..=2_001).map(|n| format!("{symbol}{n}")).collect();
        assert_eq!(found, all);
    }
    assert!(read.contains(&"C1".to_owned()));
}

#[test]
fn resume_from_another_epoch_gives_a_gap_and_last_values() {
    let mut harness = harness();
    harness.publish(["A", "A", "B"]);
    let id = harness.open();
    let resume = Some(Resume { epoch: "before".to_owned(), point: ResumePoint::Position(7) });
    harness.subscribe_with(
        id,
        SubscribeRequest { names: names(["A", "C"]), resume, ..SubscribeRequest::default() },
    );
    assert_eq!(harness.read_all(id), ["ack NewEpoch ?", "gap A ?-?", "snapshot", "A2", "live"]);
}

#[test]
fn latest_names_stay_live_while_other_names_catch_up() {
    let mut harness = harness();
    for _ in 0..4_000 {
        harness.publish(["A", "B"]);
    }
    let id = harness.open();
    harness.subscribe_with(id, latest(names(["B"])));
    harness.subscribe_with(id, resume_after_position(names(["A"]), 0));
    assert_eq!(harness.read_next(id).unwrap(), ["ack", "ack Complete 0"]);
    harness.read_next(id).unwrap();
    harness.publish(["B"]);
    assert_eq!(harness.read_next(id).unwrap(), ["B4001"]);
    assert!(harness.read_next(id).unwrap()[0].starts_with('A'));
    assert_eq!(harness.shard.stats().catching_up, 1);
}

#[test]
fn unsubscribed_name_is_sent_only_if_a_wildcard_covers_it() {
    let mut harness = harness();
    for _ in 0..1_500 {
        harness.publish(["A", "B"]);
    }
    let named = harness.open();
    let wildcard = harness.open();
    harness.subscribe_with(named, resume_after_position(names(["A", "B"]), 0));
    harness.read_next(named);
    harness.command(named, Command::Unsubscribe, names(["A"]));
    let read = harness.read_all(named);
    assert_eq!(read.iter().filter(|element| element.starts_with('B')).count(), 1_500);
    assert_eq!(read.iter().filter(|element| element.starts_with('A')).count(), 0);

    harness.subscribe_with(wildcard, resume_after_position(names(["A"]), 0));
    harness.read_next(wildcard);
    let mut read = harness.read_next(wildcard).unwrap();
    harness.subscribe_with(wildcard, every(all_trades()));
    harness.command(wildcard, Command::Unsubscribe, names(["A"]));
    read.append(&mut harness.read_all(wildcard));
    assert_eq!(read.iter().filter(|element| element.starts_with('A')).count(), 1_500);
    assert_eq!(read.iter().filter(|element| element.starts_with('B')).count(), 0);
}

#[test]
fn finishing_session_receives_its_backlog_and_no_more_history() {
    let mut harness = harness();
    for _ in 0..3_000 {
        harness.publish(["A"]);
    }
    let id = harness.open();
    harness.subscribe_with(id, resume_after_position(names(["A"]), 0));
    harness.read_next(id);
    let first = harness.read_next(id).unwrap();
    harness.shard.finish(id, CloseReason::Shutdown);
    let rest = harness.read_all(id);
    assert!(first.len() + rest.len() < 1_100, "{}", rest.len());
    assert_eq!(harness.shard.stats().catching_up, 0);
    assert_eq!(
        harness.shard.next_write(id, &mut harness.out),
        NextWrite::Ended(CloseReason::Shutdown)
    );
}

#[test]
fn new_wildcard_does_not_inherit_the_cursor_of_a_removed_name() {
    let mut harness = harness();
    for _ in 0..3_000 {
        harness.publish(["A"]);
    }
    harness.publish(["B"]);
    let id = harness.open();
    harness.subscribe_with(id, resume_after_position(names(["A"]), 0));
    harness.read_next(id);
    harness.subscribe_with(id, every(names(["B"])));
    harness.command(id, Command::Unsubscribe, names(["B"]));
    harness.publish(["B", "B"]);
    harness.subscribe_with(id, every(all_trades()));
    harness.publish(["B"]);
    let read = harness.read_all(id);
    let of_b: Vec<_> = read.iter().filter(|element| element.starts_with('B')).collect();
    assert_eq!(of_b, ["B4"]);
}

#[test]
fn old_ticks_of_a_catch_up_do_not_make_a_live_session_lag() {
    let mut harness = Harness::new(Position::FIRST, 10_000).in_epoch(EPOCH);
    for n in 0..20 {
        harness.received_ms = n * 1000;
        harness.publish_indexed((0..100).map(|_| 0));
    }
    harness.turn_at(20_000);
    let id = harness.open();
    harness.subscribe_with(id, resume_after_position(names(["A"]), 0));
    while harness.shard.stats().catching_up == 1 {
        harness.read_next(id).unwrap();
    }
    assert!(harness.shard.stats().backlog_ticks > 0);
    harness.shard.blocked(id);
    harness.turn_at(20_100);
    harness.shard.check_ages();
    assert_eq!(harness.shard.take_lagged(), []);
}

#[test]
fn position_beyond_the_head_counts_as_another_epoch() {
    let mut harness = harness();
    harness.publish(["A", "A"]);
    let id = harness.open();
    harness.subscribe_with(id, resume_after_position(names(["A"]), 2));
    assert_eq!(harness.read_all(id), ["ack Complete 2"]);
    for position in [3, u64::MAX] {
        let id = harness.open();
        harness.subscribe_with(id, resume_after_position(names(["A"]), position));
        let expected = ["ack NewEpoch 0", "gap A ?-?", "snapshot", "A2", "live", "p2"];
        assert_eq!(harness.read_all(id), expected);
    }
}

#[test]
fn name_added_to_a_wildcard_that_catches_up_keeps_its_progress() {
    let mut harness = harness();
    for _ in 0..1_500 {
        harness.publish(["A", "B"]);
    }
    let id = harness.open();
    harness.subscribe_with(id, resume_after_position(all_trades(), 0));
    harness.read_next(id);
    let mut read = harness.read_next(id).unwrap();
    harness.subscribe_with(id, every(names(["B"])));
    harness.publish(["B"]);
    read.append(&mut harness.read_all(id));
    let of_b: Vec<_> = read.iter().filter(|element| element.starts_with('B')).collect();
    assert!(of_b.iter().copied().eq(&(1..=1_501).map(|n| format!("B{n}")).collect::<Vec<_>>()));
}

#[test]
fn latest_name_removed_during_a_wildcard_catch_up_repeats_no_tick() {
    let mut harness = harness();
    for _ in 0..1_500 {
        harness.publish(["A", "B"]);
    }
    let id = harness.open();
    harness.subscribe_with(id, latest(names(["B"])));
    harness.subscribe_with(id, resume_after_position(all_trades(), 0));
    harness.read_next(id);
    harness.read_next(id);
    harness.publish(["B"]);
    let newest = harness.read_next(id).unwrap();
    harness.command(id, Command::Unsubscribe, names(["B"]));
    let read = harness.read_all(id);
    let first_b = read.iter().find(|element| element.starts_with('B'));
    assert!(first_b.is_none(), "{newest:?} then {first_b:?}");
}
