//! Sessions that lag: who does, and how they go on with the newest.

use tickwire_protocol::{Channel, Command, Control, OnLag, SubscribeRequest, Symbol, UnixNanos};

use super::super::super::{CloseReason, Position, SessionId};
use super::harness::{AGE_MAX_MS, FEED, Rig, all_trades, latest, names, names_in, patient};
use crate::fanout::{NextWrite, TopicKey};

#[test]
fn session_that_lagged_and_closed_is_not_named_again() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = rig.open();
    rig.subscribe(id, "A");
    rig.shard.on_log_overrun(Position(10));
    rig.shard.close(id);
    assert_eq!(rig.shard.take_lagged(), []);
}

#[test]
fn last_value_is_not_told_while_newer_ones_may_be_unseen() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let symbol = |name| Symbol::new(name).unwrap();
    rig.apply([0]);
    let seq = |rig: &Rig, channel, name| {
        rig.shard
            .last(&TopicKey { feed: FEED, channel, symbol: symbol(name) })
            .map(|last| last.seq.0)
    };
    assert_eq!(seq(&rig, Channel::Trades, "A"), Some(1));
    assert_eq!(seq(&rig, Channel::Trades, "B"), None, "it has never ticked");
    assert_eq!(seq(&rig, Channel::Quotes, "A"), None, "another channel");
    rig.shard.on_log_overrun(rig.shard.head().plus(10));
    assert_eq!(seq(&rig, Channel::Trades, "A"), None);
}

#[test]
fn control_frames_that_wait_too_long_make_a_session_lag() {
    let mut rig = Rig::new(Position::FIRST, 10);
    let id = rig.open();
    rig.subscribe(id, "A");
    rig.apply([0]);
    rig.shard.control(id, &Control::Live);
    for (now, lagged) in [(1_000_000_000, vec![]), (1_000_000_001, vec![id])] {
        rig.shard.begin_turn(UnixNanos(now), Position(0));
        if lagged.is_empty() {
            assert_eq!(rig.next_trades(id), [1]);
            rig.shard.blocked(id);
        }
        assert!(rig.shard.check_ages(), "it is blocked");
        assert_eq!(rig.shard.take_lagged(), lagged);
    }
}

#[test]
fn when_all_hold_too_much_the_slowest_of_the_blocked_lag_and_no_more_than_needed() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let ids: Vec<SessionId> = (0..4).map(|_| rig.open()).collect();
    for (id, symbol) in ids.iter().zip(["A", "B", "C", "C"]) {
        rig.subscribe(*id, symbol);
    }
    for id in &ids[..3] {
        rig.shard.blocked(*id);
    }
    rig.apply(std::iter::repeat_n(0, 300));
    rig.apply(std::iter::repeat_n(1, 400));
    rig.apply(std::iter::repeat_n(2, 250)); // for the third, and for the fourth, which can be written
    rig.shard.shed_load();
    assert_eq!(rig.shard.take_lagged(), [ids[1]], "1,200 pending, and 400 leave");
    rig.shard.finish(ids[1], CloseReason::SlowClient);
    rig.shard.shed_load();
    assert_eq!(rig.shard.take_lagged(), []);
}

/// A session that goes on with the newest, and has read its acks.
fn patient_session(rig: &mut Rig, symbols: &[&str]) -> SessionId {
    let id = rig.open();
    rig.ask(id, patient(names(symbols.iter().copied())));
    assert_eq!(rig.read(id), ["ack"]);
    id
}

/// The session lags: its socket takes nothing for longer than it may.
fn stall(rig: &mut Rig, id: SessionId) {
    rig.shard.blocked(id);
    rig.turn_at(2 * AGE_MAX_MS);
    assert!(rig.shard.check_ages());
    assert_eq!(rig.shard.take_lagged(), [], "it goes on");
    rig.shard.writable(id);
}

#[test]
fn gap_names_all_but_the_newest_tick_which_follows() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = patient_session(&mut rig, &["A", "B", "C"]);
    rig.trades(["A", "C"]);
    assert_eq!(rig.read(id), ["A1", "C1"]);
    rig.trades(["A", "B", "A", "A"]);
    stall(&mut rig, id);
    assert_eq!(rig.shard.stats().backlog_ticks, 0);
    assert_eq!(rig.read(id), ["gap A 2-3", "A4", "B1"]);
    rig.trades(["A", "C", "A"]);
    assert_eq!(rig.read(id), ["A6", "C2"], "the newest from now on");
    assert_eq!(rig.shard.stats().downgraded, 1);
}

#[test]
fn oldest_value_is_given_up_when_there_is_nothing_else_to_tell() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = patient_session(&mut rig, &["A", "B", "C"]);
    rig.trades(["C", "A", "B"]);
    stall(&mut rig, id);
    assert_eq!(rig.read(id), ["gap C 1-1", "B1", "A1"]);
}

#[test]
fn gap_has_no_beginning_when_the_log_has_lost_it() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = patient_session(&mut rig, &["A", "B", "C"]);
    rig.trades(["C"]);
    assert_eq!(rig.read(id), ["C1"]);
    rig.trades(["A", "A", "A", "B"]);
    rig.turn_with_empty_log();
    assert_eq!(rig.read(id), ["gap A ?-2", "B1", "A3"], "C was delivered, B has no other tick");
    assert_eq!(rig.shard.stats().downgraded, 1);
}

#[test]
fn gap_has_no_end_when_the_shard_has_not_seen_the_ticks() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = patient_session(&mut rig, &["A", "B", "C"]);
    rig.trades(["A", "B"]);
    assert_eq!(rig.read(id), ["A1", "B1"]);
    rig.trades(["B"]);
    rig.shard.on_log_overrun(rig.shard.head().plus(10));
    rig.trades(["C"]);
    assert_eq!(rig.shard.take_lagged(), []);
    let told = ["gap C ?-?", "gap B ?-?", "gap A ?-?", "C1", "B2"];
    assert_eq!(rig.read(id), told, "the newest there is, and A1 is not repeated");
}

#[test]
fn gap_goes_on_to_what_came_while_the_session_was_deaf() {
    let mut rig = Rig::limited(Position::FIRST, |limits| limits.backlog_ticks = 2);
    let id = patient_session(&mut rig, &["A", "B"]);
    rig.trades(["A", "B", "A", "A", "C", "B", "A"]); // the third is one too many
    assert_eq!(rig.shard.take_lagged(), []);
    assert_eq!(rig.read(id), ["gap A 1-3", "gap B 1-1", "A4", "B2"]);
}

#[test]
fn gap_does_not_name_what_came_before_the_subscription() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = patient_session(&mut rig, &["A"]);
    rig.trades(["A", "A", "B"]);
    rig.ask(id, SubscribeRequest { names: names(["B"]), ..SubscribeRequest::default() });
    stall(&mut rig, id);
    assert_eq!(rig.read(id), ["ack", "snapshot", "B1", "live", "gap A 1-1", "A2"]);
}

#[test]
fn answers_among_ticks_that_were_dropped_are_given() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = patient_session(&mut rig, &["A"]);
    rig.trades(["A", "A"]);
    rig.shard.command(id, &Command::List { id: None });
    rig.trades(["A"]);
    stall(&mut rig, id);
    assert_eq!(rig.read(id), ["ack", "gap A 1-2", "A3"]);
    assert!(!rig.shard.has_ready() || !rig.shard.is_ready(id), "it is not asked again and again");
}

#[test]
fn corrections_come_all_although_the_session_has_lagged() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = patient_session(&mut rig, &["A"]);
    rig.ask(id, patient(names_in(Channel::Corrections, ["A"])));
    assert_eq!(rig.read(id), ["ack"]);
    let correction = || (Channel::Corrections, "A".to_owned());
    rig.batch(vec![correction(), correction()]);
    stall(&mut rig, id);
    assert_eq!(rig.read(id), ["gap A 1-2"], "of what is lost the newest too");
    rig.batch(vec![correction(), correction()]);
    assert_eq!(rig.read(id), ["A3", "A4"]);
}

#[test]
fn session_that_has_lagged_may_have_every_tick_again() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = patient_session(&mut rig, &["A"]);
    rig.trades(["A", "A", "A"]);
    stall(&mut rig, id);
    assert_eq!(rig.read(id), ["gap A 1-2", "A3"]);
    rig.trades(["A"]);
    rig.ask(id, SubscribeRequest { names: names(["A"]), ..SubscribeRequest::default() });
    rig.trades(["A", "A"]);
    assert_eq!(rig.read(id), ["ack", "snapshot", "A4", "live", "A5", "A6"]);
}

#[test]
fn session_of_the_newest_is_never_behind() {
    let mut rig = Rig::limited(Position::FIRST, |limits| limits.total_backlog_ticks = 5);
    let (newest, every) = (rig.open(), rig.open());
    rig.ask(newest, latest(all_trades()));
    rig.read(newest);
    rig.subscribe(every, "A");
    rig.shard.blocked(newest);
    rig.trades(std::iter::repeat_n("A", 10));
    rig.turn_at(10 * AGE_MAX_MS);
    rig.shard.check_ages();
    rig.shard.shed_load(); // the other, which can be written, holds too much
    rig.turn_with_empty_log();
    assert_eq!(rig.shard.take_lagged(), []);
    rig.shard.writable(newest);
    assert_eq!(rig.read(newest), ["A10"]);
}

#[test]
fn session_that_asked_to_be_closed_is() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = patient_session(&mut rig, &["A"]);
    let on_lag = Some(OnLag::Close);
    rig.ask(id, SubscribeRequest { on_lag, ..SubscribeRequest::default() });
    assert_eq!(rig.read(id), ["ack"]);
    rig.trades(["A"]);
    rig.turn_with_empty_log();
    assert_eq!(rig.shard.next_write(id, &mut rig.out), NextWrite::Lagged);
}
