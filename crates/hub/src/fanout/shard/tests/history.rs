//! Resume and replay, on small numbers.

mod lost;
mod replay;

use tickwire_protocol::{
    Channel, Command, PerChannel, Resume, ResumePoint, Seq, SubscribeRequest, Symbol,
};

use super::super::super::{CloseReason, Position};
use super::harness::{Rig, all_trades, every, latest, names};
use crate::fanout::NextWrite;

const EPOCH: &str = "life";

fn rig() -> Rig {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    rig.shard =
        std::mem::replace(&mut rig.shard, Rig::new(Position::FIRST, 10).shard).in_epoch(EPOCH);
    rig
}

fn resume(names: tickwire_protocol::SubscriptionSet, point: ResumePoint) -> SubscribeRequest {
    let resume = Some(Resume { epoch: EPOCH.to_owned(), point });
    SubscribeRequest { names, resume, pos: true, ..SubscribeRequest::default() }
}

fn behind(names: tickwire_protocol::SubscriptionSet, position: u64) -> SubscribeRequest {
    resume(names, ResumePoint::Position(position))
}

fn after(names: tickwire_protocol::SubscriptionSet, topics: &[(&str, u64)]) -> SubscribeRequest {
    let mut after = Box::<PerChannel<_>>::default();
    let topic = |(symbol, seq): &(&str, u64)| (Symbol::new(symbol).unwrap(), Seq(*seq));
    after[Channel::Trades] = topics.iter().map(topic).collect();
    resume(names, ResumePoint::After(after))
}

#[test]
fn a_session_goes_on_behind_its_position_and_joins_those_that_are_live() {
    let mut rig = rig();
    rig.trades(["A", "B", "C", "A", "B"]);
    rig.trades(["A", "C", "B"]);
    let id = rig.open();
    rig.ask(id, behind(names(["A", "B"]), 2));
    rig.trades(["A"]);
    assert_eq!(rig.shard.next_catching_up(), Some(id));
    let expected = ["ack Complete 2", "A2", "B2", "A3", "B3", "A4", "p9"];
    assert_eq!(rig.read(id), expected);
    assert_eq!(rig.shard.stats().catching_up, 0);
    rig.trades(["C", "B", "C"]);
    assert_eq!(rig.read(id), ["B4", "p11"]);
    assert_eq!(rig.shard.stats().backlog_ticks, 0);
}

#[test]
fn each_topic_goes_on_behind_its_number_and_the_others_begin_with_their_last_value() {
    let mut rig = rig();
    rig.trades(["A", "B", "C", "A", "B", "A", "A"]);
    let id = rig.open();
    rig.ask(id, after(names(["A", "B", "C", "D"]), &[("A", 1), ("B", 2), ("D", 0)]));
    let expected = ["ack Complete 3", "snapshot", "C1", "live", "A2", "A3", "A4", "p7"];
    assert_eq!(rig.read(id), expected);
    rig.trades(["D", "C", "B"]);
    assert_eq!(rig.read(id), ["D1", "C2", "B3", "p10"]);
}

#[test]
fn under_a_star_a_missing_topic_is_sent_from_its_first_tick() {
    let mut rig = rig();
    rig.trades(["A", "B", "C", "A", "B", "C"]);
    let id = rig.open();
    rig.ask(id, after(all_trades(), &[("A", 1), ("B", 2)]));
    assert_eq!(rig.read(id), ["ack Complete 0", "C1", "A2", "C2", "p6"]);
    rig.trades(["B"]);
    assert_eq!(rig.read(id), ["B3", "p7"]);
}

#[test]
fn a_session_that_never_had_a_tick_resumes_from_its_ack() {
    let mut rig = rig();
    rig.trades(["A"]);
    let id = rig.open();
    rig.ask(id, SubscribeRequest { pos: true, ..every(names(["Q"])) });
    assert_eq!(rig.read(id), ["ack 1"]);
    rig.trades(["A", "Q"]);
    rig.trades(["Q"]);
    let again = rig.open();
    rig.ask(again, behind(names(["Q"]), 1));
    assert_eq!(rig.read(again), ["ack Complete 1", "Q1", "Q2", "p4"]);
    assert_eq!(rig.shard.position(again), Some(Position(4)));
}

#[test]
fn names_that_are_live_wait_at_the_head_while_others_catch_up() {
    let mut rig = rig();
    rig.trades(["A", "B", "A"]);
    let id = rig.open();
    rig.ask(id, every(names(["A"])));
    rig.trades(["A", "B"]);
    rig.ask(id, behind(names(["B"]), 1));
    rig.trades(["A", "B"]);
    let expected = ["ack", "A3", "p4", "ack Complete 1", "B1", "B2", "A4", "B3", "p7"];
    assert_eq!(rig.read(id), expected);
}

#[test]
fn a_second_resume_goes_back_and_repeats_nothing() {
    let mut rig = rig();
    for _ in 0..2_000 {
        rig.trades(["A", "B"]);
    }
    let id = rig.open();
    rig.ask(id, behind(names(["A"]), 0));
    assert_eq!(rig.write(id).unwrap(), ["ack Complete 0"]);
    let mut read = rig.write(id).unwrap();
    rig.ask(id, behind(names(["B"]), 0));
    rig.ask(id, every(names(["C"])));
    rig.trades(["C", "A", "B"]);
    read.append(&mut rig.read(id));
    for symbol in ["A", "B"] {
        let of = |spelled: &&String| spelled.starts_with(symbol);
        let found: Vec<_> = read.iter().filter(of).cloned().collect();
        let all: Vec<_> = (1..=2_001).map(|n| format!("{symbol}{n}")).collect();
        assert_eq!(found, all);
    }
    assert!(read.contains(&"C1".to_owned()));
}

#[test]
fn another_epoch_is_a_gap_and_the_last_values() {
    let mut rig = rig();
    rig.trades(["A", "A", "B"]);
    let id = rig.open();
    let resume = Some(Resume { epoch: "before".to_owned(), point: ResumePoint::Position(7) });
    rig.ask(
        id,
        SubscribeRequest { names: names(["A", "C"]), resume, ..SubscribeRequest::default() },
    );
    assert_eq!(rig.read(id), ["ack NewEpoch ?", "gap A ?-?", "snapshot", "A2", "live"]);
}

#[test]
fn latest_goes_on_while_every_catches_up() {
    let mut rig = rig();
    for _ in 0..4_000 {
        rig.trades(["A", "B"]);
    }
    let id = rig.open();
    rig.ask(id, latest(names(["B"])));
    rig.ask(id, behind(names(["A"]), 0));
    assert_eq!(rig.write(id).unwrap(), ["ack", "ack Complete 0"]);
    rig.write(id).unwrap();
    rig.trades(["B"]);
    assert_eq!(rig.write(id).unwrap(), ["B4001"]);
    assert!(rig.write(id).unwrap()[0].starts_with('A'));
    assert_eq!(rig.shard.stats().catching_up, 1);
}

#[test]
fn a_name_that_is_given_up_is_not_sent_but_goes_on_under_a_star() {
    let mut rig = rig();
    for _ in 0..1_500 {
        rig.trades(["A", "B"]);
    }
    let (given_up, star) = (rig.open(), rig.open());
    rig.ask(given_up, behind(names(["A", "B"]), 0));
    rig.write(given_up);
    rig.command(given_up, Command::Unsubscribe, names(["A"]));
    let read = rig.read(given_up);
    assert_eq!(read.iter().filter(|spelled| spelled.starts_with('B')).count(), 1_500);
    assert_eq!(read.iter().filter(|spelled| spelled.starts_with('A')).count(), 0);

    rig.ask(star, behind(names(["A"]), 0));
    rig.write(star);
    let mut read = rig.write(star).unwrap();
    rig.ask(star, every(all_trades()));
    rig.command(star, Command::Unsubscribe, names(["A"]));
    read.append(&mut rig.read(star));
    assert_eq!(read.iter().filter(|spelled| spelled.starts_with('A')).count(), 1_500);
    assert_eq!(read.iter().filter(|spelled| spelled.starts_with('B')).count(), 0);
}

#[test]
fn a_session_that_ends_is_sent_what_is_pending_and_no_more_of_the_past() {
    let mut rig = rig();
    for _ in 0..3_000 {
        rig.trades(["A"]);
    }
    let id = rig.open();
    rig.ask(id, behind(names(["A"]), 0));
    rig.write(id);
    let first = rig.write(id).unwrap();
    rig.shard.finish(id, CloseReason::Shutdown);
    let rest = rig.read(id);
    assert!(first.len() + rest.len() < 1_100, "{}", rest.len());
    assert_eq!(rig.shard.stats().catching_up, 0);
    assert_eq!(rig.shard.next_write(id, &mut rig.out), NextWrite::Ended(CloseReason::Shutdown));
}

#[test]
fn a_new_star_does_not_begin_where_a_name_was_before() {
    let mut rig = rig();
    for _ in 0..3_000 {
        rig.trades(["A"]);
    }
    rig.trades(["B"]);
    let id = rig.open();
    rig.ask(id, behind(names(["A"]), 0));
    rig.write(id);
    rig.ask(id, every(names(["B"])));
    rig.command(id, Command::Unsubscribe, names(["B"]));
    rig.trades(["B", "B"]);
    rig.ask(id, every(all_trades()));
    rig.trades(["B"]);
    let read = rig.read(id);
    let of_b: Vec<_> = read.iter().filter(|spelled| spelled.starts_with('B')).collect();
    assert_eq!(of_b, ["B4"]);
}

#[test]
fn a_session_that_has_joined_with_old_ticks_is_not_slow_when_it_is_blocked_for_a_moment() {
    let mut rig = rig();
    rig.shard = Rig::new(Position::FIRST, 10_000).shard.in_epoch(EPOCH);
    for n in 0..20 {
        rig.received_ms = n * 1000;
        rig.apply((0..100).map(|_| 0));
    }
    rig.turn_at(20_000);
    let id = rig.open();
    rig.ask(id, behind(names(["A"]), 0));
    while rig.shard.stats().catching_up == 1 {
        rig.write(id).unwrap();
    }
    assert!(rig.shard.stats().backlog_ticks > 0);
    rig.shard.blocked(id);
    rig.turn_at(20_100);
    rig.shard.check_ages();
    assert_eq!(rig.shard.take_lagged(), []);
}

#[test]
fn a_position_that_the_epoch_has_not_come_to_is_of_another() {
    let mut rig = rig();
    rig.trades(["A", "A"]);
    let id = rig.open();
    rig.ask(id, behind(names(["A"]), 2));
    assert_eq!(rig.read(id), ["ack Complete 2"]);
    for position in [3, u64::MAX] {
        let id = rig.open();
        rig.ask(id, behind(names(["A"]), position));
        let expected = ["ack NewEpoch 0", "gap A ?-?", "snapshot", "A2", "live", "p2"];
        assert_eq!(rig.read(id), expected);
    }
}

#[test]
fn a_name_taken_beside_a_star_that_catches_up_goes_on_where_it_is() {
    let mut rig = rig();
    for _ in 0..1_500 {
        rig.trades(["A", "B"]);
    }
    let id = rig.open();
    rig.ask(id, behind(all_trades(), 0));
    rig.write(id);
    let mut read = rig.write(id).unwrap();
    rig.ask(id, every(names(["B"])));
    rig.trades(["B"]);
    read.append(&mut rig.read(id));
    let of_b: Vec<_> = read.iter().filter(|spelled| spelled.starts_with('B')).collect();
    assert!(of_b.iter().copied().eq(&(1..=1_501).map(|n| format!("B{n}")).collect::<Vec<_>>()));
}

#[test]
fn a_latest_name_given_up_under_a_star_that_catches_up_does_not_go_back() {
    let mut rig = rig();
    for _ in 0..1_500 {
        rig.trades(["A", "B"]);
    }
    let id = rig.open();
    rig.ask(id, latest(names(["B"])));
    rig.ask(id, behind(all_trades(), 0));
    rig.write(id);
    rig.write(id);
    rig.trades(["B"]);
    let newest = rig.write(id).unwrap();
    rig.command(id, Command::Unsubscribe, names(["B"]));
    let read = rig.read(id);
    let first_b = read.iter().find(|spelled| spelled.starts_with('B'));
    assert!(first_b.is_none(), "{newest:?} then {first_b:?}");
}
