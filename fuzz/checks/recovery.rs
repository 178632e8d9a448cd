//! Checks recovery of the log on disk: after any change to its files, nothing panics, no tick is
//! replaced by another one, and turns appended to the recovered log can be recovered too.

mod folder;

use std::time::Duration;

use tickwire_hub::durable::{
    CheckpointedState, RecoverError, RecoverOptions, Recovered, RollPolicy, Turn, Writer, recover,
};
use tickwire_hub::fanout::{Batch, FeedId, Sequencer};
use tickwire_protocol::{Feed, Seq, Symbol, Tick, TickData, Trade, UnixNanos};

use super::input::Input;
use folder::Folder;

const FEED: FeedId = FeedId(0);
const BOOT: &str = "this boot";
/// The most turns that are written before the files are changed.
const TURNS_MAX: usize = 12;

/// Interprets the bytes as decisions: which turns are written, and how the files are changed.
pub(crate) fn check(bytes: &[u8]) {
    let mut input = Input(bytes);
    let folder = Folder::default();
    let mut issued = Vec::new();
    for _ in 0..=input.byte() % 2 {
        write_turns(&folder, &mut input, &mut issued);
    }
    let mut sealed = false;
    while !input.is_empty() {
        sealed |= folder.change(&mut input);
    }
    match try_recover(&folder, "new") {
        Ok(found) => {
            if !sealed && found.continues {
                check_ticks(&found, &issued);
            }
            continue_log(&folder, found);
        }
        Err(RecoverError::UnknownFeed(_)) => {
            assert!(sealed, "only a change with valid checksums can name an unknown feed")
        }
        Err(RecoverError::OtherVersion { .. } | RecoverError::NoCheckpoint { .. }) => {}
        Err(problem) => panic!("the folder in memory can be read: {problem:?}"),
    }
}

/// Writes turns with ticks whose ids are unique, and records the ticks in `issued`.
fn write_turns(folder: &Folder, input: &mut Input<'_>, issued: &mut Vec<Tick>) {
    let (mut writer, mut sequencer) = begin(folder, &mut recover_unsealed(folder, "first"));
    for _ in 0..usize::from(input.byte()) % TURNS_MAX {
        let ticks = usize::from(input.byte() % 6);
        let first = issued.len();
        sequencer.take(FEED, (0..ticks).map(|tick| trade(first + tick, input.byte())).collect());
        if let Some(batch) = turn(&mut writer, &mut sequencer, input.byte()) {
            issued.extend(batch.ticks().iter().map(|numbered| numbered.tick.clone()));
        }
    }
    if input.byte().is_multiple_of(2) {
        writer.finish().expect("memory can be written");
    }
}

/// Appends a turn to a recovered log and checks that recovery finds it.
fn continue_log(folder: &Folder, mut found: Recovered) {
    let (mut writer, mut sequencer) = begin(folder, &mut found);
    let epoch = found.state.epoch().to_owned();
    let head = found.state.numbering().head;
    sequencer.take(FEED, vec![trade(usize::MAX, 1)]);
    let batch = turn(&mut writer, &mut sequencer, 0).expect("the turn has a tick");
    let found = recover_unsealed(folder, "another");
    assert!(found.continues, "an appended log is complete: {:?}", found.problems);
    assert_eq!(found.state.epoch(), epoch);
    assert_eq!(found.state.numbering().head, head.plus(1));
    let last = |batch: &Batch| batch.ticks().last().map(|numbered| numbered.tick.clone());
    assert_eq!(found.batches.back().and_then(|batch| last(batch)), last(&batch));
}

fn begin(folder: &Folder, found: &mut Recovered) -> (Writer<Folder>, Sequencer) {
    let policy = RollPolicy { bytes: 300, time: Duration::from_secs(1) };
    let sequencer = Sequencer::restore(found.state.numbering(), usize::MAX, 4);
    let writer = Writer::begin(folder.clone(), found, policy, BOOT);
    (writer.expect("memory can be written"), sequencer)
}

/// Runs a turn of the router in which a publisher makes progress.
fn turn(writer: &mut Writer<Folder>, sequencer: &mut Sequencer, publisher: u8) -> Option<Batch> {
    let id = format!("publisher {}", publisher % 6);
    if let Some(opened) = sequencer.open(&id) {
        let mark = Some(publisher.to_string());
        let number = opened.last.saturating_add(1);
        sequencer
            .advance(&id, opened.token, number, mark)
            .expect("no other session of the publisher is open");
        sequencer.close(&id, opened.token);
    }
    let batch = sequencer.batch(UnixNanos(0));
    let changes = sequencer.take_changes();
    let received = sequencer.received();
    let turn =
        Turn { batch: batch.as_ref(), made: 0, changes: &changes, without_bars: &[], received };
    writer.append(&turn).expect("memory can be written");
    writer.roll(received).expect("memory can be written");
    batch
}

/// Recovers a log that was not changed, or whose changes do not have valid checksums.
fn recover_unsealed(folder: &Folder, epoch: &str) -> Recovered {
    try_recover(folder, epoch).expect("the log names only feeds of the hub")
}

/// Recovers the log. `epoch` is the epoch to use if a new one is needed.
fn try_recover(folder: &Folder, epoch: &str) -> Result<Recovered, RecoverError> {
    let options = RecoverOptions {
        feeds: &[Feed::new("main").expect("a valid name")],
        boot: BOOT,
        epoch: epoch.to_owned(),
        checkpointed: &|| Box::new(EmptyState),
        bytes_max: 1 << 20,
        ticks_max: 1 << 20,
        age_max: Duration::MAX,
        now: UnixNanos::MAX,
    };
    recover(folder, options, |done, total| assert!(done <= total))
}

/// Checks that the recovered ticks are the issued ones, possibly without the last of them.
fn check_ticks(found: &Recovered, issued: &[Tick]) {
    let mut position = found.start();
    for batch in &found.batches {
        assert_eq!(batch.first(), position, "no gap");
        for numbered in batch.ticks() {
            let index = usize::try_from(position.0 - 1).expect("there are few ticks");
            assert_eq!(issued.get(index), Some(&numbered.tick), "a tick was replaced");
            position = position.plus(1);
        }
    }
    assert_eq!(position, found.state.numbering().head);
}

/// Checkpointed state without content.
#[derive(Debug)]
struct EmptyState;

impl CheckpointedState for EmptyState {
    fn restore(&mut self, _: &[u8], _: &[FeedId]) {}
    fn observe(&mut self, _: &Batch, _: usize) {}
    fn disable_bars(&mut self, _: FeedId) {}
    fn save(&self, _: &mut Vec<u8>) {}
}

fn trade(id: usize, symbol: u8) -> Tick {
    let symbol = Symbol::new(&format!("S{}", symbol % 8)).expect("a valid symbol");
    let data = TickData::Trade(Trade { id: id as u64, ..Trade::default() });
    Tick { symbol, seq: Seq(0), time: UnixNanos(1), data }
}
