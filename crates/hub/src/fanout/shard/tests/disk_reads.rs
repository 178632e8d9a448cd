//! Resume and replay of ticks that have left memory. The tests themselves serve as the disk.

use std::sync::Arc;
use std::time::Duration;

use tickwire_protocol::{
    Command, Control, Replay, ReplaySpeed, ReplayStart, Resume, ResumePoint, SubscribeRequest,
    SubscriptionSet, UnixNanos,
};

use super::super::super::{
    Batch, ClientId, CloseReason, DISK_READS_MAX, DiskIndex, DiskReadRequest, Position,
    SegmentRange, SessionId,
};
use super::harness::{AGE_MAX_MS, Harness, all_trades, every, names};
use crate::fanout::NextWrite;

mod slots;

/// A harness whose log is empty, and a disk that holds all published batches.
struct DiskTest {
    harness: Harness,
    disk: Vec<Arc<Batch>>,
    /// The most batches that a read finds.
    batches_per_read: usize,
}

impl DiskTest {
    /// Publishes `ticks` ticks of A and B alternately, `batch_ticks` in each batch. Batches are 100
    /// ms apart.
    fn new(ticks: u64, batch_ticks: u64) -> Self {
        let mut harness = Harness::new(Position::FIRST, 5_000);
        let mut disk = Vec::new();
        for first in (0..ticks).step_by(usize::try_from(batch_ticks).unwrap()) {
            let batch = (first..first + batch_ticks).map(|n| if n % 2 == 0 { "A" } else { "B" });
            disk.push(harness.publish(batch));
            harness.received_ms += 100;
        }
        let segment = SegmentRange { first: Position::FIRST, received: UnixNanos(0) };
        harness.shard.set_disk_index(DiskIndex::new(vec![segment]));
        let mut test = Self { harness, disk, batches_per_read: 1 };
        test.evict_log();
        test
    }

    /// Evicts all ticks from memory.
    fn evict_log(&mut self) {
        self.harness.turn_with_empty_log();
    }

    fn resume(&mut self, id: SessionId, names: SubscriptionSet, position: u64) {
        let resume = Some(Resume { epoch: String::new(), point: ResumePoint::Position(position) });
        self.harness.subscribe_with(
            id,
            SubscribeRequest { names, resume, pos: true, ..SubscribeRequest::default() },
        );
    }

    /// Completes the disk reads that can begin. Returns their number.
    fn complete_disk_reads(&mut self) -> usize {
        let requests = self.begin_disk_reads();
        requests.iter().for_each(|request| self.complete_disk_read(*request));
        requests.len()
    }

    fn begin_disk_reads(&mut self) -> Vec<DiskReadRequest> {
        std::iter::from_fn(|| self.harness.shard.begin_disk_read()).collect()
    }

    fn complete_disk_read(&mut self, request: DiskReadRequest) {
        let found = self.disk.iter().filter(|batch| request.from < batch.end());
        let found = found.take(self.batches_per_read).cloned().collect();
        self.harness.shard.complete_disk_read(request, Some(found));
    }

    /// Reads and completes disk reads until the session has received everything.
    fn read_all(&mut self, id: SessionId) -> Vec<String> {
        let mut all = self.harness.read_all(id);
        while self.complete_disk_reads() > 0 {
            all.extend(self.harness.read_all(id));
        }
        all
    }
}

/// Returns the ticks of one symbol among the elements.
fn ticks_of(symbol: char, read: &[String]) -> Vec<&str> {
    read.iter().map(String::as_str).filter(|element| element.starts_with(symbol)).collect()
}

/// Returns the expected ticks of a symbol.
fn ticks(symbol: char, range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(|n| format!("{symbol}{n}")).collect()
}

#[test]
fn resume_reads_disk_then_memory_and_becomes_live() {
    let mut test = DiskTest::new(40, 4);
    test.harness.publish(["A", "B", "A"]);
    let id = test.harness.open();
    test.resume(id, names(["A"]), 10);
    let read = test.read_all(id);
    assert_eq!(read[..3], ["ack Complete 10", "A6", "p11"]);
    assert_eq!(ticks_of('A', &read), ticks('A', 6..=22));
    assert_eq!(read.last().unwrap(), "p43");
    test.harness.publish(["A"]);
    assert_eq!(test.harness.read_all(id), ["A23", "p44"]);
    assert_eq!(test.harness.shard.stats().catching_up, 0);
    assert_eq!(test.harness.shard.disk.in_use(), 0);
}

#[test]
fn names_without_newer_ticks_need_no_disk_read() {
    let mut test = DiskTest::new(40, 4);
    let id = test.harness.open();
    test.resume(id, names(["C"]), 10);
    assert_eq!(test.harness.read_all(id), ["ack Complete 40"]);
    assert_eq!(test.complete_disk_reads(), 0);
}

/// Lets the log overtake a session that has 4,000 ticks to read and is blocked after the first
/// message. `meanwhile` acts on the blocked session. Returns what the session reads, without the
/// ack.
fn read_overtaken(meanwhile: impl FnOnce(&mut Harness, SessionId)) -> (DiskTest, Vec<String>) {
    let mut test = DiskTest::new(2, 2);
    for _ in 0..40 {
        let batch = test.harness.publish(["A"; 100]);
        test.disk.push(batch);
    }
    let id = test.harness.open();
    test.resume(id, names(["A"]), 2);
    assert_eq!(test.harness.read_next(id).unwrap(), ["ack Complete 2"]);
    let mut read = test.harness.read_next(id).unwrap();
    test.harness.shard.blocked(id);
    meanwhile(&mut test.harness, id);
    test.evict_log();
    test.harness.shard.writable(id);
    read.extend(test.read_all(id));
    (test, read)
}

#[test]
fn cursor_overtaken_by_the_log_continues_from_disk() {
    let (test, read) = read_overtaken(|_, _| {});
    assert_eq!(ticks_of('A', &read), ticks('A', 2..=4_001));
    assert!(!read.iter().any(|element| element.starts_with("gap")));
    assert_eq!(test.harness.shard.stats().backlog_ticks, 0);
}

#[test]
fn overtaken_session_with_queued_control_frames_loses_no_tick_without_a_gap() {
    let (_, read) = read_overtaken(|harness, id| harness.shard.control(id, &Control::Live));
    let mut last = 1;
    for element in &read {
        if let Some(seq) = element.strip_prefix('A') {
            last += 1;
            assert_eq!(seq, last.to_string(), "{read:?}");
        } else if let Some(gap) = element.strip_prefix("gap A ?-") {
            last = gap.parse().unwrap();
        }
    }
    assert_eq!(last, 4_001, "{read:?}");
}

#[test]
fn ticks_missing_on_disk_are_a_gap_before_those_in_memory() {
    let mut test = DiskTest::new(40, 4);
    test.harness.publish(["A", "B"]);
    let during_read = test.harness.open();
    let before_read = test.harness.open();
    test.resume(during_read, all_trades(), 10);
    assert_eq!(test.harness.read_all(during_read), ["ack Complete 10"]);
    let request = test.begin_disk_reads()[0];
    test.harness.shard.complete_disk_read(request, None);
    assert_eq!(
        test.harness.read_all(during_read),
        ["gap A ?-20", "gap B ?-20", "A21", "B21", "p42"]
    );
    let segment = SegmentRange { first: Position(21), received: UnixNanos(500_000_000) };
    test.harness.shard.set_disk_index(DiskIndex::new(vec![segment]));
    test.resume(before_read, names(["A"]), 10);
    assert_eq!(
        test.harness.read_all(before_read),
        ["ack Gap 10", "gap A ?-20", "p40", "A21", "p41"]
    );
}

#[test]
fn late_disk_read_is_not_delivered_to_the_next_session_of_its_slot() {
    let mut test = DiskTest::new(40, 4);
    let first = test.harness.open();
    test.resume(first, names(["A"]), 0);
    test.harness.read_all(first);
    let late = test.begin_disk_reads()[0];
    test.harness.shard.close(first);
    test.evict_log();
    let second = test.harness.open();
    assert_eq!(second, first, "the slot is reused");
    test.resume(second, names(["B"]), 20);
    assert_eq!(test.harness.read_all(second), ["ack Complete 20"]);
    test.complete_disk_read(late);
    assert_eq!(test.harness.read_all(second), [""; 0]);
    assert_eq!(ticks_of('B', &test.read_all(second)), ticks('B', 11..=20));
}

#[test]
fn names_unsubscribed_during_a_disk_read_are_not_sent() {
    let mut test = DiskTest::new(40, 4);
    let id = test.harness.open();
    test.resume(id, names(["A", "B"]), 0);
    test.harness.read_all(id);
    test.harness.command(id, Command::Unsubscribe, names(["A"]));
    let read = test.read_all(id);
    assert_eq!(read[0], "ack 0");
    assert_eq!((ticks_of('A', &read), ticks_of('B', &read).len()), (vec![], 20));
    test.resume(id, names(["A"]), 38);
    test.harness.command(id, Command::Unsubscribe, names(["A", "B"]));
    test.read_all(id);
    test.harness.subscribe_with(id, every(names(["A"])));
    test.harness.publish(["A"]);
    assert_eq!(ticks_of('A', &test.read_all(id)), ["A21"]);
}

#[test]
fn second_resume_reaches_further_back_on_disk_and_repeats_no_tick() {
    let mut test = DiskTest::new(400, 4);
    let id = test.harness.open();
    test.resume(id, names(["A"]), 200);
    let mut read = test.harness.read_all(id);
    test.complete_disk_reads();
    read.extend(test.harness.read_all(id));
    test.resume(id, names(["B"]), 100);
    read.extend(test.read_all(id));
    assert_eq!(ticks_of('A', &read), ticks('A', 101..=200));
    assert_eq!(ticks_of('B', &read), ticks('B', 51..=200));
}

#[test]
fn replay_from_disk_starts_at_its_time_and_keeps_its_pace() {
    let mut test = DiskTest::new(40, 4); // the last batch is received at 900 ms
    test.harness.turn_at(2_000);
    let id = test.harness.open();
    let from = ReplayStart::At(UnixNanos(250_000_000));
    let replay = Some(Replay { from, speed: ReplaySpeed::factor(2.0).unwrap() });
    test.harness.subscribe_with(
        id,
        SubscribeRequest { names: names(["A"]), replay, ..SubscribeRequest::default() },
    );
    let mut received = Vec::new();
    for ms in 2_000..2_500 {
        test.harness.turn_at(ms);
        test.evict_log();
        let mut ready = test.harness.shard.ready.take_live(0);
        ready.extend(test.harness.shard.next_catching_up());
        for id in ready {
            received.extend(test.read_all(id).into_iter().map(|element| (ms, element)));
        }
    }
    assert_eq!(received[0].1, "ack");
    assert_eq!(received.len(), 1 + 14, "{received:?}");
    for (n, (ms, element)) in (0..).zip(&received[1..]) {
        let due = 2_000 + (300 + 100 * (n / 2) - 250) / 2;
        assert!((due..=due + 12).contains(ms), "{element} at {ms}, due at {due}");
        assert_eq!(*element, format!("A{}", n + 7));
    }
    assert_eq!(test.harness.shard.stats().catching_up, 0);
}

#[test]
fn replay_from_before_all_history_starts_with_the_oldest_tick() {
    let mut test = DiskTest::new(40, 4);
    test.harness.turn_at(2_000);
    let id = test.harness.open();
    let replay =
        Some(Replay { from: ReplayStart::Ago(Duration::from_hours(1)), speed: ReplaySpeed::Max });
    test.harness.subscribe_with(
        id,
        SubscribeRequest { names: names(["B"]), replay, ..SubscribeRequest::default() },
    );
    assert_eq!(ticks_of('B', &test.read_all(id)), ticks('B', 1..=20));
}

#[test]
fn blocked_session_holds_no_disk_batches_and_lags() {
    let mut test = DiskTest::new(40, 40);
    let id = test.harness.open();
    test.resume(id, names(["A"]), 0);
    test.harness.read_all(id);
    test.harness.shard.blocked(id);
    test.complete_disk_reads();
    assert_eq!(test.harness.shard.disk.in_use(), 0);
    test.harness.turn_at(AGE_MAX_MS + 1);
    test.harness.shard.check_ages();
    assert_eq!(test.harness.shard.take_lagged(), [id]);
    test.harness.shard.finish(id, CloseReason::SlowClient);
    test.harness.shard.writable(id);
    assert_eq!(test.harness.read_all(id), ["error 407"]);
    assert_eq!(
        test.harness.shard.next_write(id, &mut test.harness.out),
        NextWrite::Ended(CloseReason::SlowClient)
    );
}
