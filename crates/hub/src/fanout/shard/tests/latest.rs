//! Sessions that are served the newest: what a message holds, when it leaves, what is owed.

use std::collections::{BTreeMap, BTreeSet};

use tickwire_protocol::{Command, Encoding, SubscribeRequest};

use super::super::super::{CloseReason, FrameBuf, Position, SessionId};
use super::harness::{FEED, Rig, all_trades, every, latest, names, paced, symbol};
use crate::fanout::NextWrite;

#[test]
fn newest_and_pending_ticks_share_a_message() {
    let mut rig = Rig::new(Position::FIRST, 200);
    let id = rig.open();
    rig.ask(id, latest(all_trades()));
    rig.ask(id, every(names(["A"])));
    rig.read(id);
    rig.apply((0..20).chain(0..20)); // A is 0
    rig.apply(std::iter::repeat_n(0, 10));
    let first = rig.write(id).unwrap();
    let pending = first.iter().filter(|tick| tick.starts_with('A')).count();
    assert!(pending > 0 && pending < first.len(), "neither takes it all: {first:?}");
    assert!(!first[0].starts_with('A'), "the newest come first: {first:?}");
    let mut all = first;
    while let Some(next) = rig.write(id) {
        assert!(rig.out.frame().len() <= 200 + 4);
        all.extend(next);
    }
    let (of_a, mut newest): (Vec<_>, Vec<_>) = all.into_iter().partition(|t| t.starts_with('A'));
    assert_eq!(of_a, (1..=12).map(|seq| format!("A{seq}")).collect::<Vec<_>>());
    newest.sort();
    let mut expected: Vec<_> = (1..20).map(|number| format!("{}2", symbol(number))).collect();
    expected.sort();
    assert_eq!(newest, expected);
}

/// What every session of a mixed crowd is written, with one buffer for all or a new one each time.
fn frames(reuse: bool) -> BTreeMap<u32, Vec<Vec<u8>>> {
    let mut rig = Rig::new(Position::FIRST, 300);
    let encodings = [Encoding::Json, Encoding::MsgpackArray];
    let asked =
        [every(names(["A"])), every(names(["A", "B"])), every(all_trades()), latest(all_trades())];
    let mut sessions = Vec::new();
    for asked in asked.iter().cycle().take(16) {
        let id = rig.shard.open(FEED, encodings[sessions.len() / 8]);
        rig.ask(id, asked.clone());
        sessions.push(id);
    }
    let mut frames = BTreeMap::<u32, Vec<Vec<u8>>>::new();
    for topics in [vec![], vec![0, 0, 1, 0], vec![0], vec![2, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0]] {
        rig.apply(topics);
        for step in [1, 2, 4] {
            // Those of the same kind follow each other; at the end all have been served.
            for id in (0..4).flat_map(|kind| sessions[kind..].iter().step_by(4)) {
                for _ in 0..step {
                    if !reuse {
                        rig.out = FrameBuf::default();
                    }
                    if rig.shard.next_write(*id, &mut rig.out) == NextWrite::Idle {
                        break;
                    }
                    frames.entry(id.0).or_default().push(rig.out.frame().to_vec());
                }
            }
        }
    }
    frames
}

#[test]
fn frame_that_serves_another_session_is_the_one_that_would_be_built() {
    let frames = [frames(true), frames(false)];
    assert_eq!(frames[0].len(), 16);
    assert_eq!(frames[0], frames[1]);
}

#[test]
fn frame_of_ticks_whose_indexes_have_come_around_serves_nobody() {
    let mut rigs = [0, 1 << 32].map(|turns| Rig::new(Position(1 + turns), 65_535));
    let [early, late] = &mut rigs;
    for rig in [&mut *early, &mut *late] {
        let id = rig.open();
        rig.subscribe(id, "A");
        rig.subscribe(id, "B");
    }
    early.trades(["A", "A"]);
    late.trades(["B", "B"]);
    assert_eq!(early.write(SessionId(0)).unwrap(), ["A1", "A2"]);
    late.out = std::mem::take(&mut early.out);
    assert_eq!(late.write(SessionId(0)).unwrap(), ["B1", "B2"]);
}

#[test]
fn shutdown_sends_what_is_owed_without_waiting_for_a_slot() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = rig.open();
    rig.ask(id, paced(all_trades(), 0.1));
    rig.ask(id, every(names(["B"])));
    assert_eq!(rig.read(id), ["ack", "ack"]);
    rig.trades(["A", "B", "A", "B", "C"]);
    rig.shard.finish(id, CloseReason::Shutdown);
    rig.trades(["A", "B"]);
    assert_eq!(rig.read(id), ["B1", "B2", "A2", "C1"]);
    let ended = rig.shard.next_write(id, &mut rig.out);
    assert_eq!(ended, NextWrite::Ended(CloseReason::Shutdown));
}

#[test]
fn slow_socket_gets_all_of_many_topics_in_turn() {
    const TOPICS: usize = 200;
    let mut rig = Rig::new(Position::FIRST, 200);
    let id = rig.open();
    rig.ask(id, latest(all_trades()));
    rig.read(id);
    let mut turns_since = vec![0; TOPICS];
    let mut writes = 0;
    while writes < 500 {
        rig.apply(0..200); // everything ticks faster than the socket takes it
        let written = rig.write(id).unwrap();
        assert!(written.len() < 20, "a slow socket");
        writes += 1;
        turns_since.iter_mut().for_each(|turns| *turns += 1);
        let newest = rig.ticks / 200;
        for (number, turns) in turns_since.iter_mut().enumerate() {
            let newest = format!("{}{newest}", symbol(u32::try_from(number).unwrap()));
            if written.contains(&newest) {
                *turns = 0;
            }
        }
        let longest = turns_since.iter().max().unwrap();
        assert!(*longest <= 40, "a topic waits for {longest} writes");
    }
}

#[test]
fn topic_comes_once_in_a_slot_however_often_it_ticks() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = rig.open();
    rig.ask(id, paced(names(["A", "B"]), 10.0));
    assert_eq!(rig.read(id), ["ack"]);
    let mut sent = Vec::new();
    for ms in 0..1_000 {
        rig.turn_at(ms);
        rig.trades(["A", "B", "A"]);
        let written = rig.read(id);
        if !written.is_empty() {
            assert_eq!(written, [format!("A{}", 2 * ms + 2), format!("B{}", ms + 1)]);
            sent.push(ms);
        }
    }
    assert!((9..=10).contains(&sent.len()), "{sent:?}");
    assert!(sent.windows(2).all(|pair| (99..=101).contains(&(pair[1] - pair[0]))), "{sent:?}");
    assert_eq!(rig.shard.stats().ticks_conflated, 3_000 - 2 * sent.len() as u64 - 2);
}

#[test]
fn snapshot_of_all_symbols_settles_what_names_among_them_were_owed() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = rig.open();
    rig.ask(id, paced(names(["A"]), 1.0));
    rig.read(id);
    rig.trades(["A", "B"]);
    rig.ask(id, SubscribeRequest { snapshot: Some(true), ..every(all_trades()) });
    assert_eq!(rig.read(id).len(), ["ack", "snapshot", "A1", "B1", "live"].len());
    rig.turn_at(5_000);
    assert_eq!(rig.read(id), [""; 0], "A1 is not repeated");
    rig.trades(["A", "B"]);
    rig.turn_at(10_000);
    assert_eq!(rig.read(id), ["A2", "B2"]);
}

#[test]
fn newest_values_outlive_the_log() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = rig.open();
    rig.ask(id, latest(all_trades()));
    rig.read(id);
    rig.shard.blocked(id);
    rig.trades(["A", "B", "A"]);
    rig.turn_with_empty_log();
    rig.trades(["C"]);
    rig.shard.writable(id);
    assert_eq!(rig.read(id), ["A2", "B1", "C1"]);
}

#[test]
fn newest_do_not_overtake_answers() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = rig.open();
    rig.ask(id, every(names(["A"])));
    rig.read(id);
    rig.trades(["A", "B"]);
    rig.ask(id, latest(names(["A", "B"])));
    rig.trades(["A", "B"]);
    assert_eq!(rig.read(id), ["A1", "ack", "A2", "B2"]);
    rig.trades(["A", "B"]);
    rig.shard.command(id, &Command::Unsubscribe(every(names(["A"]))));
    assert_eq!(rig.read(id), ["ack", "B3"], "none of A behind the answer");
}

#[test]
fn ninth_rate_is_refused_and_changes_nothing() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = rig.open();
    for number in 0..8_u32 {
        rig.ask(id, paced(names([symbol(number).as_str()]), f64::from(number + 1)));
    }
    rig.ask(id, paced(names(["A", "X"]), 9.0));
    let mut told: BTreeSet<String> = rig.read(id).into_iter().collect();
    assert!(told.remove("error 405") && told.remove("ack") && told.is_empty(), "{told:?}");
    assert_eq!(rig.shard.stats().subscriptions, 8);
    rig.ask(id, paced(names(["A", "X"]), 8.0));
    assert_eq!(rig.read(id), ["ack"]);
}
