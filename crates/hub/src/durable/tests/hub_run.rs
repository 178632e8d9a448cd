//! One run of a hub as far as the log is concerned. It numbers and records random ticks, and
//! compares what the next run recovers with what was sent.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use tickwire_protocol::{
    Conditions, Feed, Price, Seq, Symbol, Text, Tick, TickData, Trade, UnixNanos,
};

use super::folder::Folder;
use crate::durable::{
    Archive, CheckpointedState, Compactor, CompactorStart, RecoverError, RecoverOptions, Recovered,
    Retention, RollPolicy, Turn, Writer, recover,
};
use crate::fanout::{
    Batch, FeedId, LastTick, Numbered, Position, PublisherProgress, Sequencer, TopicKey,
};

pub(super) const SEGMENT_BYTES: u64 = 2_000;
pub(super) const KEPT_BYTES: u64 = 20_000;
pub(super) const MEMORY_TICKS: usize = 60;
pub(super) const KEPT_TIME: Duration = Duration::from_secs(3_600);

/// A checkpointed state that hashes all observed ticks, so that a missing or repeated one shows.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
struct Mixed(u64);

impl CheckpointedState for Mixed {
    fn restore(&mut self, saved: &[u8], feeds: &[FeedId]) {
        assert!(!feeds.is_empty());
        self.0 = u64::from_le_bytes(saved.try_into().unwrap());
    }

    fn observe(&mut self, batch: &Batch, made: usize) {
        for numbered in batch.ticks() {
            let mixed = self.0.wrapping_mul(31).wrapping_add(numbered.tick.seq.0);
            self.0 = mixed.wrapping_add(u64::from(numbered.topic.0) << 32);
        }
        self.0 = self.0.wrapping_mul(31).wrapping_add(made as u64);
    }

    fn disable_bars(&mut self, feed: FeedId) {
        self.0 = self.0.wrapping_mul(31).wrapping_add(1_000 + u64::from(feed.0));
    }

    fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_le_bytes());
    }
}

pub(super) struct HubRun {
    pub(super) writer: Writer<Folder>,
    compactor: Compactor<Folder>,
    sequencer: Sequencer,
    pub(super) epoch: String,
    pub(super) continued: bool,
    pub(super) problems: Vec<String>,
    now: UnixNanos,
    sent: SentTicks,
    segments: crate::durable::Segments,
}

/// Everything that was sent in an epoch.
#[derive(Debug, Clone, Default)]
pub(super) struct SentTicks {
    ticks: Vec<Numbered>,
    publishers: Vec<PublisherProgress>,
    mixed: Mixed,
}

fn feeds(names: &[&str]) -> Vec<Feed> {
    names.iter().map(|name| Feed::new(name).unwrap()).collect()
}

/// Returns an epoch that no other run has.
fn new_epoch() -> String {
    static RUNS: AtomicU64 = AtomicU64::new(1);
    format!("epoch-{}", RUNS.fetch_add(1, Ordering::Relaxed))
}

fn read(
    folder: &Folder,
    boot: &str,
    names: &[&str],
    ticks_max: usize,
    now: UnixNanos,
) -> Result<Recovered, RecoverError> {
    let options = RecoverOptions {
        feeds: &feeds(names),
        boot,
        epoch: new_epoch(),
        checkpointed: &|| Box::new(Mixed::default()),
        bytes_max: usize::MAX,
        ticks_max,
        age_max: Duration::MAX,
        now,
    };
    recover(folder, options, |done, total| assert!(done <= total))
}

pub(super) fn recovered(folder: &Folder, boot: &str) -> Recovered {
    recovered_within(folder, boot, MEMORY_TICKS)
}

pub(super) fn recovered_within(folder: &Folder, boot: &str, ticks_max: usize) -> Recovered {
    read(folder, boot, &["main", "two"], ticks_max, UnixNanos::MAX).unwrap()
}

pub(super) fn recovered_with(folder: &Folder, names: &[&str]) -> Result<Recovered, RecoverError> {
    read(folder, "boot", names, MEMORY_TICKS, UnixNanos::MAX)
}

pub(super) fn recovered_at(folder: &Folder, now: UnixNanos) -> Recovered {
    read(folder, "boot", &["main", "two"], MEMORY_TICKS, now).unwrap()
}

impl SentTicks {
    /// Asserts that the recovered state agrees. The oldest ticks may be missing.
    pub(super) fn assert_agrees(&self, found: &Recovered) {
        let numbering = found.state.numbering();
        assert_eq!(numbering.head.0, self.ticks.len() as u64 + 1);
        assert_eq!(numbering.publishers, self.publishers);
        let mut position = found.start();
        for batch in &found.batches {
            assert_eq!(batch.first(), position, "no gap");
            for numbered in batch.ticks() {
                assert_eq!(numbered.tick, *self.tick(position));
                let (key, _) = numbering.topics[numbered.topic.0 as usize];
                assert_eq!(key, TopicKey::of(numbered.feed, &numbered.tick));
                position = position.plus(1);
            }
        }
        assert_eq!(position, numbering.head);
        let mut last_before = HashMap::new();
        let before = self.ticks.iter().zip(1..found.start().0);
        before.for_each(|(numbered, at)| _ = last_before.insert(numbered.topic, at));
        for LastTick { tick, position, .. } in &found.last_before {
            assert_eq!(tick, self.tick(*position));
            let topic = self.ticks[usize::try_from(position.0).unwrap() - 1].topic;
            assert_eq!(last_before.remove(&topic), Some(position.0));
        }
        if found.problems.is_empty() {
            assert_eq!(last_before, HashMap::new(), "those of all topics are known");
        }
        let mut mixed = Mixed::default();
        mixed.restore(&found.state.saved(), &[FeedId(0)]);
        assert_eq!(mixed, self.mixed, "the checkpointed state observed every tick once");
    }

    fn tick(&self, at: Position) -> &Tick {
        &self.ticks[usize::try_from(at.0).unwrap() - 1].tick
    }

    /// Asserts that batches read from a position agree. Returns the position after them.
    pub(super) fn assert_agrees_from(&self, from: Position, batches: &[Arc<Batch>]) -> Position {
        let first = batches.first().map_or(from, |batch| batch.first());
        assert!(first <= from && batches.first().is_none_or(|batch| from < batch.end()));
        let mut position = first;
        for batch in batches {
            assert_eq!(batch.first(), position, "no gap");
            for numbered in batch.ticks() {
                assert_eq!(numbered.tick, *self.tick(position));
                position = position.plus(1);
            }
        }
        position
    }

    /// Starts the next run on the folder.
    pub(super) fn recover(&self, folder: &Folder, boot: &str) -> HubRun {
        self.clone().live(folder, boot).unwrap()
    }

    fn live(self, folder: &Folder, boot: &str) -> Option<HubRun> {
        let mut found = recovered(folder, boot);
        if found.continues {
            self.assert_agrees(&found);
        }
        let sent = match found.continues {
            true => self,
            false => Self { ticks: Vec::new(), ..self },
        };
        let policy = RollPolicy { bytes: SEGMENT_BYTES, time: KEPT_TIME / 8 };
        let writer = Writer::begin(folder.clone(), &mut found, policy, boot).ok()?;
        let segments = Arc::new(Mutex::new(std::mem::take(&mut found.segments)));
        let continued = found.continues;
        let numbering = found.state.numbering();
        let epoch = found.state.epoch().to_owned();
        let retention = Retention {
            bytes_max: KEPT_BYTES,
            time: KEPT_TIME,
            checkpoint_bytes: SEGMENT_BYTES,
            memory_ticks: MEMORY_TICKS as u64,
        };
        let compactor = Compactor::new(CompactorStart {
            storage: folder.clone(),
            state: found.state,
            segment: writer.segment().number,
            older_checkpoints: found.checkpoints,
            segments: segments.clone(),
            retention,
        });
        let now = UnixNanos(1_767_364_200_000_000_000).max(numbering.received);
        let sent = Self { publishers: numbering.publishers.clone(), ..sent };
        let sequencer = Sequencer::restore(numbering, usize::MAX, 3);
        let problems = found.problems;
        Some(HubRun {
            writer,
            compactor,
            sequencer,
            epoch,
            continued,
            problems,
            now,
            sent,
            segments,
        })
    }
}

impl HubRun {
    pub(super) fn begin(folder: &Folder, boot: &str) -> Self {
        Self::try_begin(folder, boot).unwrap()
    }

    /// Starts a run, or returns `None` if the folder fails.
    pub(super) fn try_begin(folder: &Folder, boot: &str) -> Option<Self> {
        SentTicks::default().live(folder, boot)
    }

    /// Kills this run and starts the next one, with the same boot id or another.
    pub(super) fn killed(self, folder: &Folder, boot: &str) -> Self {
        self.sent.recover(folder, boot)
    }

    /// Like [`HubRun::killed`], but the last write may or may not have reached the folder.
    pub(super) fn killed_unseen(self, folder: &Folder, boot: &str) -> Self {
        self.killed(folder, boot)
    }

    /// Shuts this run down cleanly and starts the next one.
    pub(super) fn ended(self, folder: &Folder, boot: &str) -> Self {
        self.writer.finish().unwrap();
        self.sent.recover(folder, boot)
    }

    pub(super) fn clone_sent(&self) -> SentTicks {
        self.sent.clone()
    }

    pub(super) fn turn(&mut self, random: &mut StdRng) {
        assert!(self.try_turn(random));
    }

    /// Runs a turn of the router with random ticks and publishers. Ticks that were not written
    /// count as not sent. Returns whether the turn was written.
    pub(super) fn try_turn(&mut self, random: &mut StdRng) -> bool {
        self.now = self.now + Duration::from_millis(random.random_range(0..50));
        for _ in 0..random.random_range(0..3) {
            let feed = FeedId(random.random_range(0..2));
            let ticks =
                (0..random.random_range(0..6)).map(|_| trade(random.random_range(0..30), random));
            let ticks = ticks.collect();
            self.sequencer.take(feed, ticks);
            let id = format!("publisher {}", random.random_range(0..5));
            if let Some(opened) = self.sequencer.open(&id) {
                let mark = random.random_bool(0.5).then(|| random.random::<u32>().to_string());
                let number = opened.last + 1;
                self.sequencer.advance(&id, opened.token, number, mark).unwrap();
                self.sequencer.close(&id, opened.token);
            }
        }
        let batch = self.sequencer.batch(self.now);
        let changes = self.sequencer.take_changes();
        let received = self.sequencer.received();
        let made = batch.as_ref().map_or(0, |batch| random.random_range(0..=batch.ticks().len()));
        let without_bars = random.random_bool(0.1).then(|| FeedId(random.random_range(0..2)));
        let without_bars = without_bars.as_slice();
        let batch_of_turn = batch.as_ref();
        let turn = Turn { batch: batch_of_turn, made, changes: &changes, without_bars, received };
        if self.writer.append(&turn).is_err() {
            return false;
        }
        self.sent.publishers.retain(|known| !changes.forgotten.contains(&known.id));
        for at in changes.at {
            self.sent.publishers.retain(|known| known.id != at.id);
            self.sent.publishers.push(at);
        }
        without_bars.iter().for_each(|feed| self.sent.mixed.disable_bars(*feed));
        if let Some(batch) = batch {
            self.sent.mixed.observe(&batch, made);
            self.sent.ticks.extend_from_slice(batch.ticks());
        }
        match self.writer.roll(received) {
            Ok(rolled) => {
                if rolled.is_some() {
                    self.segments.lock().unwrap().push(self.writer.segment());
                }
                self.compactor.run(self.writer.segment().number).is_ok()
            }
            Err(_) => false,
        }
    }

    pub(super) fn keep(&mut self) {
        self.compactor.run(self.writer.segment().number).unwrap();
    }

    pub(super) fn turns_until_it_rolls(&mut self, random: &mut StdRng) {
        let number = self.writer.segment().number;
        while self.writer.segment().number == number {
            self.turn(random);
        }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    pub(super) fn archive(&self, folder: &Folder) -> Archive<Folder> {
        Archive::new(folder.clone(), self.segments.clone(), feeds(&["main", "two"]))
    }

    pub(super) fn oldest_on_disk(&self) -> Position {
        Archive::<Folder>::start(&self.segments).unwrap()
    }

    pub(super) fn first_segment(&self) -> u64 {
        self.segments.lock().unwrap()[0].number
    }

    pub(super) fn head(&self) -> Position {
        Position(self.sent.ticks.len() as u64 + 1)
    }

    pub(super) fn ticks(&self) -> usize {
        self.sent.ticks.len()
    }

    pub(super) fn publishers(&self) -> Vec<PublisherProgress> {
        self.sent.publishers.clone()
    }
}

fn trade(symbol: u32, random: &mut StdRng) -> Tick {
    let text =
        Text::new(["", "V", "a long text that is retention outside"][random.random_range(0..3)]);
    let trade = Trade {
        id: random.random(),
        exchange: text.unwrap(),
        price: Price::from_nanos(random.random_range(0..1_000_000_000_000)).unwrap(),
        size: random.random_range(0..1_000),
        conditions: Conditions::new(["@", "I"]).unwrap(),
        ..Trade::default()
    };
    Tick {
        symbol: Symbol::new(&format!("S{symbol}")).unwrap(),
        seq: Seq(0),
        time: UnixNanos(random.random_range(0..=UnixNanos::MAX.0)),
        data: TickData::Trade(trade),
    }
}
