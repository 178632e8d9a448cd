//! The fan-out core without sockets: ticks are numbered, a batch goes in, frames for every session
//! come out. Times are per delivery, per frame or per tick, as each group says.
#![expect(clippy::disallowed_methods, reason = "one phase of a turn is timed by hand")]

use std::time::{Duration, Instant};

use criterion::{BatchSize, Bencher, Criterion, Throughput, criterion_group, criterion_main};
use tickwire_benches::{FEED, RouterRig, Scene, ShardRig};
use tickwire_hub::fanout::Sequencer;
use tickwire_protocol::{Encoding, UnixNanos};

const ENCODINGS: [(&str, Encoding); 2] =
    [("msgpack", Encoding::MsgpackArray), ("json", Encoding::Json)];

/// How many symbols tick, where that must make no difference.
const SYMBOLS: [usize; 3] = [1, 1_000, 100_000];

/// The parts of a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Apply,
    Write,
}

/// Ticks delivered in a turn: how many sessions want each.
fn deliveries(rig: &mut ShardRig) -> u64 {
    let before = rig.delivered();
    let batch = rig.batch();
    rig.apply(batch);
    rig.write();
    rig.delivered() - before
}

/// Runs whole turns and times some phases of them.
fn bench(rig: &mut ShardRig, bencher: &mut Bencher<'_>, phases: &[Phase]) {
    bencher.iter_custom(|turns| {
        let mut total = Duration::ZERO;
        for _ in 0..turns {
            let batch = rig.batch();
            let began = Instant::now();
            rig.apply(batch);
            let applied = Instant::now();
            rig.write();
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

/// Per tick: topic, numbers and a place in the batch.
fn sequencer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sequencer");
    let mut sequencer = Sequencer::new(Scene::BOARD.symbols, 1);
    group.throughput(Throughput::Elements(Scene::BOARD.ticks_per_turn as u64));
    group.bench_function("board", |bencher| {
        bencher.iter_batched(
            || Scene::BOARD.ticks(0),
            |ticks| {
                sequencer.take(FEED, ticks);
                sequencer.batch(UnixNanos(1))
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// Per tick: a whole turn of the router, with a log that drops as much as it takes.
fn router(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("router");
    for symbols in SYMBOLS {
        let scene = Scene::unwanted(symbols);
        let mut rig = RouterRig::new(scene);
        group.throughput(Throughput::Elements(scene.ticks_per_turn as u64));
        group.bench_function(format!("{symbols}-symbols"), |bencher| {
            let mut ticked = 0;
            let next = || {
                ticked += scene.ticks_per_turn;
                scene.ticks(ticked)
            };
            bencher.iter_batched(next, |ticks| rig.turn(ticks), BatchSize::SmallInput);
        });
    }
    group.finish();
}

/// Per delivery: what a batch costs before anything is written. `unwanted` is per tick.
fn apply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply");
    for (name, scene) in
        [("hot-1000", Scene::HOT), ("hot-10000", Scene::CROWD), ("board", Scene::BOARD)]
    {
        let mut rig = ShardRig::new(scene, Encoding::MsgpackArray);
        group.throughput(Throughput::Elements(deliveries(&mut rig)));
        group.bench_function(name, |bencher| bench(&mut rig, bencher, &[Phase::Apply]));
    }
    for symbols in SYMBOLS {
        let scene = Scene::unwanted(symbols);
        let mut rig = ShardRig::new(scene, Encoding::MsgpackArray);
        group.throughput(Throughput::Elements(scene.ticks_per_turn as u64));
        group.bench_function(format!("unwanted-{symbols}"), |bencher| {
            bench(&mut rig, bencher, &[Phase::Apply]);
        });
    }
    group.finish();
}

/// Per delivery: four bytes on a backlog that has to grow, since its session takes nothing while 6,400
/// ticks come. That it then takes all of them is not timed.
fn backlog_push(criterion: &mut Criterion) {
    const STALLED_TURNS: u64 = 100;
    let mut group = criterion.benchmark_group("backlog_push");
    let mut rig = ShardRig::new(Scene::HOT, Encoding::MsgpackArray);
    group.throughput(Throughput::Elements(deliveries(&mut rig)));
    group.bench_function("stalled-1000", |bencher| {
        bencher.iter_custom(|turns| {
            let mut total = Duration::ZERO;
            for turn in 1..=turns {
                let batch = rig.batch();
                let began = Instant::now();
                rig.apply(batch);
                total += began.elapsed();
                if turn % STALLED_TURNS == 0 {
                    rig.write();
                }
            }
            rig.write();
            total
        });
    });
    group.finish();
}

/// Per frame: from so many pending ticks to one message. The first session also has the batch
/// encoded, for all of them.
fn next_write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("next_write");
    for pending in [1, 100] {
        let scene = Scene { ticks_per_turn: pending, ..Scene::HOT };
        let mut rig = ShardRig::new(scene, Encoding::MsgpackArray);
        group.throughput(Throughput::Elements(scene.sessions as u64));
        group.bench_function(format!("{pending}-pending"), |bencher| {
            bench(&mut rig, bencher, &[Phase::Write]);
        });
    }
    group.finish();
}

/// Per delivery: a whole turn.
fn turn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("turn");
    for (name, scene) in
        [("hot-1000", Scene::HOT), ("hot-10000", Scene::CROWD), ("board", Scene::BOARD)]
    {
        for (encoding_name, encoding) in ENCODINGS {
            let mut rig = ShardRig::new(scene, encoding);
            group.throughput(Throughput::Elements(deliveries(&mut rig)));
            group.bench_function(format!("{name}/{encoding_name}"), |bencher| {
                bench(&mut rig, bencher, &[Phase::Apply, Phase::Write]);
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
    targets = sequencer, router, apply, backlog_push, next_write, turn
}
criterion_main!(benches);
