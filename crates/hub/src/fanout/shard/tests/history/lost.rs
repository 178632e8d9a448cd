//! What is not there any more is told.

use tickwire_protocol::{Control, Element, Encoding, Resume, ResumePoint, SubscribeRequest};

use super::super::super::super::Position;
use super::super::harness::{Rig, all_trades, names, patient};
use super::{EPOCH, after, behind, rig};
use crate::fanout::{LastTick, NextWrite};

#[test]
fn what_has_left_the_log_is_named() {
    let mut rig = rig();
    rig.trades(["A", "B", "C"]);
    rig.trades(["A", "A"]);
    rig.trades(["A", "B"]);
    rig.turn_with_log_from(6);
    let (by_position, by_number, all) = (rig.open(), rig.open(), rig.open());
    rig.ask(by_position, behind(names(["A", "B", "C"]), 3));
    assert_eq!(rig.read(by_position), ["ack Gap 3", "gap A ?-3", "p5", "A4", "B2", "p7"]);
    rig.ask(by_number, after(names(["A", "B", "C"]), &[("A", 1), ("B", 1), ("C", 0)]));
    let expected = ["ack Gap 0", "gap A 2-3", "gap C 1-1", "p5", "A4", "B2", "p7"];
    assert_eq!(rig.read(by_number), expected);
    rig.ask(all, after(all_trades(), &[("A", 1), ("C", 1)]));
    let expected = ["ack Gap 0", "gap A 2-3", "gap B 1-1", "p5", "A4", "B2", "p7"];
    assert_eq!(rig.read(all), expected);
    assert_eq!(rig.shard.stats().resumed_with_gap, 3);
}

#[test]
fn a_cursor_that_the_log_overtakes_tells_what_is_lost_and_goes_on() {
    let mut rig = rig();
    for _ in 0..3_000 {
        rig.trades(["A", "B"]);
    }
    let id = rig.open();
    rig.ask(id, behind(names(["A"]), 0));
    assert_eq!(rig.write(id).unwrap(), ["ack Complete 0"]);
    let mut last = 0;
    let first = rig.write(id).unwrap();
    for spelled in first.iter().filter(|spelled| spelled.starts_with('A')) {
        last += 1;
        assert_eq!(*spelled, format!("A{last}"));
    }
    rig.turn_with_log_from(5_001);
    let read = rig.read(id);
    assert_eq!(read[..2], ["gap A ?-2500", "A2501"]);
    assert_eq!(read[read.len() - 2..], ["A3000", "p5999"]);
    assert_eq!(read.len(), 1 + 500 + read.iter().filter(|s| s.starts_with('p')).count());
}

#[test]
fn who_lags_while_it_catches_up_is_told_exactly_what_it_misses() {
    let mut rig = rig();
    for _ in 0..1_500 {
        rig.trades(["A", "B"]);
    }
    let id = rig.open();
    rig.ask(id, patient(names([])));
    rig.ask(id, behind(names(["A"]), 0));
    assert_eq!(rig.write(id).unwrap()[..2], ["ack", "ack Complete 0"]);
    let read = rig.write(id).unwrap();
    let count = read.iter().filter(|spelled| spelled.starts_with('A')).count();
    rig.turn_at(0);
    rig.shard.blocked(id);
    rig.turn_at(super::super::harness::AGE_MAX_MS + 1);
    assert!(rig.shard.check_ages());
    assert!(rig.shard.take_lagged().is_empty(), "it asked to go on");
    rig.shard.writable(id);
    let gap = format!("gap A {}-1499", count + 1);
    assert_eq!(rig.read(id), [gap.as_str(), "A1500"]);
    assert_eq!(rig.shard.stats().catching_up, 0);
}

#[test]
fn last_values_from_before_the_log_are_snapshots_and_known_as_gone() {
    let mut rig = Rig::new(Position(100), 65_535);
    let of = |symbol, seq| super::super::super::super::sequencer::tests::trade(symbol, seq);
    let before = [("A", 7, 50), ("B", 3, 99)];
    for (symbol, seq, at) in before {
        let feed = super::super::harness::FEED;
        let tick = of(symbol, seq);
        rig.shard.restore(LastTick { feed, tick, position: Position(at) });
    }
    let (fresh, again) = (rig.open(), rig.open());
    rig.ask(fresh, SubscribeRequest::default());
    rig.ask(fresh, SubscribeRequest { names: names(["A", "B"]), ..SubscribeRequest::default() });
    assert_eq!(rig.read(fresh), ["ack", "ack", "snapshot", "A7", "B3", "live"]);
    let resume = Some(Resume { epoch: String::new(), point: ResumePoint::Position(60) });
    rig.ask(
        again,
        SubscribeRequest { names: names(["A", "B"]), resume, ..SubscribeRequest::default() },
    );
    assert_eq!(rig.read(again), ["ack Gap ?", "gap B ?-3"]);
}

#[test]
fn who_is_cut_between_the_answer_and_its_gaps_is_told_them_when_it_resumes() {
    let mut rig = rig();
    rig.trades(["A", "B", "C"]);
    rig.trades(["A", "A"]);
    rig.trades(["B"]);
    rig.turn_with_log_from(6);
    let id = rig.open();
    rig.ask(id, behind(names(["A"]), 1));
    let told = ["ack Gap 1", "gap A ?-3", "p5"];
    assert_eq!(rig.read(id), told);
    let again = rig.open();
    rig.ask(again, behind(names(["A"]), 1));
    assert_eq!(rig.read(again), told);
    rig.ask(again, behind(names(["C"]), 5));
    assert_eq!(rig.read(again), ["ack Complete 5"]);
}

#[test]
fn names_resumed_in_two_commands_are_told_what_the_log_forgets_meanwhile() {
    let mut rig = rig();
    rig.shard = Rig::new(Position::FIRST, 5_000).shard.in_epoch(EPOCH);
    for _ in 0..3_000 {
        rig.trades(["A", "B"]);
    }
    let id = rig.open();
    rig.ask(id, behind(names(["A"]), 0));
    rig.write(id);
    rig.write(id);
    rig.ask(id, behind(names(["B"]), 0));
    rig.turn_with_log_from(5_001);
    let read = rig.read(id);
    let gaps: Vec<_> = read.iter().filter(|spelled| spelled.starts_with("gap")).collect();
    assert_eq!(gaps, ["gap A ?-2500", "gap B ?-2500"]);
    let of_a = read.iter().filter(|spelled| spelled.starts_with('A'));
    assert!(of_a.eq(&(2_501..=3_000).map(|n| format!("A{n}")).collect::<Vec<_>>()));
}

#[test]
fn a_name_that_may_have_ticked_first_where_the_shard_saw_nothing_is_named() {
    let mut rig = rig();
    rig.trades(["A"]);
    rig.shard.on_log_overrun(Position(100));
    rig.trades(["A"]);
    let id = rig.open();
    rig.ask(id, behind(names(["Q"]), 1));
    assert_eq!(rig.read(id), ["ack Gap 1", "gap Q ?-?", "p100"]);
    let again = rig.open();
    rig.ask(again, behind(names(["Q"]), 99));
    assert_eq!(rig.read(again), ["ack Complete 100"]);
}

#[test]
fn what_a_session_joined_with_is_told_when_the_log_forgets_it() {
    let mut rig = Rig::new(Position::FIRST, 5_000);
    rig.shard =
        std::mem::replace(&mut rig.shard, Rig::new(Position::FIRST, 10).shard).in_epoch(EPOCH);
    for _ in 0..10 {
        rig.apply((0..100).map(|_| 0));
    }
    let id = rig.open();
    rig.ask(id, behind(names(["A"]), 0));
    assert_eq!(rig.write(id).unwrap(), ["ack Complete 0"]);
    assert!(rig.write(id).unwrap().len() < 500, "one message of several");
    rig.trades(["A"]);
    assert_eq!(rig.shard.stats().catching_up, 0, "it has joined");
    rig.turn_with_log_from(901);
    let read = rig.read(id);
    assert_eq!(read[..2], ["gap A ?-900", "A901"]);
    assert_eq!(read[read.len() - 2..], ["A1001", "p1001"]);
    rig.trades(["A", "A"]);
    rig.turn_with_empty_log();
    assert_eq!(rig.shard.next_write(id, &mut rig.out), NextWrite::Lagged, "it is live");
}

#[test]
fn a_star_that_the_log_overtakes_gives_up_more_than_it_has_lost_and_is_told_all_of_it() {
    let mut rig = rig();
    (0..10).for_each(|_| rig.apply(0..4_000));
    let id = rig.open();
    rig.ask(id, behind(all_trades(), 0));
    rig.write(id);
    rig.write(id);
    rig.turn_with_log_from(20_001);
    let (mut gaps, mut ticks) = (0, 0);
    while let NextWrite::Frames { .. } = rig.shard.next_write(id, &mut rig.out) {
        for element in rig.elements(Encoding::MsgpackArray) {
            match element {
                Element::Control(Control::Gap { to: Some(to), .. }) => gaps += to,
                Element::Tick(_) => ticks += 1,
                _ => {}
            }
        }
    }
    assert!(ticks < 20_000 && ticks > 15_000, "{ticks}");
    assert_eq!(gaps + ticks, 40_000, "each tick is sent or told of");
}
