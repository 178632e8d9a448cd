//! Resume and replay from what memory does not hold any more; the test is the disk.

use std::sync::Arc;
use std::time::Duration;

use tickwire_protocol::{
    Command, Replay, ReplaySpeed, ReplayStart, Resume, ResumePoint, SubscribeRequest,
    SubscriptionSet, UnixNanos,
};

use super::super::super::{
    Batch, CloseReason, DISK_READS_MAX, DiskIndex, DiskReadRequest, Position, SegmentRange,
    SessionId,
};
use super::harness::{AGE_MAX_MS, Rig, all_trades, every, names};
use crate::fanout::NextWrite;

/// A rig that has forgotten all it was told, and a disk that has it.
struct Old {
    rig: Rig,
    disk: Vec<Arc<Batch>>,
}

impl Old {
    /// So many ticks of A and B in turn, `ticks_each` in a batch, 100 ms from batch to batch.
    fn new(ticks: u64, ticks_each: u64) -> Self {
        let mut rig = Rig::new(Position::FIRST, 5_000);
        let mut disk = Vec::new();
        for first in (0..ticks).step_by(usize::try_from(ticks_each).unwrap()) {
            let batch = (first..first + ticks_each).map(|n| if n % 2 == 0 { "A" } else { "B" });
            disk.push(rig.trades_kept(batch));
            rig.received_ms += 100;
        }
        let volume = SegmentRange { first: Position::FIRST, received: UnixNanos(0) };
        rig.shard.set_disk_index(DiskIndex::new(vec![volume]));
        let mut old = Self { rig, disk };
        old.forget();
        old
    }

    /// All has left memory.
    fn forget(&mut self) {
        self.rig.turn_with_empty_log();
    }

    fn resume(&mut self, id: SessionId, names: SubscriptionSet, position: u64) {
        let resume = Some(Resume { epoch: String::new(), point: ResumePoint::Position(position) });
        self.rig
            .ask(id, SubscribeRequest { names, resume, pos: true, ..SubscribeRequest::default() });
    }

    /// Answers what was asked, a batch each.
    fn answer(&mut self) -> usize {
        let asked = self.rig.shard.take_disk_reads();
        asked.iter().for_each(|wanted| self.complete_disk_read(*wanted));
        asked.len()
    }

    fn complete_disk_read(&mut self, wanted: DiskReadRequest) {
        let found = self.disk.iter().find(|batch| wanted.from < batch.end()).cloned();
        self.rig.shard.complete_disk_read(wanted, Some(found.into_iter().collect()));
    }

    /// All it is sent until it waits for nothing from disk.
    fn read(&mut self, id: SessionId) -> Vec<String> {
        let mut all = self.rig.read(id);
        while self.answer() > 0 {
            all.extend(self.rig.read(id));
        }
        all
    }
}

/// Those of one symbol.
fn of(symbol: char, read: &[String]) -> Vec<&str> {
    read.iter().map(String::as_str).filter(|spelled| spelled.starts_with(symbol)).collect()
}

fn numbers(symbol: char, range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(|n| format!("{symbol}{n}")).collect()
}

#[test]
fn a_session_goes_on_from_disk_then_from_memory_and_is_live() {
    let mut old = Old::new(40, 4);
    old.rig.trades(["A", "B", "A"]);
    let id = old.rig.open();
    old.resume(id, names(["A"]), 10);
    let read = old.read(id);
    assert_eq!(read[..3], ["ack Complete 10", "A6", "p11"]);
    assert_eq!(of('A', &read), numbers('A', 6..=22));
    assert_eq!(read.last().unwrap(), "p43");
    old.rig.trades(["A"]);
    assert_eq!(old.rig.read(id), ["A23", "p44"]);
    assert_eq!(old.rig.shard.stats().catching_up, 0);
    assert_eq!(old.rig.shard.disk.in_use(), 0);
}

#[test]
fn nothing_is_read_for_names_that_have_not_ticked_since() {
    let mut old = Old::new(40, 4);
    let id = old.rig.open();
    old.resume(id, names(["C"]), 10);
    assert_eq!(old.rig.read(id), ["ack Complete 40"]);
    assert_eq!(old.answer(), 0);
}

#[test]
fn a_cursor_that_memory_has_overtaken_goes_on_from_disk() {
    let mut old = Old::new(2, 2);
    for _ in 0..40 {
        let batch = old.rig.trades_kept(["A"; 100]);
        old.disk.push(batch);
    }
    let id = old.rig.open();
    old.resume(id, names(["A"]), 2);
    assert_eq!(old.rig.write(id).unwrap(), ["ack Complete 2"]);
    let mut read = old.rig.write(id).unwrap();
    old.rig.shard.blocked(id);
    old.forget();
    old.rig.shard.writable(id);
    read.extend(old.read(id));
    assert_eq!(of('A', &read), numbers('A', 2..=4_001));
    assert!(!read.iter().any(|spelled| spelled.starts_with("gap")));
    assert_eq!(old.rig.shard.stats().backlog_ticks, 0);
}

#[test]
fn what_is_not_on_disk_is_named_and_memory_goes_on() {
    let mut old = Old::new(40, 4);
    old.rig.trades(["A", "B"]);
    let (gone, before) = (old.rig.open(), old.rig.open());
    old.resume(gone, all_trades(), 10);
    assert_eq!(old.rig.read(gone), ["ack Complete 10"]);
    let wanted = old.rig.shard.take_disk_reads()[0];
    old.rig.shard.complete_disk_read(wanted, None);
    assert_eq!(old.rig.read(gone), ["gap A ?-20", "gap B ?-20", "A21", "B21", "p42"]);
    let volume = SegmentRange { first: Position(21), received: UnixNanos(500_000_000) };
    old.rig.shard.set_disk_index(DiskIndex::new(vec![volume]));
    old.resume(before, names(["A"]), 10);
    assert_eq!(old.rig.read(before), ["ack Gap 10", "gap A ?-20", "p40", "A21", "p41"]);
}

#[test]
fn a_late_answer_is_not_taken_for_another_session_or_place() {
    let mut old = Old::new(40, 4);
    let first = old.rig.open();
    old.resume(first, names(["A"]), 0);
    old.rig.read(first);
    let late = old.rig.shard.take_disk_reads()[0];
    old.rig.shard.close(first);
    old.forget();
    let second = old.rig.open();
    assert_eq!(second, first, "the slot is used again");
    old.resume(second, names(["B"]), 20);
    assert_eq!(old.rig.read(second), ["ack Complete 20"]);
    old.complete_disk_read(late);
    assert_eq!(old.rig.read(second), [""; 0]);
    assert_eq!(of('B', &old.read(second)), numbers('B', 11..=20));
}

#[test]
fn names_that_are_given_up_while_it_waits_are_not_sent() {
    let mut old = Old::new(40, 4);
    let id = old.rig.open();
    old.resume(id, names(["A", "B"]), 0);
    old.rig.read(id);
    old.rig.command(id, Command::Unsubscribe, names(["A"]));
    let read = old.read(id);
    assert_eq!(read[0], "ack 0");
    assert_eq!((of('A', &read), of('B', &read).len()), (vec![], 20));
    old.resume(id, names(["A"]), 38);
    old.rig.command(id, Command::Unsubscribe, names(["A", "B"]));
    old.read(id);
    old.rig.ask(id, every(names(["A"])));
    old.rig.trades(["A"]);
    assert_eq!(of('A', &old.read(id)), ["A21"]);
}

#[test]
fn a_second_resume_goes_further_back_and_repeats_nothing() {
    let mut old = Old::new(400, 4);
    let id = old.rig.open();
    old.resume(id, names(["A"]), 200);
    let mut read = old.rig.read(id);
    old.answer();
    read.extend(old.rig.read(id));
    old.resume(id, names(["B"]), 100);
    read.extend(old.read(id));
    assert_eq!(of('A', &read), numbers('A', 101..=200));
    assert_eq!(of('B', &read), numbers('B', 51..=200));
}

#[test]
fn a_replay_begins_at_its_time_and_keeps_its_pace() {
    let mut old = Old::new(40, 4); // ends at 900 ms
    old.rig.turn_at(2_000);
    let id = old.rig.open();
    let from = ReplayStart::At(UnixNanos(250_000_000));
    let replay = Some(Replay { from, speed: ReplaySpeed::factor(2.0).unwrap() });
    old.rig
        .ask(id, SubscribeRequest { names: names(["A"]), replay, ..SubscribeRequest::default() });
    let mut at = Vec::new();
    for ms in 2_000..2_500 {
        old.rig.turn_at(ms);
        old.forget();
        let mut ready = old.rig.shard.ready.take_live(0);
        ready.extend(old.rig.shard.next_catching_up());
        for id in ready {
            at.extend(old.read(id).into_iter().map(|spelled| (ms, spelled)));
        }
    }
    assert_eq!(at[0].1, "ack");
    assert_eq!(at.len(), 1 + 14, "{at:?}");
    for (n, (ms, spelled)) in (0..).zip(&at[1..]) {
        let due = 2_000 + (300 + 100 * (n / 2) - 250) / 2;
        assert!((due..=due + 12).contains(ms), "{spelled} at {ms}, due at {due}");
        assert_eq!(*spelled, format!("A{}", n + 7));
    }
    assert_eq!(old.rig.shard.stats().catching_up, 0);
}

#[test]
fn a_replay_from_before_all_history_begins_with_it() {
    let mut old = Old::new(40, 4);
    old.rig.turn_at(2_000);
    let id = old.rig.open();
    let replay =
        Some(Replay { from: ReplayStart::Ago(Duration::from_hours(1)), speed: ReplaySpeed::Max });
    old.rig
        .ask(id, SubscribeRequest { names: names(["B"]), replay, ..SubscribeRequest::default() });
    assert_eq!(of('B', &old.read(id)), numbers('B', 1..=20));
}

#[test]
fn only_so_many_read_at_once_and_each_has_its_turn() {
    let mut old = Old::new(40, 4);
    let ids: Vec<_> = (0..3 * DISK_READS_MAX).map(|_| old.rig.open()).collect();
    ids.iter().for_each(|id| old.resume(*id, names(["A"]), 0));
    let mut read = vec![Vec::new(); ids.len()];
    for ms in 0..2_000 {
        old.rig.turn_at(ms);
        old.forget();
        let mut ready = old.rig.shard.ready.take_live(0);
        ready.extend(std::iter::from_fn(|| old.rig.shard.next_catching_up()));
        for id in ready {
            read[id.slot()].extend(old.rig.read(id));
        }
        assert!(old.rig.shard.disk.in_use() <= DISK_READS_MAX);
        old.answer();
    }
    for read in read {
        assert_eq!(of('A', &read), numbers('A', 1..=20));
    }
}

#[test]
fn a_session_that_does_not_read_holds_nothing_and_ends_like_others() {
    let mut old = Old::new(40, 40);
    let id = old.rig.open();
    old.resume(id, names(["A"]), 0);
    old.rig.read(id);
    old.rig.shard.blocked(id);
    old.answer();
    assert_eq!(old.rig.shard.disk.in_use(), 0);
    old.rig.turn_at(AGE_MAX_MS + 1);
    old.rig.shard.check_ages();
    assert_eq!(old.rig.shard.take_lagged(), [id]);
    old.rig.shard.finish(id, CloseReason::SlowClient);
    old.rig.shard.writable(id);
    assert_eq!(old.rig.read(id), ["error 407"]);
    assert_eq!(
        old.rig.shard.next_write(id, &mut old.rig.out),
        NextWrite::Ended(CloseReason::SlowClient)
    );
}
