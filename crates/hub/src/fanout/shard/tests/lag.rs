//! Lag: which sessions lag, and their downgrade to latest values.

use tickwire_protocol::{Channel, Command, Control, OnLag, SubscribeRequest, Symbol, UnixNanos};

use super::super::super::{CloseReason, Position, SessionId};
use super::harness::{
    AGE_MAX_MS, FEED, Harness, all_trades, latest, latest_on_lag, names, names_in,
};
use crate::fanout::{NextWrite, TopicKey};

#[test]
fn closed_session_is_not_reported_as_lagging() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = harness.open();
    harness.subscribe(id, "A");
    harness.shard.on_log_overrun(Position(10));
    harness.shard.close(id);
    assert_eq!(harness.shard.take_lagged(), []);
}

#[test]
fn last_value_is_unknown_after_a_log_overrun() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let symbol = |name| Symbol::new(name).unwrap();
    harness.publish_indexed([0]);
    let seq = |harness: &Harness, channel, name| {
        harness
            .shard
            .last(&TopicKey { feed: FEED, channel, symbol: symbol(name) })
            .map(|last| last.seq.0)
    };
    assert_eq!(seq(&harness, Channel::Trades, "A"), Some(1));
    assert_eq!(seq(&harness, Channel::Trades, "B"), None, "it has never ticked");
    assert_eq!(seq(&harness, Channel::Quotes, "A"), None, "another channel");
    harness.shard.on_log_overrun(harness.shard.head().plus(10));
    assert_eq!(seq(&harness, Channel::Trades, "A"), None);
}

#[test]
fn old_control_frames_make_a_blocked_session_lag() {
    let mut harness = Harness::new(Position::FIRST, 10);
    let id = harness.open();
    harness.subscribe(id, "A");
    harness.publish_indexed([0]);
    harness.shard.control(id, &Control::Live);
    for (now, lagged) in [(1_000_000_000, vec![]), (1_000_000_001, vec![id])] {
        harness.shard.begin_turn(UnixNanos(now), Position(0));
        if lagged.is_empty() {
            assert_eq!(harness.next_trades(id), [1]);
            harness.shard.blocked(id);
        }
        assert!(harness.shard.check_ages(), "it is blocked");
        assert_eq!(harness.shard.take_lagged(), lagged);
    }
}

#[test]
fn shedding_load_ends_only_the_largest_blocked_backlogs() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let ids: Vec<SessionId> = (0..4).map(|_| harness.open()).collect();
    for (id, symbol) in ids.iter().zip(["A", "B", "C", "C"]) {
        harness.subscribe(*id, symbol);
    }
    for id in &ids[..3] {
        harness.shard.blocked(*id);
    }
    harness.publish_indexed(std::iter::repeat_n(0, 300));
    harness.publish_indexed(std::iter::repeat_n(1, 400));
    // The third and the fourth session; the fourth is not blocked.
    harness.publish_indexed(std::iter::repeat_n(2, 250));
    harness.shard.shed_load();
    assert_eq!(
        harness.shard.take_lagged(),
        [ids[1]],
        "of 1,200 pending ticks, ending one session drops 400"
    );
    harness.shard.finish(ids[1], CloseReason::SlowClient);
    harness.shard.shed_load();
    assert_eq!(harness.shard.take_lagged(), []);
}

/// Opens a session with `on_lag` `latest` and reads its ack.
fn open_with_latest_on_lag(harness: &mut Harness, symbols: &[&str]) -> SessionId {
    let id = harness.open();
    harness.subscribe_with(id, latest_on_lag(names(symbols.iter().copied())));
    assert_eq!(harness.read_all(id), ["ack"]);
    id
}

/// Makes a session lag: its socket is blocked longer than the age limit.
fn make_lag(harness: &mut Harness, id: SessionId) {
    harness.shard.blocked(id);
    harness.turn_at(2 * AGE_MAX_MS);
    assert!(harness.shard.check_ages());
    assert_eq!(harness.shard.take_lagged(), [], "it is downgraded instead");
    harness.shard.writable(id);
}

#[test]
fn gap_covers_all_missed_ticks_but_the_newest_which_follows() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = open_with_latest_on_lag(&mut harness, &["A", "B", "C"]);
    harness.publish(["A", "C"]);
    assert_eq!(harness.read_all(id), ["A1", "C1"]);
    harness.publish(["A", "B", "A", "A"]);
    make_lag(&mut harness, id);
    assert_eq!(harness.shard.stats().backlog_ticks, 0);
    assert_eq!(harness.read_all(id), ["gap A 2-3", "A4", "B1"]);
    harness.publish(["A", "C", "A"]);
    assert_eq!(harness.read_all(id), ["A6", "C2"], "latest values from now on");
    assert_eq!(harness.shard.stats().downgraded, 1);
}

#[test]
fn oldest_value_is_dropped_when_no_other_gap_reports_the_lag() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = open_with_latest_on_lag(&mut harness, &["A", "B", "C"]);
    harness.publish(["C", "A", "B"]);
    make_lag(&mut harness, id);
    assert_eq!(harness.read_all(id), ["gap C 1-1", "B1", "A1"]);
}

#[test]
fn gap_has_no_start_after_its_first_tick_has_left_the_log() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = open_with_latest_on_lag(&mut harness, &["A", "B", "C"]);
    harness.publish(["C"]);
    assert_eq!(harness.read_all(id), ["C1"]);
    harness.publish(["A", "A", "A", "B"]);
    harness.turn_with_empty_log();
    assert_eq!(
        harness.read_all(id),
        ["gap A ?-2", "B1", "A3"],
        "C was delivered, and B has no other tick"
    );
    assert_eq!(harness.shard.stats().downgraded, 1);
}

#[test]
fn gap_has_no_end_after_a_log_overrun() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = open_with_latest_on_lag(&mut harness, &["A", "B", "C"]);
    harness.publish(["A", "B"]);
    assert_eq!(harness.read_all(id), ["A1", "B1"]);
    harness.publish(["B"]);
    harness.shard.on_log_overrun(harness.shard.head().plus(10));
    harness.publish(["C"]);
    assert_eq!(harness.shard.take_lagged(), []);
    let expected = ["gap C ?-?", "gap B ?-?", "gap A ?-?", "C1", "B2"];
    assert_eq!(
        harness.read_all(id),
        expected,
        "the newest seen values follow, and A1 is not repeated"
    );
}

#[test]
fn gap_includes_ticks_that_arrive_after_the_backlog_limit() {
    let mut harness = Harness::with_limits(Position::FIRST, |limits| limits.backlog_ticks = 2);
    let id = open_with_latest_on_lag(&mut harness, &["A", "B"]);
    harness.publish(["A", "B", "A", "A", "C", "B", "A"]); // the third tick exceeds the limit
    assert_eq!(harness.shard.take_lagged(), []);
    assert_eq!(harness.read_all(id), ["gap A 1-3", "gap B 1-1", "A4", "B2"]);
}

#[test]
fn gap_excludes_ticks_from_before_the_subscription() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = open_with_latest_on_lag(&mut harness, &["A"]);
    harness.publish(["A", "A", "B"]);
    harness.subscribe_with(
        id,
        SubscribeRequest { names: names(["B"]), ..SubscribeRequest::default() },
    );
    make_lag(&mut harness, id);
    assert_eq!(harness.read_all(id), ["ack", "snapshot", "B1", "live", "gap A 1-1", "A2"]);
}

#[test]
fn answers_between_dropped_ticks_are_sent() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = open_with_latest_on_lag(&mut harness, &["A"]);
    harness.publish(["A", "A"]);
    harness.shard.command(id, &Command::List { id: None });
    harness.publish(["A"]);
    make_lag(&mut harness, id);
    assert_eq!(harness.read_all(id), ["ack", "gap A 1-2", "A3"]);
    assert!(
        !harness.shard.has_ready() || !harness.shard.is_ready(id),
        "it is not ready again without data"
    );
}

#[test]
fn corrections_are_not_conflated_after_a_downgrade() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = open_with_latest_on_lag(&mut harness, &["A"]);
    harness.subscribe_with(id, latest_on_lag(names_in(Channel::Corrections, ["A"])));
    assert_eq!(harness.read_all(id), ["ack"]);
    let correction = || (Channel::Corrections, "A".to_owned());
    harness.publish_batch(vec![correction(), correction()]);
    make_lag(&mut harness, id);
    assert_eq!(
        harness.read_all(id),
        ["gap A 1-2"],
        "the gap includes the newest of the lost ticks"
    );
    harness.publish_batch(vec![correction(), correction()]);
    assert_eq!(harness.read_all(id), ["A3", "A4"]);
}

#[test]
fn downgraded_session_can_subscribe_to_every_tick_again() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = open_with_latest_on_lag(&mut harness, &["A"]);
    harness.publish(["A", "A", "A"]);
    make_lag(&mut harness, id);
    assert_eq!(harness.read_all(id), ["gap A 1-2", "A3"]);
    harness.publish(["A"]);
    harness.subscribe_with(
        id,
        SubscribeRequest { names: names(["A"]), ..SubscribeRequest::default() },
    );
    harness.publish(["A", "A"]);
    assert_eq!(harness.read_all(id), ["ack", "snapshot", "A4", "live", "A5", "A6"]);
}

#[test]
fn latest_session_never_lags() {
    let mut harness =
        Harness::with_limits(Position::FIRST, |limits| limits.total_backlog_ticks = 5);
    let latest_session = harness.open();
    let every_session = harness.open();
    harness.subscribe_with(latest_session, latest(all_trades()));
    harness.read_all(latest_session);
    harness.subscribe(every_session, "A");
    harness.shard.blocked(latest_session);
    harness.publish(std::iter::repeat_n("A", 10));
    harness.turn_at(10 * AGE_MAX_MS);
    harness.shard.check_ages();
    harness.shard.shed_load(); // `every_session` exceeds the limit, but is not blocked
    harness.turn_with_empty_log();
    assert_eq!(harness.shard.take_lagged(), []);
    harness.shard.writable(latest_session);
    assert_eq!(harness.read_all(latest_session), ["A10"]);
}

#[test]
fn on_lag_close_overrides_an_earlier_on_lag_latest() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = open_with_latest_on_lag(&mut harness, &["A"]);
    let on_lag = Some(OnLag::Close);
    harness.subscribe_with(id, SubscribeRequest { on_lag, ..SubscribeRequest::default() });
    assert_eq!(harness.read_all(id), ["ack"]);
    harness.publish(["A"]);
    harness.turn_with_empty_log();
    assert_eq!(harness.shard.next_write(id, &mut harness.out), NextWrite::Lagged);
}
