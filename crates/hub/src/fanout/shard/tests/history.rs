//! Resume and replay, on small numbers.

use std::time::Duration;

use tickwire_protocol::{
    Channel, Command, Control, Element, Encoding, PerChannel, Replay, ReplayFrom, ReplaySpeed,
    Resume, ResumePoint, Seq, Subscription, Symbol,
};

use super::super::super::{CloseReason, Position};
use super::super::NextWrite;
use super::rig::{Rig, all_trades, every, latest, names, patient};

const EPOCH: &str = "life";

fn rig() -> Rig {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    rig.shard =
        std::mem::replace(&mut rig.shard, Rig::new(Position::FIRST, 10).shard).in_epoch(EPOCH);
    rig
}

fn resume(names: tickwire_protocol::Names, point: ResumePoint) -> Subscription {
    let resume = Some(Resume { epoch: EPOCH.to_owned(), point });
    Subscription { names, resume, pos: true, ..Subscription::default() }
}

fn behind(names: tickwire_protocol::Names, position: u64) -> Subscription {
    resume(names, ResumePoint::Position(position))
}

fn after(names: tickwire_protocol::Names, topics: &[(&str, u64)]) -> Subscription {
    let mut after = Box::<PerChannel<_>>::default();
    let topic = |(symbol, seq): &(&str, u64)| (Symbol::new(symbol).unwrap(), Seq(*seq));
    after[Channel::Trades] = topics.iter().map(topic).collect();
    resume(names, ResumePoint::After(after))
}

fn from(names: tickwire_protocol::Names, ago_ms: u64, speed: ReplaySpeed) -> Subscription {
    let from = ReplayFrom::Ago(Duration::from_millis(ago_ms));
    Subscription { names, replay: Some(Replay { from, speed }), ..Subscription::default() }
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
    let expected = ["ack All 2", "A2", "B2", "A3", "B3", "A4", "p9"];
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
    let expected = ["ack All 3", "snapshot", "C1", "live", "A2", "A3", "A4", "p7"];
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
    assert_eq!(rig.read(id), ["ack All 0", "C1", "A2", "C2", "p6"]);
    rig.trades(["B"]);
    assert_eq!(rig.read(id), ["B3", "p7"]);
}

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
    assert_eq!(rig.shard.stats().resumed_gap, 3);
}

#[test]
fn a_session_that_never_had_a_tick_resumes_from_its_ack() {
    let mut rig = rig();
    rig.trades(["A"]);
    let id = rig.open();
    rig.ask(id, Subscription { pos: true, ..every(names(["Q"])) });
    assert_eq!(rig.read(id), ["ack 1"]);
    rig.trades(["A", "Q"]);
    rig.trades(["Q"]);
    let again = rig.open();
    rig.ask(again, behind(names(["Q"]), 1));
    assert_eq!(rig.read(again), ["ack All 1", "Q1", "Q2", "p4"]);
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
    let expected = ["ack", "A3", "p4", "ack All 1", "B1", "B2", "A4", "B3", "p7"];
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
    assert_eq!(rig.write(id).unwrap(), ["ack All 0"]);
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
fn a_cursor_that_the_log_overtakes_tells_what_is_lost_and_goes_on() {
    let mut rig = rig();
    for _ in 0..3_000 {
        rig.trades(["A", "B"]);
    }
    let id = rig.open();
    rig.ask(id, behind(names(["A"]), 0));
    assert_eq!(rig.write(id).unwrap(), ["ack All 0"]);
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
fn another_epoch_is_a_gap_and_the_last_values() {
    let mut rig = rig();
    rig.trades(["A", "A", "B"]);
    let id = rig.open();
    let resume = Some(Resume { epoch: "before".to_owned(), point: ResumePoint::Position(7) });
    rig.ask(id, Subscription { names: names(["A", "C"]), resume, ..Subscription::default() });
    assert_eq!(rig.read(id), ["ack Epoch ?", "gap A ?-?", "snapshot", "A2", "live"]);
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
    assert_eq!(rig.write(id).unwrap(), ["ack", "ack All 0"]);
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
fn who_lags_while_it_catches_up_is_told_exactly_what_it_misses() {
    let mut rig = rig();
    for _ in 0..1_500 {
        rig.trades(["A", "B"]);
    }
    let id = rig.open();
    rig.ask(id, patient(names([])));
    rig.ask(id, behind(names(["A"]), 0));
    assert_eq!(rig.write(id).unwrap()[..2], ["ack", "ack All 0"]);
    let read = rig.write(id).unwrap();
    let count = read.iter().filter(|spelled| spelled.starts_with('A')).count();
    rig.turn_at(0);
    rig.shard.blocked(id);
    rig.turn_at(super::rig::AGE_MAX_MS + 1);
    assert!(rig.shard.check_ages());
    assert!(rig.shard.take_lagged().is_empty(), "it asked to go on");
    rig.shard.writable(id);
    let gap = format!("gap A {}-1499", count + 1);
    assert_eq!(rig.read(id), [gap.as_str(), "A1500"]);
    assert_eq!(rig.shard.stats().catching_up, 0);
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
    rig.ask(id, from(names(["A"]), 1_000, ReplaySpeed::times(2.0).unwrap()));
    assert_eq!(rig.read(id), ["ack", "A1"]);
    let mut at = Vec::new();
    for ms in 2_001..3_000 {
        rig.turn_at(ms);
        for id in rig.shard.take_ready().into_iter().chain(rig.shard.next_catching_up()) {
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
    let slowly = ReplaySpeed::times(1.0).unwrap();
    rig.ask(other, every(names(["B"])));
    rig.ask(other, from(names(["A"]), 1_500, slowly));
    assert_eq!(rig.read(other), ["ack", "error 400"]);
    rig.ask(id, from(names(["A"]), 1_500, slowly));
    rig.ask(id, every(names(["B"])));
    rig.ask(id, latest(names(["B"])));
    assert_eq!(rig.read(id), ["ack", "error 400", "ack", "A1"]);
}

#[test]
fn last_values_from_before_the_log_are_snapshots_and_known_as_gone() {
    let mut rig = Rig::new(Position(100), 65_535);
    let of = |symbol, seq| super::super::super::sequencer::tests::trade(symbol, seq);
    let before = [("A", 7, 50), ("B", 3, 99)];
    for (symbol, seq, at) in before {
        rig.shard.restore(super::rig::FEED, of(symbol, seq), Position(at));
    }
    let (fresh, again) = (rig.open(), rig.open());
    rig.ask(fresh, Subscription::default());
    rig.ask(fresh, Subscription { names: names(["A", "B"]), ..Subscription::default() });
    assert_eq!(rig.read(fresh), ["ack", "ack", "snapshot", "A7", "B3", "live"]);
    let resume = Some(Resume { epoch: String::new(), point: ResumePoint::Position(60) });
    rig.ask(again, Subscription { names: names(["A", "B"]), resume, ..Subscription::default() });
    assert_eq!(rig.read(again), ["ack Gap ?", "gap B ?-3"]);
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
    assert_eq!(rig.read(id), ["ack All 2"]);
    for position in [3, u64::MAX] {
        let id = rig.open();
        rig.ask(id, behind(names(["A"]), position));
        let expected = ["ack Epoch 0", "gap A ?-?", "snapshot", "A2", "live", "p2"];
        assert_eq!(rig.read(id), expected);
    }
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
    assert_eq!(rig.read(again), ["ack All 5"]);
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
    rig.ask(id, from(names(["A"]), 2_000, ReplaySpeed::times(1.0).unwrap()));
    rig.shard.take_ready();
    while rig.shard.next_catching_up().is_some() {}
    rig.read(id);
    rig.turn_at(2_300);
    assert_eq!(rig.shard.take_ready(), []);
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
    rig.shard.fell_out(Position(100));
    rig.trades(["A"]);
    let id = rig.open();
    rig.ask(id, behind(names(["Q"]), 1));
    assert_eq!(rig.read(id), ["ack Gap 1", "gap Q ?-?", "p100"]);
    let again = rig.open();
    rig.ask(again, behind(names(["Q"]), 99));
    assert_eq!(rig.read(again), ["ack All 100"]);
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
    assert_eq!(rig.write(id).unwrap(), ["ack All 0"]);
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
