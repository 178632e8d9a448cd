//! Tests of the shard: cases that the model test rarely reaches, and regressions.

mod acks;
mod disk_reads;
mod harness;
mod history;
mod lag;
mod latest;
mod long_commands;
mod shares;

use tickwire_protocol::{Channel, Command, Control, ErrorCode, SubscribeRequest, Symbol};

use super::super::LocalTopicId;
use super::commands::dedup_in_order;
use super::*;
use crate::fanout::{NextWrite, TopicKey};
use harness::{FEED, Harness, all_trades, names};

#[test]
fn close_frame_is_sent_after_the_last_write_of_a_share() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = harness.open();
    harness.shard.finish(id, CloseReason::Shutdown);
    assert_eq!(harness.shard.ready.take_live(0), [id]);
    let ended = harness.shard.next_write(id, &mut harness.out);
    assert_eq!(ended, NextWrite::Ended(CloseReason::Shutdown));
    harness.shard.requeue(id); // its write share is used up before the close frame
    assert!(harness.shard.is_ready(id));
    harness.shard.wake(id);
    assert_eq!(harness.shard.ready.take_live(0), [id], "queued once");
}

#[test]
fn session_in_a_reused_slot_has_its_own_ready_entry() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let old = harness.open();
    harness.shard.wake(old);
    let taken = harness.shard.ready.take_live(0);
    harness.shard.close(old);
    let new = harness.open();
    harness.shard.wake(new);
    assert!(
        taken.iter().all(|id| !harness.shard.is_ready(*id)),
        "the taken entry belongs to the old session"
    );
    assert_eq!(harness.shard.sessions(), 1);

    harness.shard.close(new);
    harness.turn();
    let again = harness.open();
    assert!([old, new].contains(&again), "slots are reused");
    harness.shard.wake(again);
    assert_eq!(harness.shard.ready.take_live(0), [again]);
}

#[test]
fn closed_session_has_no_control_frames() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = harness.open();
    harness.shard.close(id);
    harness.turn();
    assert_eq!(harness.shard.control_bytes(id), 0);
}

#[test]
fn finishing_session_receives_no_further_answers() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = harness.open();
    harness.shard.finish(id, CloseReason::SlowClient);
    let bytes = harness.shard.control_bytes(id);
    harness.shard.refuse(id, None, ErrorCode::InvalidSyntax, "no such action".to_owned());
    harness.shard.command(id, &Command::List { id: None });
    assert_eq!(harness.shard.control_bytes(id), bytes);
}

#[test]
fn tick_larger_than_the_message_limit_is_sent_alone() {
    let mut harness = Harness::new(Position::FIRST, 10);
    let id = harness.open();
    harness.subscribe(id, "A");
    harness.publish_indexed([0, 0]);
    assert_eq!(harness.next_trades(id), [1]);
    assert_eq!(harness.next_trades(id), [2]);
}

#[test]
fn large_snapshot_counts_as_pending_until_it_is_written() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    harness.publish_indexed(0..10_000);
    let id = harness.open();
    let request = SubscribeRequest {
        names: all_trades(),
        snapshot: Some(true),
        ..SubscribeRequest::default()
    };
    harness.shard.command(id, &Command::Subscribe(request));
    let all = harness.shard.control_bytes(id);
    let mut writes = 0;
    let mut written = 0;
    while harness.shard.next_write(id, &mut harness.out) != NextWrite::Idle {
        let bytes = harness.out.frame().len();
        assert!(bytes < 70_000, "one write holds {bytes} bytes");
        (writes, written) = (writes + 1, written + bytes);
        assert_eq!(harness.shard.control_bytes(id), all - written);
    }
    assert!(writes > 5, "{writes}");
}

#[test]
fn wrapped_positions_lose_and_repeat_no_tick() {
    let mut harness = Harness::new(Position(u64::from(u32::MAX) - 5), 65_535);
    let named = harness.open();
    let both = harness.open();
    harness.subscribe(named, "A");
    harness.subscribe(both, "A");
    harness.command(both, Command::Subscribe, all_trades());
    harness.shard.next_write(both, &mut harness.out);
    harness.publish_indexed([0, 1, 0, 0, 1]);
    harness.publish_indexed([0, 1, 0, 1, 0]); // the first has position u32::MAX
    harness.publish_indexed([0]);
    assert_eq!(harness.next_trades(named), [1, 3, 4, 6, 8, 10, 11]);
    assert_eq!(harness.next_trades(both), (1..=11).collect::<Vec<_>>());
}

#[test]
fn subscribers_can_unsubscribe_in_any_order() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut harness = Harness::new(Position::FIRST, 65_535);
        let sessions = [harness.open(), harness.open(), harness.open()];
        for id in sessions {
            harness.subscribe(id, "B");
            harness.subscribe(id, "A");
        }
        let mut subscribed: Vec<SessionId> = sessions.to_vec();
        for leaver in order.map(|index| sessions[index]) {
            harness.unsubscribe(leaver, "A");
            subscribed.retain(|id| *id != leaver);
            harness.publish_indexed([0]);
            for id in sessions {
                let expected = if subscribed.contains(&id) { vec![harness.ticks] } else { vec![] };
                assert_eq!(harness.next_trades(id), expected, "{order:?}");
            }
        }
        assert_eq!(harness.shard.stats().subscriptions, 3);
    }
}

#[test]
fn lists_release_their_memory_when_they_shrink() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    harness.publish_indexed([0]); // topics that have ticked are kept
    let sessions: Vec<SessionId> = (0..1000).map(|_| harness.open()).collect();
    for id in &sessions {
        harness.subscribe(*id, "A");
    }
    let symbols: Vec<String> = (0..1000).map(|number| format!("N{number}")).collect();
    let many = || names(symbols.iter().map(String::as_str));
    harness.command(sessions[0], Command::Subscribe, many());
    harness.command(sessions[0], Command::Unsubscribe, many());
    for _ in 0..1000 {
        harness.shard.control(sessions[0], &Control::Live);
    }
    while harness.shard.next_write(sessions[0], &mut harness.out) != NextWrite::Idle {}
    for id in &sessions[1..] {
        harness.unsubscribe(*id, "A");
    }
    let symbol = Symbol::new("A").unwrap();
    let key = TopicKey { feed: FEED, channel: Channel::Trades, symbol };
    let topic = harness.shard.topics.find(&key).unwrap();
    assert!(harness.shard.topics.get(topic).subscribers.capacity() < 16);
    let session = &harness.shard.sessions[sessions[0]];
    assert!(session.named.capacity() < 16);
    assert!(session.control.capacity() < 16);
    assert_eq!(
        harness.shard.topics.iter().count(),
        1,
        "topics without ticks and subscribers are removed"
    );
}

#[test]
fn dedup_keeps_the_order_of_first_appearance() {
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
