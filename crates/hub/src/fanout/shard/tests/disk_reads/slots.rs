//! How sessions share the disk reads of a shard.

use super::*;

impl DiskTest {
    /// Subscribes a new session to A in a replay from the first tick, at normal speed.
    fn play(&mut self) -> SessionId {
        let id = self.harness.open();
        let speed = ReplaySpeed::factor(1.0).unwrap();
        let replay = Some(Replay { from: ReplayStart::At(UnixNanos(0)), speed });
        let request = SubscribeRequest { replay, ..every(names(["A"])) };
        self.harness.subscribe_with(id, request);
        id
    }

    /// Lets every session that is ready read once, and completes the disk reads that begin then.
    /// Adds what sessions read to `read`, by the slot of the session.
    fn turn_for_all(&mut self, ms: u64, read: &mut Vec<Vec<String>>) {
        self.harness.turn_at(ms);
        self.evict_log();
        let mut ready = self.harness.shard.ready.take_live(0);
        ready.extend(std::iter::from_fn(|| self.harness.shard.next_catching_up()));
        for id in ready {
            read.resize_with(read.len().max(id.slot() + 1), Vec::new);
            read[id.slot()].extend(self.harness.read_all(id));
        }
        self.complete_disk_reads();
        assert!(self.harness.shard.disk.in_use() <= DISK_READS_MAX);
        assert!(!self.harness.shard.can_begin_disk_read());
    }
}

#[test]
fn concurrent_disk_reads_are_limited_and_every_session_completes() {
    let mut test = DiskTest::new(40, 4);
    let ids: Vec<_> = (0..3 * DISK_READS_MAX).map(|_| test.harness.open()).collect();
    ids.iter().for_each(|id| test.resume(*id, names(["A"]), 0));
    let mut read = vec![Vec::new(); ids.len()];
    (0..2_000).for_each(|ms| test.turn_for_all(ms, &mut read));
    for read in read {
        assert_eq!(ticks_of('A', &read), ticks('A', 1..=20));
    }
}

#[test]
fn resume_waits_for_no_paced_replay() {
    let mut test = DiskTest::new(40, 4);
    (0..1_000).for_each(|_| _ = test.play());
    let mut read = Vec::new();
    (0..50).for_each(|ms| test.turn_for_all(ms, &mut read));
    let id = test.harness.open();
    test.resume(id, names(["A"]), 0);
    (50..65).for_each(|ms| test.turn_for_all(ms, &mut read));
    assert_eq!(ticks_of('A', &read[id.slot()]), ticks('A', 1..=20));
}

#[test]
fn paced_replays_take_turns() {
    let mut test = DiskTest::new(40, 4);
    test.batches_per_read = 10; // a replay could hold all of them until their ticks are due
    let ids: Vec<_> = (0..300).map(|_| test.play()).collect();
    let mut read = Vec::new();
    (0..100).for_each(|ms| test.turn_for_all(ms, &mut read));
    for id in &ids {
        assert_eq!(ticks_of('A', &read[id.slot()]), ticks('A', 1..=2));
    }
    (100..2_000).for_each(|ms| test.turn_for_all(ms, &mut read));
    for id in ids {
        assert_eq!(ticks_of('A', &read[id.slot()]), ticks('A', 1..=20));
    }
    assert_eq!(test.harness.shard.disk.in_use(), 0);
}

#[test]
fn replays_of_one_client_leave_room_for_other_clients() {
    let mut test = DiskTest::new(40, 4);
    for _ in 0..1_000 {
        let id = test.harness.open();
        test.harness.shard.set_client(id, ClientId(1));
        test.resume(id, names(["A"]), 0);
    }
    let mut read = Vec::new();
    (0..5).for_each(|ms| test.turn_for_all(ms, &mut read));
    let id = test.harness.open();
    test.harness.shard.set_client(id, ClientId(2));
    test.resume(id, names(["A"]), 0);
    (5..30).for_each(|ms| test.turn_for_all(ms, &mut read));
    assert_eq!(ticks_of('A', &read[id.slot()]), ticks('A', 1..=20));
}

#[test]
fn session_that_ends_leaves_the_queue() {
    let mut test = DiskTest::new(40, 4);
    let ids: Vec<_> = (0..2 * DISK_READS_MAX).map(|_| test.harness.open()).collect();
    ids.iter().for_each(|id| test.resume(*id, names(["A"]), 0));
    ids.iter().for_each(|id| drop(test.harness.read_all(*id)));
    let begun = test.begin_disk_reads();
    assert!(begun.len() < ids.len());
    let (last, others) = ids.split_last().unwrap();
    others.iter().for_each(|id| test.harness.shard.close(*id));
    begun.into_iter().for_each(|request| test.complete_disk_read(request));
    assert_eq!(
        test.begin_disk_reads().iter().map(|request| request.id).collect::<Vec<_>>(),
        [*last]
    );
}

#[test]
fn replay_reads_the_disk_only_as_far_as_its_names_have_ticks() {
    let mut test = DiskTest::new(40, 4);
    let from = ReplayStart::At(UnixNanos(0));
    let replay = Some(Replay { from, speed: ReplaySpeed::Max });
    let silent = test.harness.open();
    test.harness.subscribe_with(silent, SubscribeRequest { replay, ..every(names(["C"])) });
    assert_eq!(test.harness.read_all(silent), ["ack"]);
    assert!(!test.harness.shard.can_begin_disk_read());
    assert_eq!(test.harness.shard.stats().catching_up, 0);
    for _ in 0..10 {
        let batch = test.harness.publish(["B"; 4]);
        test.disk.push(batch);
    }
    test.evict_log();
    let id = test.harness.open();
    test.harness.subscribe_with(id, SubscribeRequest { replay, ..every(names(["A"])) });
    let mut read = test.harness.read_all(id);
    let mut reads = 0;
    while test.complete_disk_reads() > 0 {
        reads += 1;
        read.extend(test.harness.read_all(id));
    }
    assert_eq!(
        (ticks_of('A', &read), reads),
        (ticks('A', 1..=20).iter().map(String::as_str).collect(), 10)
    );
    test.harness.publish(["C", "A"]);
    assert_eq!(test.harness.read_all(silent), ["C1"]);
    assert_eq!(test.harness.read_all(id), ["A21"]);
}
