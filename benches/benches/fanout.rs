//! The fan-out core without sockets: ticks are numbered, a batch goes in, frames for every session
//! come out. Times are per delivery, per frame or per tick, as each group says.
#![expect(clippy::unwrap_used, reason = "a benchmark's own values")]
#![expect(clippy::disallowed_methods, reason = "one phase of a turn is timed by hand")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Bencher, Criterion, Throughput, criterion_group, criterion_main};
use tickwire_hub::fanout::{
    Batch, FeedId, FrameBuf, Limits, NextWrite, Position, Sequencer, SessionId, Shard,
};
use tickwire_protocol::{Channel, Command, Encoding, Subscription, Symbol, Tick, UnixNanos};

const FEED: FeedId = FeedId(0);

/// What the sessions subscribe to and what ticks.
#[derive(Clone, Copy)]
struct Scene {
    sessions: usize,
    symbols: usize,
    names_per_session: usize,
    ticks_per_turn: usize,
}

/// All sessions want the one symbol that ticks.
const HOT: Scene = Scene { sessions: 1_000, symbols: 1, names_per_session: 1, ticks_per_turn: 64 };
/// Ten times as many.
const CROWD: Scene = Scene { sessions: 10_000, ..HOT };
/// Each session wants some of many symbols.
const BOARD: Scene =
    Scene { sessions: 1_000, symbols: 500, names_per_session: 50, ticks_per_turn: 100 };

const ENCODINGS: [(&str, Encoding); 2] =
    [("msgpack", Encoding::MsgpackArray), ("json", Encoding::Json)];

/// The parts of a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Apply,
    Write,
}

fn symbol(number: usize) -> Symbol {
    Symbol::new(&format!("S{number}")).unwrap()
}

/// One trade of each symbol in turn. Symbols lie 7 apart so that those of a session do not tick
/// side by side.
fn ticks(scene: &Scene, first: usize) -> Vec<Tick> {
    const TRADE: &[u8] = br#"{"T":"t","S":"A","t":"2026-01-02T14:30:00.123456789Z","i":96921,"x":"D","p":126.55,"s":100,"c":["@","I"],"z":"C"}"#;
    let trade = Tick::from_json(TRADE).unwrap();
    let tick = |n: usize| Tick { symbol: symbol(n * 7 % scene.symbols), ..trade.clone() };
    (first..first + scene.ticks_per_turn).map(tick).collect()
}

/// A shard, and the router's part of its turns.
struct Rig {
    scene: Scene,
    shard: Shard,
    sequencer: Sequencer,
    frame: FrameBuf,
    ticked: usize,
}

impl Rig {
    fn new(scene: Scene, encoding: Encoding) -> Self {
        let limits = Limits {
            feeds: 1,
            names_per_session: 1_000,
            names: 1_000_000,
            waiting_topics: 10_000,
            backlog_ticks: 500_000,
            backlogs_ticks: u64::MAX,
            controls_bytes: usize::MAX,
            backlog_age_ns: 10_000_000_000,
            message_bytes: 65_535,
        };
        let mut rig = Self {
            scene,
            shard: Shard::new(limits, Position::FIRST),
            sequencer: Sequencer::new(scene.symbols, 1),
            frame: FrameBuf::default(),
            ticked: 0,
        };
        for number in 0..scene.sessions {
            let id = rig.shard.open(FEED, encoding);
            let mut wanted = Subscription { snapshot: Some(false), ..Subscription::default() };
            let first = number * scene.names_per_session;
            let names = first..first + scene.names_per_session;
            wanted.names[Channel::Trades].symbols =
                names.map(|n| symbol(n % scene.symbols)).collect();
            rig.shard.command(id, &Command::Subscribe(wanted));
        }
        rig.write();
        rig
    }

    fn batch(&mut self) -> Arc<Batch> {
        self.sequencer.take(FEED, ticks(&self.scene, self.ticked));
        self.ticked += self.scene.ticks_per_turn;
        Arc::new(self.sequencer.batch(UnixNanos(1)).unwrap())
    }

    fn apply(&mut self, batch: Arc<Batch>) {
        self.shard.begin_turn(batch.received(), batch.first());
        self.shard.apply(batch);
    }

    fn write(&mut self) {
        for id in self.shard.take_ready() {
            self.write_session(id);
        }
    }

    fn write_session(&mut self, id: SessionId) {
        while let NextWrite::Frames { .. } = self.shard.next_write(id, &mut self.frame) {
            black_box(self.frame.frame());
        }
    }

    /// Ticks delivered in a turn: how many sessions want each.
    fn deliveries(&mut self) -> u64 {
        let before = self.shard.stats().ticks_delivered;
        let batch = self.batch();
        self.apply(batch);
        self.write();
        self.shard.stats().ticks_delivered - before
    }

    /// Runs whole turns and times some phases of them.
    fn bench(&mut self, bencher: &mut Bencher<'_>, phases: &[Phase]) {
        bencher.iter_custom(|turns| {
            let mut total = Duration::ZERO;
            for _ in 0..turns {
                let batch = self.batch();
                let began = Instant::now();
                self.apply(batch);
                let applied = Instant::now();
                self.write();
                let written = Instant::now();
                for phase in phases {
                    total += match phase {
                        Phase::Apply => applied - began,
                        Phase::Write => written - applied,
                    };
                }
            }
            total
        });
    }
}

/// Per tick: topic, numbers and a place in the batch.
fn sequencer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sequencer");
    let mut sequencer = Sequencer::new(BOARD.symbols, 1);
    group.throughput(Throughput::Elements(BOARD.ticks_per_turn as u64));
    group.bench_function("board", |bencher| {
        bencher.iter_batched(
            || ticks(&BOARD, 0),
            |ticks| {
                sequencer.take(FEED, ticks);
                sequencer.batch(UnixNanos(1))
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// Per delivery: what a batch costs before anything is written. `unwanted` is per tick.
fn apply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply");
    for (name, scene) in [("hot-1000", HOT), ("hot-10000", CROWD), ("board", BOARD)] {
        let mut rig = Rig::new(scene, Encoding::MsgpackArray);
        group.throughput(Throughput::Elements(rig.deliveries()));
        group.bench_function(name, |bencher| rig.bench(bencher, &[Phase::Apply]));
    }
    let mut rig = Rig::new(Scene { sessions: 0, ..BOARD }, Encoding::MsgpackArray);
    group.throughput(Throughput::Elements(BOARD.ticks_per_turn as u64));
    group.bench_function("unwanted", |bencher| rig.bench(bencher, &[Phase::Apply]));
    group.finish();
}

/// Per frame: from so many pending ticks to one message. The first session also has the batch
/// encoded, for all of them.
fn next_write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("next_write");
    for pending in [1, 100] {
        let scene = Scene { ticks_per_turn: pending, ..HOT };
        let mut rig = Rig::new(scene, Encoding::MsgpackArray);
        group.throughput(Throughput::Elements(scene.sessions as u64));
        group.bench_function(format!("{pending}-pending"), |bencher| {
            rig.bench(bencher, &[Phase::Write]);
        });
    }
    group.finish();
}

/// Per delivery: a whole turn.
fn turn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("turn");
    for (name, scene) in [("hot-1000", HOT), ("hot-10000", CROWD), ("board", BOARD)] {
        for (encoding_name, encoding) in ENCODINGS {
            let mut rig = Rig::new(scene, encoding);
            group.throughput(Throughput::Elements(rig.deliveries()));
            group.bench_function(format!("{name}/{encoding_name}"), |bencher| {
                rig.bench(bencher, &[Phase::Apply, Phase::Write]);
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = sequencer, apply, next_write, turn
}
criterion_main!(benches);
