//! What random operations on small numbers do not reach, and faults there were.

use std::sync::Arc;

use tickwire_protocol::{Command, Element, Names, Subscription, Symbol, decode_message};

use super::super::sequencer::tests::trade;
use super::super::topics::Key;
use super::super::{Batch, Numbered, TopicId};
use super::commands::in_order_once;
use super::*;
use crate::fanout::topics::LocalId;

const FEED: FeedId = FeedId(0);
const SYMBOLS: [&str; 3] = ["A", "B", "C"];

/// A shard, and what a log would hand it.
struct Rig {
    shard: Shard,
    out: FrameBuf,
    seq: u64,
}

impl Rig {
    fn new(from: Position, message_bytes: usize) -> Self {
        let limits = Limits {
            feeds: 1,
            names_per_session: 100_000,
            names: 100_000,
            waiting_topics: 100_000,
            backlog_ticks: 100_000,
            backlogs_ticks: 1_000,
            controls_bytes: 1 << 30,
            backlog_age_ns: 1_000_000_000,
            message_bytes,
        };
        Self { shard: Shard::new(limits, from), out: FrameBuf::default(), seq: 0 }
    }

    fn open(&mut self) -> SessionId {
        self.shard.open(FEED, Encoding::MsgpackArray)
    }

    fn turn(&mut self) {
        self.shard.begin_turn(UnixNanos(0), Position(0));
    }

    fn command(&mut self, id: SessionId, command: fn(Subscription) -> Command, names: Names) {
        let snapshot = Some(false);
        self.shard
            .command(id, &command(Subscription { names, snapshot, ..Subscription::default() }));
    }

    /// Subscribes without a snapshot and reads the ack.
    fn subscribe(&mut self, id: SessionId, symbol: &str) {
        self.command(id, Command::Subscribe, names([symbol]));
        assert_eq!(self.shard.next_write(id, &mut self.out), NextWrite::Frames { ticks: 0 });
    }

    fn unsubscribe(&mut self, id: SessionId, symbol: &str) {
        self.command(id, Command::Unsubscribe, names([symbol]));
        assert_eq!(self.shard.next_write(id, &mut self.out), NextWrite::Frames { ticks: 0 });
    }

    /// One batch of ticks, by topic.
    fn apply(&mut self, topics: impl IntoIterator<Item = u32>) {
        let numbered = |topic| {
            self.seq += 1;
            let symbol = SYMBOLS.get(topic as usize).copied().map(str::to_owned);
            let symbol = symbol.unwrap_or_else(|| format!("S{topic}"));
            Numbered { topic: TopicId(topic), feed: FEED, tick: trade(&symbol, self.seq) }
        };
        let ticks = topics.into_iter().map(numbered).collect();
        self.shard.apply(Arc::new(Batch::new(self.shard.head(), UnixNanos(0), ticks)));
    }

    /// Numbers of the ticks in the next write.
    fn next_seqs(&mut self, id: SessionId) -> Vec<u64> {
        let NextWrite::Frames { ticks } = self.shard.next_write(id, &mut self.out) else {
            return Vec::new();
        };
        let frame = self.out.frame();
        let start = if frame[1] == 126 { 4 } else { 2 };
        let elements = decode_message(&frame[start..], Encoding::MsgpackArray).unwrap();
        assert_eq!(elements.len(), ticks);
        let seq = |element| match element {
            Element::Tick(tick) => tick.seq.0,
            Element::Control(control) => panic!("{control:?}"),
        };
        elements.into_iter().map(seq).collect()
    }
}

fn names<'a>(symbols: impl IntoIterator<Item = &'a str>) -> Names {
    let mut names = Names::default();
    let symbols = symbols.into_iter().map(|symbol| Symbol::new(symbol).unwrap());
    names[Channel::Trades].symbols = symbols.collect();
    names
}

fn all_trades() -> Names {
    let mut names = Names::default();
    names[Channel::Trades].all = true;
    names
}

#[test]
fn close_frame_after_the_last_write_of_a_share_still_has_its_turn() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = rig.open();
    rig.shard.finish(id, CloseReason::Shutdown);
    assert_eq!(rig.shard.take_ready(), [id]);
    let ended = rig.shard.next_write(id, &mut rig.out);
    assert_eq!(ended, NextWrite::Ended(CloseReason::Shutdown));
    rig.shard.requeue(id); // its share is used up, the close frame is not written
    assert!(rig.shard.is_ready(id));
    rig.shard.wake(id);
    assert_eq!(rig.shard.take_ready(), [id], "once");
}

#[test]
fn session_in_a_used_slot_stands_in_line_once_and_for_itself() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let old = rig.open();
    rig.shard.wake(old);
    let taken = rig.shard.take_ready();
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
    assert_eq!(rig.shard.take_ready(), [again]);
}

#[test]
fn session_that_lagged_and_closed_is_not_named_again() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = rig.open();
    rig.subscribe(id, "A");
    rig.shard.fell_out(Position(10));
    rig.shard.close(id);
    assert_eq!(rig.shard.take_lagged(), []);
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
            assert_eq!(rig.next_seqs(id), [1]);
            rig.shard.blocked(id);
        }
        assert!(rig.shard.check_ages(), "it is blocked");
        assert_eq!(rig.shard.take_lagged(), lagged);
    }
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
    let error = Command::from_json(b"{}").unwrap_err();
    rig.shard.reject(id, None, &error.problem);
    rig.shard.command(id, &Command::List { id: None });
    assert_eq!(rig.shard.control_bytes(id), bytes);
}

#[test]
fn tick_larger_than_a_message_should_be_is_sent_alone() {
    let mut rig = Rig::new(Position::FIRST, 10);
    let id = rig.open();
    rig.subscribe(id, "A");
    rig.apply([0, 0]);
    assert_eq!(rig.next_seqs(id), [1]);
    assert_eq!(rig.next_seqs(id), [2]);
}

#[test]
fn large_snapshot_is_pending_until_it_is_written() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    rig.apply(0..10_000);
    let id = rig.open();
    let asked =
        Subscription { names: all_trades(), snapshot: Some(true), ..Subscription::default() };
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
    assert_eq!(rig.next_seqs(named), [1, 3, 4, 6, 8, 10, 11]);
    assert_eq!(rig.next_seqs(both), (1..=11).collect::<Vec<_>>());
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
                let expected = if left.contains(&id) { vec![rig.seq] } else { vec![] };
                assert_eq!(rig.next_seqs(id), expected, "{order:?}");
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
    let key: Key = (FEED, Channel::Trades, Symbol::new("A").unwrap());
    let topic = rig.shard.topics.find(&key).unwrap();
    assert!(rig.shard.topics.get(topic).subscribers.capacity() < 16);
    let session = &rig.shard.sessions[sessions[0].slot()];
    assert!(session.names.capacity() < 16);
    assert!(session.control.capacity() < 16);
    assert_eq!(rig.shard.topics.iter().count(), 1, "names nobody waits for are gone");
}

#[test]
fn repetitions_are_removed_in_order_of_first_appearance() {
    let ids = |numbers: &[u32]| numbers.iter().copied().map(LocalId).collect::<Vec<_>>();
    for (given, expected) in [
        (&[][..], &[][..]),
        (&[3, 1, 3, 2, 1, 1], &[3, 1, 2]),
        (&[5, 5, 5], &[5]),
        (&[1, 2, 3], &[1, 2, 3]),
    ] {
        let mut topics = ids(given);
        in_order_once(&mut topics);
        assert_eq!(topics, ids(expected));
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
    rig.shard.relieve();
    assert_eq!(rig.shard.take_lagged(), [ids[1]], "1,200 pending, and 400 leave");
    rig.shard.finish(ids[1], CloseReason::SlowClient);
    rig.shard.relieve();
    assert_eq!(rig.shard.take_lagged(), []);
}
