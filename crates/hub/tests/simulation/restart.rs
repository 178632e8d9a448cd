//! Shutdown, kill and machine failure, and the restart after them.

use tickwire_hub::fanout::{CloseReason, LastTick, Log};

use crate::connection::Stage;
use crate::disk::{Disk, DiskFault};
use crate::durable::{Durable, StartState};
use crate::intake::Intake;
use crate::oracle::Oracle;
use crate::shard_driver::ShardDriver;
use crate::world::{MS, World};

/// Rounds in which sessions read pending data during a clean shutdown.
const LAST_ROUNDS: usize = 5;

/// How a hub ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Killed,
    /// The machine fails.
    Failed,
    Clean,
}

impl World {
    /// Ends the hub in a random way and restarts it.
    pub(crate) fn restart(&mut self) {
        match self.random.below(4) {
            0 => {
                self.finish();
                self.start(End::Clean);
            }
            1 => self.start(End::Failed),
            2 => self.start(End::Killed),
            _ => {
                let written = self.random.index(400);
                if self.route(6, Some(DiskFault::Killed { written })).is_err() {
                    self.start(End::Killed);
                }
            }
        }
    }

    /// Makes the router's next write fail for lack of room.
    pub(crate) fn fill_disk(&mut self) {
        let written = self.random.index(400);
        assert!(
            self.route(6, Some(DiskFault::Full { written })).is_ok(),
            "the router continues without the log"
        );
    }

    /// Shuts the hub down cleanly: queued ticks are numbered, sessions informed, the log closed.
    fn finish(&mut self) {
        while !self.intake.is_idle() {
            self.round_of_intake();
        }
        for shard in 0..self.shards.len() {
            while self.shards[shard].is_behind(&self.log) {
                self.turn(shard);
            }
            let slots: Vec<u32> = self.shards[shard].connections.keys().copied().collect();
            for slot in slots {
                if self.shards[shard].connections[&slot].stage == Stage::Open {
                    self.shards[shard].finish(slot, CloseReason::Shutdown);
                }
            }
        }
        for _ in 0..LAST_ROUNDS {
            (0..self.shards.len()).for_each(|shard| self.turn(shard));
            (0..self.clients.len()).for_each(|client| self.read_all(client));
        }
    }

    /// Starts the next hub.
    fn start(&mut self, end: End) {
        for client in 0..self.clients.len() {
            self.lose_hub(client);
        }
        self.hostile.iter_mut().for_each(|client| client.link = None);
        for publisher in 0..self.publishers.len() {
            while self.random.chance(50) && self.deliver_answer(publisher) {}
        }
        let next = format!("epoch-{}", self.random.below(1 << 40));
        let jump = self.random.weighted(&[(3, MS), (1, 100_000 * MS)]);
        self.now_ns = self.now_ns + self.random.below(jump) - self.random.below(jump);
        match self.intake.durable.take() {
            None => {
                self.publishers.iter_mut().for_each(|publisher| publisher.lose_hub(true));
                self.oracle = Oracle::default();
                let log = Log::new(usize::MAX, self.setting.log_ticks);
                self.begin(next, Intake::new(), log, &[]);
            }
            Some(durable) => self.start_on_disk(durable, end, next),
        }
    }

    fn start_on_disk(&mut self, durable: Durable, end: End, next: String) {
        let failed = durable.has_failed;
        let waits = durable.waits;
        let disk = match end {
            End::Clean => durable.finish(),
            End::Killed | End::Failed => durable.disk,
        };
        if end == End::Failed {
            disk.fail(&mut self.random);
        }
        self.boot += u64::from(end == End::Failed || self.random.chance(10) && end == End::Clean);
        let state = self.recover(disk, waits, next);
        let continues = !failed && end != End::Failed;
        assert_eq!(state.continues, continues, "{end:?}, the log has failed: {failed}");
        let forgets = failed || end == End::Failed && !waits;
        self.publishers.iter_mut().for_each(|publisher| publisher.lose_hub(forgets));
        if continues {
            assert!(state.numbering.head.0 >= self.oracle.head(), "issued ticks were lost");
        } else {
            self.oracle = Oracle::default();
        }
        self.begin_with(state);
    }

    /// Starts the first hub on an empty disk.
    pub(crate) fn begin_on_disk(&mut self, waits: bool) {
        let state = self.recover(Disk::default(), waits, self.epoch.clone());
        self.begin_with(state);
    }

    fn recover(&mut self, disk: Disk, waits: bool, next: String) -> StartState {
        let log_ticks = self.setting.log_ticks;
        Durable::begin(disk, waits, self.boot, next, log_ticks, &mut self.random)
    }

    fn begin_with(&mut self, state: StartState) {
        let StartState { durable, epoch, numbering, batches, last_before, .. } = state;
        self.now_ns = self.now_ns.max(numbering.received.0);
        let start = batches.front().map_or(numbering.head, |batch| batch.first());
        let mut log = Log::new(usize::MAX, self.setting.log_ticks).starting_at(start);
        for batch in batches {
            self.oracle.recover(&batch);
            log.append(batch);
        }
        assert_eq!((log.head(), log.head().0), (numbering.head, self.oracle.head()));
        self.begin(epoch, Intake::restore(numbering, durable), log, &last_before);
    }

    fn begin(&mut self, epoch: String, intake: Intake, log: Log, last_before: &[LastTick]) {
        let driver = |_| ShardDriver::new(&self.setting, &epoch, &log, last_before, self.now_ns);
        self.shards = (0..self.setting.shards).map(driver).collect();
        (self.epoch, self.intake, self.log) = (epoch, intake, log);
    }
}
