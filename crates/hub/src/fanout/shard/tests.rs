//! What random operations on small numbers do not reach, and faults there were.

mod acks;
mod disk_reads;
mod harness;
mod history;
mod lag;
mod latest;

use tickwire_protocol::{Channel, Command, Control, ErrorCode, SubscribeRequest, Symbol};

use super::super::LocalTopicId;
use super::commands::dedup_in_order;
use super::*;
use crate::fanout::{NextWrite, TopicKey};
use harness::{FEED, Rig, all_trades, names};

#[test]
fn close_frame_after_the_last_write_of_a_share_still_has_its_turn() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = rig.open();
    rig.shard.finish(id, CloseReason::Shutdown);
    assert_eq!(rig.shard.ready.take_live(0), [id]);
    let ended = rig.shard.next_write(id, &mut rig.out);
    assert_eq!(ended, NextWrite::Ended(CloseReason::Shutdown));
    rig.shard.requeue(id); // its share is used up, the close frame is not written
    assert!(rig.shard.is_ready(id));
    rig.shard.wake(id);
    assert_eq!(rig.shard.ready.take_live(0), [id], "once");
}

#[test]
fn session_in_a_used_slot_stands_in_line_once_and_for_itself() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let old = rig.open();
    rig.shard.wake(old);
    let taken = rig.shard.ready.take_live(0);
    rig.shard.close(old);
    let new = rig.open();
    rig.shard.wake(new);
    assert!(taken.iter().all(|id| !rig.shard.is_ready(*id)), "the list means the old session");
    assert_eq!(rig.shard.sessions(), 1);

    rig.shard.close(new);
    rig.turn();
    let again = rig.open();
    assert!([old, new].contains(&again), "slots are used again");
    rig.shard.wake(again);
    assert_eq!(rig.shard.ready.take_live(0), [again]);
}

#[test]
fn closed_session_has_no_control_frames() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = rig.open();
    rig.shard.close(id);
    rig.turn();
    assert_eq!(rig.shard.control_bytes(id), 0);
}

#[test]
fn session_that_was_told_why_it_ends_is_told_nothing_more() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = rig.open();
    rig.shard.finish(id, CloseReason::SlowClient);
    let bytes = rig.shard.control_bytes(id);
    rig.shard.refuse(id, None, ErrorCode::InvalidSyntax, "no such action".to_owned());
    rig.shard.command(id, &Command::List { id: None });
    assert_eq!(rig.shard.control_bytes(id), bytes);
}

#[test]
fn tick_larger_than_a_message_should_be_is_sent_alone() {
    let mut rig = Rig::new(Position::FIRST, 10);
    let id = rig.open();
    rig.subscribe(id, "A");
    rig.apply([0, 0]);
    assert_eq!(rig.next_trades(id), [1]);
    assert_eq!(rig.next_trades(id), [2]);
}

#[test]
fn large_snapshot_is_pending_until_it_is_written() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    rig.apply(0..10_000);
    let id = rig.open();
    let asked = SubscribeRequest {
        names: all_trades(),
        snapshot: Some(true),
        ..SubscribeRequest::default()
    };
    rig.shard.command(id, &Command::Subscribe(asked));
    let all = rig.shard.control_bytes(id);
    let (mut writes, mut written) = (0, 0);
    while rig.shard.next_write(id, &mut rig.out) != NextWrite::Idle {
        let bytes = rig.out.frame().len();
        assert!(bytes < 70_000, "one write holds {bytes} bytes");
        (writes, written) = (writes + 1, written + bytes);
        assert_eq!(rig.shard.control_bytes(id), all - written);
    }
    assert!(writes > 5, "{writes}");
}

#[test]
fn positions_wrap_around_and_nothing_is_lost_or_repeated() {
    let mut rig = Rig::new(Position(u64::from(u32::MAX) - 5), 65_535);
    let (named, both) = (rig.open(), rig.open());
    rig.subscribe(named, "A");
    rig.subscribe(both, "A");
    rig.command(both, Command::Subscribe, all_trades());
    rig.shard.next_write(both, &mut rig.out);
    rig.apply([0, 1, 0, 0, 1]);
    rig.apply([0, 1, 0, 1, 0]); // the first of them is number u32::MAX
    rig.apply([0]);
    assert_eq!(rig.next_trades(named), [1, 3, 4, 6, 8, 10, 11]);
    assert_eq!(rig.next_trades(both), (1..=11).collect::<Vec<_>>());
}

#[test]
fn each_subscriber_leaves_wherever_others_left_before() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut rig = Rig::new(Position::FIRST, 65_535);
        let sessions = [rig.open(), rig.open(), rig.open()];
        for id in sessions {
            rig.subscribe(id, "B");
            rig.subscribe(id, "A");
        }
        let mut left: Vec<SessionId> = sessions.to_vec();
        for leaver in order.map(|place| sessions[place]) {
            rig.unsubscribe(leaver, "A");
            left.retain(|id| *id != leaver);
            rig.apply([0]);
            for id in sessions {
                let expected = if left.contains(&id) { vec![rig.ticks] } else { vec![] };
                assert_eq!(rig.next_trades(id), expected, "{order:?}");
            }
        }
        assert_eq!(rig.shard.stats().subscriptions, 3);
    }
}

#[test]
fn lists_that_were_long_once_give_their_memory_back() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    rig.apply([0]); // a topic that has ticked stays
    let sessions: Vec<SessionId> = (0..1000).map(|_| rig.open()).collect();
    for id in &sessions {
        rig.subscribe(*id, "A");
    }
    let symbols: Vec<String> = (0..1000).map(|number| format!("N{number}")).collect();
    let many = || names(symbols.iter().map(String::as_str));
    rig.command(sessions[0], Command::Subscribe, many());
    rig.command(sessions[0], Command::Unsubscribe, many());
    for _ in 0..1000 {
        rig.shard.control(sessions[0], &Control::Live);
    }
    while rig.shard.next_write(sessions[0], &mut rig.out) != NextWrite::Idle {}
    for id in &sessions[1..] {
        rig.unsubscribe(*id, "A");
    }
    let symbol = Symbol::new("A").unwrap();
    let key = TopicKey { feed: FEED, channel: Channel::Trades, symbol };
    let topic = rig.shard.topics.find(&key).unwrap();
    assert!(rig.shard.topics.get(topic).subscribers.capacity() < 16);
    let session = &rig.shard.sessions[sessions[0]];
    assert!(session.named.capacity() < 16);
    assert!(session.control.capacity() < 16);
    assert_eq!(rig.shard.topics.iter().count(), 1, "names nobody waits for are gone");
}

#[test]
fn repetitions_are_removed_in_order_of_first_appearance() {
    let ids = |numbers: &[u32]| numbers.iter().copied().map(LocalTopicId).collect::<Vec<_>>();
    for (given, expected) in [
        (&[][..], &[][..]),
        (&[3, 1, 3, 2, 1, 1], &[3, 1, 2]),
        (&[5, 5, 5], &[5]),
        (&[1, 2, 3], &[1, 2, 3]),
    ] {
        let mut topics = ids(given);
        dedup_in_order(&mut topics);
        assert_eq!(topics, ids(expected));
    }
}
