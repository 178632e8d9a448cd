//! Delivery of latest values: content of the messages, send times and dirty topics.

use std::collections::{BTreeMap, BTreeSet};

use tickwire_protocol::{Command, Encoding, SubscribeRequest};

use super::super::super::{CloseReason, FrameBuf, Position, SessionId};
use super::harness::{FEED, Harness, all_trades, every, latest, latest_at_rate, names, symbol};
use crate::fanout::NextWrite;

#[test]
fn latest_values_and_backlog_share_a_message() {
    let mut harness = Harness::new(Position::FIRST, 200);
    let id = harness.open();
    harness.subscribe_with(id, latest(all_trades()));
    harness.subscribe_with(id, every(names(["A"])));
    harness.read_all(id);
    harness.publish_indexed((0..20).chain(0..20)); // A is 0
    harness.publish_indexed(std::iter::repeat_n(0, 10));
    let first = harness.read_next(id).unwrap();
    let pending = first.iter().filter(|tick| tick.starts_with('A')).count();
    assert!(pending > 0 && pending < first.len(), "both have a share: {first:?}");
    assert!(!first[0].starts_with('A'), "latest values come first: {first:?}");
    let mut all = first;
    while let Some(next) = harness.read_next(id) {
        assert!(harness.out.frame().len() <= 200 + 4);
        all.extend(next);
    }
    let (of_a, mut newest): (Vec<_>, Vec<_>) = all.into_iter().partition(|t| t.starts_with('A'));
    assert_eq!(of_a, (1..=12).map(|seq| format!("A{seq}")).collect::<Vec<_>>());
    newest.sort();
    let mut expected: Vec<_> = (1..20).map(|number| format!("{}2", symbol(number))).collect();
    expected.sort();
    assert_eq!(newest, expected);
}

/// Returns the frames written to each of 16 sessions with different encodings and subscriptions.
/// All writes use the same buffer if `reuse` is set, and a new one otherwise.
fn frames(reuse: bool) -> BTreeMap<u32, Vec<Vec<u8>>> {
    let mut harness = Harness::new(Position::FIRST, 300);
    let encodings = [Encoding::Json, Encoding::MsgpackArray];
    let requests =
        [every(names(["A"])), every(names(["A", "B"])), every(all_trades()), latest(all_trades())];
    let mut sessions = Vec::new();
    for request in requests.iter().cycle().take(16) {
        let id = harness.shard.open(FEED, encodings[sessions.len() / 8]);
        harness.subscribe_with(id, request.clone());
        sessions.push(id);
    }
    let mut frames = BTreeMap::<u32, Vec<Vec<u8>>>::new();
    for topics in [vec![], vec![0, 0, 1, 0], vec![0], vec![2, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0]] {
        harness.publish_indexed(topics);
        for step in [1, 2, 4] {
            // Sessions with equal subscriptions follow each other, so that they can share frames.
            for id in (0..4).flat_map(|kind| sessions[kind..].iter().step_by(4)) {
                for _ in 0..step {
                    if !reuse {
                        harness.out = FrameBuf::default();
                    }
                    if harness.shard.next_write(*id, &mut harness.out) == NextWrite::Idle {
                        break;
                    }
                    frames.entry(id.0).or_default().push(harness.out.frame().to_vec());
                }
            }
        }
    }
    frames
}

#[test]
fn shared_frame_equals_the_frame_built_for_one_session() {
    let frames = [frames(true), frames(false)];
    assert_eq!(frames[0].len(), 16);
    assert_eq!(frames[0], frames[1]);
}

#[test]
fn frame_is_not_shared_after_tick_indexes_wrap_around() {
    let mut harnesses = [0, 1 << 32].map(|offset| Harness::new(Position(1 + offset), 65_535));
    let [early, late] = &mut harnesses;
    for harness in [&mut *early, &mut *late] {
        let id = harness.open();
        harness.subscribe(id, "A");
        harness.subscribe(id, "B");
    }
    early.publish(["A", "A"]);
    late.publish(["B", "B"]);
    assert_eq!(early.read_next(SessionId(0)).unwrap(), ["A1", "A2"]);
    late.out = std::mem::take(&mut early.out);
    assert_eq!(late.read_next(SessionId(0)).unwrap(), ["B1", "B2"]);
}

#[test]
fn shutdown_sends_dirty_topics_before_their_send_time() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = harness.open();
    harness.subscribe_with(id, latest_at_rate(all_trades(), 0.1));
    harness.subscribe_with(id, every(names(["B"])));
    assert_eq!(harness.read_all(id), ["ack", "ack"]);
    harness.publish(["A", "B", "A", "B", "C"]);
    harness.shard.finish(id, CloseReason::Shutdown);
    harness.publish(["A", "B"]);
    assert_eq!(harness.read_all(id), ["B1", "B2", "A2", "C1"]);
    let ended = harness.shard.next_write(id, &mut harness.out);
    assert_eq!(ended, NextWrite::Ended(CloseReason::Shutdown));
}

#[test]
fn slow_socket_receives_all_of_many_topics_in_rotation() {
    const TOPICS: usize = 200;
    let mut harness = Harness::new(Position::FIRST, 200);
    let id = harness.open();
    harness.subscribe_with(id, latest(all_trades()));
    harness.read_all(id);
    let mut writes_since = vec![0; TOPICS];
    let mut writes = 0;
    while writes < 500 {
        harness.publish_indexed(0..200); // every topic ticks faster than the socket accepts
        let written = harness.read_next(id).unwrap();
        assert!(written.len() < 20, "a slow socket");
        writes += 1;
        writes_since.iter_mut().for_each(|writes| *writes += 1);
        let newest = harness.ticks / 200;
        for (index, writes) in writes_since.iter_mut().enumerate() {
            let newest = format!("{}{newest}", symbol(u32::try_from(index).unwrap()));
            if written.contains(&newest) {
                *writes = 0;
            }
        }
        let longest = writes_since.iter().max().unwrap();
        assert!(*longest <= 40, "a topic waits for {longest} writes");
    }
}

#[test]
fn topic_is_sent_once_per_send_time_however_often_it_ticks() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = harness.open();
    harness.subscribe_with(id, latest_at_rate(names(["A", "B"]), 10.0));
    assert_eq!(harness.read_all(id), ["ack"]);
    let mut sent = Vec::new();
    for ms in 0..1_000 {
        harness.turn_at(ms);
        harness.publish(["A", "B", "A"]);
        let written = harness.read_all(id);
        if !written.is_empty() {
            assert_eq!(written, [format!("A{}", 2 * ms + 2), format!("B{}", ms + 1)]);
            sent.push(ms);
        }
    }
    assert!((9..=10).contains(&sent.len()), "{sent:?}");
    assert!(sent.windows(2).all(|pair| (99..=101).contains(&(pair[1] - pair[0]))), "{sent:?}");
    assert_eq!(harness.shard.stats().ticks_conflated, 3_000 - 2 * sent.len() as u64 - 2);
}

#[test]
fn wildcard_snapshot_cleans_dirty_topics_of_named_subscriptions() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = harness.open();
    harness.subscribe_with(id, latest_at_rate(names(["A"]), 1.0));
    harness.read_all(id);
    harness.publish(["A", "B"]);
    harness.subscribe_with(id, SubscribeRequest { snapshot: Some(true), ..every(all_trades()) });
    assert_eq!(harness.read_all(id).len(), ["ack", "snapshot", "A1", "B1", "live"].len());
    harness.turn_at(5_000);
    assert_eq!(harness.read_all(id), [""; 0], "A1 is not repeated");
    harness.publish(["A", "B"]);
    harness.turn_at(10_000);
    assert_eq!(harness.read_all(id), ["A2", "B2"]);
}

#[test]
fn latest_values_outlive_the_log() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = harness.open();
    harness.subscribe_with(id, latest(all_trades()));
    harness.read_all(id);
    harness.shard.blocked(id);
    harness.publish(["A", "B", "A"]);
    harness.turn_with_empty_log();
    harness.publish(["C"]);
    harness.shard.writable(id);
    assert_eq!(harness.read_all(id), ["A2", "B1", "C1"]);
}

#[test]
fn latest_values_do_not_overtake_answers() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = harness.open();
    harness.subscribe_with(id, every(names(["A"])));
    harness.read_all(id);
    harness.publish(["A", "B"]);
    harness.subscribe_with(id, latest(names(["A", "B"])));
    harness.publish(["A", "B"]);
    assert_eq!(harness.read_all(id), ["A1", "ack", "A2", "B2"]);
    harness.publish(["A", "B"]);
    harness.shard.command(id, &Command::Unsubscribe(every(names(["A"]))));
    assert_eq!(harness.read_all(id), ["ack", "B3"], "no tick of A follows the answer");
}

#[test]
fn ninth_rate_is_refused_and_changes_nothing() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = harness.open();
    for number in 0..8_u32 {
        harness.subscribe_with(
            id,
            latest_at_rate(names([symbol(number).as_str()]), f64::from(number + 1)),
        );
    }
    harness.subscribe_with(id, latest_at_rate(names(["A", "X"]), 9.0));
    let mut answers: BTreeSet<String> = harness.read_all(id).into_iter().collect();
    assert!(
        answers.remove("error 405") && answers.remove("ack") && answers.is_empty(),
        "{answers:?}"
    );
    assert_eq!(harness.shard.stats().subscriptions, 8);
    harness.subscribe_with(id, latest_at_rate(names(["A", "X"]), 8.0));
    assert_eq!(harness.read_all(id), ["ack"]);
}
