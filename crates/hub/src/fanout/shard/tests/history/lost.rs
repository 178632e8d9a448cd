//! Gaps: reports of ticks that have left the log.

use tickwire_protocol::{Control, Element, Encoding, Resume, ResumePoint, SubscribeRequest};

use super::super::super::super::Position;
use super::super::harness::{AGE_MAX_MS, FEED, Harness, all_trades, latest_on_lag, names};
use super::{EPOCH, harness, resume_after_numbers, resume_after_position};
use crate::fanout::sequencer::tests::trade;
use crate::fanout::{LastTick, NextWrite};

#[test]
fn resume_reports_evicted_ticks_as_gaps() {
    let mut harness = harness();
    harness.publish(["A", "B", "C"]);
    harness.publish(["A", "A"]);
    harness.publish(["A", "B"]);
    harness.turn_with_log_start(6);
    let by_position = harness.open();
    let by_number = harness.open();
    let all = harness.open();
    harness.subscribe_with(by_position, resume_after_position(names(["A", "B", "C"]), 3));
    assert_eq!(harness.read_all(by_position), ["ack Gap 3", "gap A ?-3", "p5", "A4", "B2", "p7"]);
    harness.subscribe_with(
        by_number,
        resume_after_numbers(names(["A", "B", "C"]), &[("A", 1), ("B", 1), ("C", 0)]),
    );
    let expected = ["ack Gap 0", "gap A 2-3", "gap C 1-1", "p5", "A4", "B2", "p7"];
    assert_eq!(harness.read_all(by_number), expected);
    harness.subscribe_with(all, resume_after_numbers(all_trades(), &[("A", 1), ("C", 1)]));
    let expected = ["ack Gap 0", "gap A 2-3", "gap B 1-1", "p5", "A4", "B2", "p7"];
    assert_eq!(harness.read_all(all), expected);
    assert_eq!(harness.shard.stats().resumed_with_gap, 3);
}

#[test]
fn cursor_overtaken_by_the_log_sends_a_gap_and_continues() {
    let mut harness = harness();
    for _ in 0..3_000 {
        harness.publish(["A", "B"]);
    }
    let id = harness.open();
    harness.subscribe_with(id, resume_after_position(names(["A"]), 0));
    assert_eq!(harness.read_next(id).unwrap(), ["ack Complete 0"]);
    let mut last = 0;
    let first = harness.read_next(id).unwrap();
    for element in first.iter().filter(|element| element.starts_with('A')) {
        last += 1;
        assert_eq!(*element, format!("A{last}"));
    }
    harness.turn_with_log_start(5_001);
    let read = harness.read_all(id);
    assert_eq!(read[..2], ["gap A ?-2500", "A2501"]);
    assert_eq!(read[read.len() - 2..], ["A3000", "p5999"]);
    assert_eq!(read.len(), 1 + 500 + read.iter().filter(|s| s.starts_with('p')).count());
}

#[test]
fn lag_during_a_catch_up_gives_an_exact_gap() {
    let mut harness = harness();
    for _ in 0..1_500 {
        harness.publish(["A", "B"]);
    }
    let id = harness.open();
    harness.subscribe_with(id, latest_on_lag(names([])));
    harness.subscribe_with(id, resume_after_position(names(["A"]), 0));
    assert_eq!(harness.read_next(id).unwrap()[..2], ["ack", "ack Complete 0"]);
    let read = harness.read_next(id).unwrap();
    let count = read.iter().filter(|element| element.starts_with('A')).count();
    harness.turn_at(0);
    harness.shard.blocked(id);
    harness.turn_at(AGE_MAX_MS + 1);
    assert!(harness.shard.check_ages());
    assert!(harness.shard.take_lagged().is_empty(), "it is downgraded instead");
    harness.shard.writable(id);
    let gap = format!("gap A {}-1499", count + 1);
    assert_eq!(harness.read_all(id), [gap.as_str(), "A1500"]);
    assert_eq!(harness.shard.stats().catching_up, 0);
}

#[test]
fn restored_last_values_serve_snapshots_and_gaps() {
    let mut harness = Harness::new(Position(100), 65_535);
    for (symbol, seq, position) in [("A", 7, 50), ("B", 3, 99)] {
        let tick = trade(symbol, seq);
        harness.shard.restore(LastTick { feed: FEED, tick, position: Position(position) });
    }
    let fresh = harness.open();
    let resumed = harness.open();
    harness.subscribe_with(fresh, SubscribeRequest::default());
    harness.subscribe_with(
        fresh,
        SubscribeRequest { names: names(["A", "B"]), ..SubscribeRequest::default() },
    );
    assert_eq!(harness.read_all(fresh), ["ack", "ack", "snapshot", "A7", "B3", "live"]);
    let resume = Some(Resume { epoch: String::new(), point: ResumePoint::Position(60) });
    harness.subscribe_with(
        resumed,
        SubscribeRequest { names: names(["A", "B"]), resume, ..SubscribeRequest::default() },
    );
    assert_eq!(harness.read_all(resumed), ["ack Gap ?", "gap B ?-3"]);
}

#[test]
fn second_resume_from_the_same_position_gets_the_same_gaps() {
    let mut harness = harness();
    harness.publish(["A", "B", "C"]);
    harness.publish(["A", "A"]);
    harness.publish(["B"]);
    harness.turn_with_log_start(6);
    let id = harness.open();
    harness.subscribe_with(id, resume_after_position(names(["A"]), 1));
    let expected = ["ack Gap 1", "gap A ?-3", "p5"];
    assert_eq!(harness.read_all(id), expected);
    let again = harness.open();
    harness.subscribe_with(again, resume_after_position(names(["A"]), 1));
    assert_eq!(harness.read_all(again), expected);
    harness.subscribe_with(again, resume_after_position(names(["C"]), 5));
    assert_eq!(harness.read_all(again), ["ack Complete 5"]);
}

#[test]
fn names_resumed_by_two_commands_each_get_their_gap() {
    let mut harness = Harness::new(Position::FIRST, 5_000).in_epoch(EPOCH);
    for _ in 0..3_000 {
        harness.publish(["A", "B"]);
    }
    let id = harness.open();
    harness.subscribe_with(id, resume_after_position(names(["A"]), 0));
    harness.read_next(id);
    harness.read_next(id);
    harness.subscribe_with(id, resume_after_position(names(["B"]), 0));
    harness.turn_with_log_start(5_001);
    let read = harness.read_all(id);
    let gaps: Vec<_> = read.iter().filter(|element| element.starts_with("gap")).collect();
    assert_eq!(gaps, ["gap A ?-2500", "gap B ?-2500"]);
    let of_a = read.iter().filter(|element| element.starts_with('A'));
    assert!(of_a.eq(&(2_501..=3_000).map(|n| format!("A{n}")).collect::<Vec<_>>()));
}

#[test]
fn name_that_may_have_ticked_during_a_log_overrun_gets_a_gap() {
    let mut harness = harness();
    harness.publish(["A"]);
    harness.shard.on_log_overrun(Position(100));
    harness.publish(["A"]);
    let id = harness.open();
    harness.subscribe_with(id, resume_after_position(names(["Q"]), 1));
    assert_eq!(harness.read_all(id), ["ack Gap 1", "gap Q ?-?", "p100"]);
    let again = harness.open();
    harness.subscribe_with(again, resume_after_position(names(["Q"]), 99));
    assert_eq!(harness.read_all(again), ["ack Complete 100"]);
}

#[test]
fn backlog_evicted_after_a_catch_up_becomes_a_gap() {
    let mut harness = Harness::new(Position::FIRST, 5_000).in_epoch(EPOCH);
    for _ in 0..10 {
        harness.publish_indexed((0..100).map(|_| 0));
    }
    let id = harness.open();
    harness.subscribe_with(id, resume_after_position(names(["A"]), 0));
    assert_eq!(harness.read_next(id).unwrap(), ["ack Complete 0"]);
    assert!(harness.read_next(id).unwrap().len() < 500, "one message of several");
    harness.publish(["A"]);
    assert_eq!(harness.shard.stats().catching_up, 0, "the catch-up has ended");
    harness.turn_with_log_start(901);
    let read = harness.read_all(id);
    assert_eq!(read[..2], ["gap A ?-900", "A901"]);
    assert_eq!(read[read.len() - 2..], ["A1001", "p1001"]);
    harness.publish(["A", "A"]);
    harness.turn_with_empty_log();
    assert_eq!(
        harness.shard.next_write(id, &mut harness.out),
        NextWrite::Lagged,
        "the session is live"
    );
}

#[test]
fn overtaken_wildcard_reports_every_tick_that_it_skips() {
    let mut harness = harness();
    (0..10).for_each(|_| harness.publish_indexed(0..4_000));
    let id = harness.open();
    harness.subscribe_with(id, resume_after_position(all_trades(), 0));
    harness.read_next(id);
    harness.read_next(id);
    harness.turn_with_log_start(20_001);
    let mut gaps = 0;
    let mut ticks = 0;
    while let NextWrite::Frames { .. } = harness.shard.next_write(id, &mut harness.out) {
        for element in harness.elements(Encoding::MsgpackArray) {
            match element {
                Element::Control(Control::Gap { to: Some(to), .. }) => gaps += to,
                Element::Tick(_) => ticks += 1,
                _ => {}
            }
        }
    }
    assert!(ticks < 20_000 && ticks > 15_000, "{ticks}");
    assert_eq!(gaps + ticks, 40_000, "each tick is sent or part of a gap");
}
