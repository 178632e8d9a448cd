//! The fan-out core without sockets: numbers ticks, takes in a batch and builds frames for every
//! session. Times are per delivery, per frame or per tick, as documented at each group.
#![expect(clippy::disallowed_methods, reason = "one phase of a turn is timed by hand")]

use std::time::{Duration, Instant};

use criterion::{BatchSize, Bencher, Criterion, Throughput, criterion_group, criterion_main};
use tickwire_benches::{FEED, RouterHarness, ShardHarness, Workload};
use tickwire_hub::fanout::Sequencer;
use tickwire_protocol::{Encoding, UnixNanos};

const ENCODINGS: [(&str, Encoding); 2] =
    [("msgpack", Encoding::MsgpackArray), ("json", Encoding::Json)];

/// Numbers of symbols for cases whose time must not depend on them.
const SYMBOLS: [usize; 3] = [1, 1_000, 100_000];

/// A part of a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Apply,
    Write,
}

/// Runs a turn and returns how many ticks it delivered, counted once for each session.
fn deliveries(harness: &mut ShardHarness) -> u64 {
    let before = harness.delivered();
    let batch = harness.batch();
    harness.apply(batch);
    harness.write();
    harness.delivered() - before
}

/// Runs whole turns and measures the time of the given phases.
fn bench(harness: &mut ShardHarness, bencher: &mut Bencher<'_>, phases: &[Phase]) {
    bencher.iter_custom(|turns| {
        let mut total = Duration::ZERO;
        for _ in 0..turns {
            let batch = harness.batch();
            let began = Instant::now();
            harness.apply(batch);
            let applied = Instant::now();
            harness.write();
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

/// Per tick: finds the topic, assigns the numbers and appends to the batch.
fn sequencer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sequencer");
    let mut sequencer = Sequencer::new(Workload::BOARD.symbols, 1);
    group.throughput(Throughput::Elements(Workload::BOARD.ticks_per_turn as u64));
    group.bench_function("board", |bencher| {
        bencher.iter_batched(
            || Workload::BOARD.ticks(0),
            |ticks| {
                sequencer.take(FEED, ticks);
                sequencer.batch(UnixNanos(1))
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// Per tick: a whole turn of the router, with a full log.
fn router(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("router");
    for symbols in SYMBOLS {
        let workload = Workload::unwanted(symbols);
        let mut harness = RouterHarness::new(workload);
        group.throughput(Throughput::Elements(workload.ticks_per_turn as u64));
        group.bench_function(format!("{symbols}-symbols"), |bencher| {
            let mut ticked = 0;
            let next = || {
                ticked += workload.ticks_per_turn;
                workload.ticks(ticked)
            };
            bencher.iter_batched(next, |ticks| harness.turn(ticks), BatchSize::SmallInput);
        });
    }
    group.finish();
}

/// Per delivery: a turn that writes nothing. `unwanted` is per tick.
fn apply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply");
    for (name, workload) in [
        ("hot-1000", Workload::HOT_1000),
        ("hot-10000", Workload::HOT_10000),
        ("board", Workload::BOARD),
    ] {
        let mut harness = ShardHarness::new(workload, Encoding::MsgpackArray);
        group.throughput(Throughput::Elements(deliveries(&mut harness)));
        group.bench_function(name, |bencher| bench(&mut harness, bencher, &[Phase::Apply]));
    }
    for symbols in SYMBOLS {
        let workload = Workload::unwanted(symbols);
        let mut harness = ShardHarness::new(workload, Encoding::MsgpackArray);
        group.throughput(Throughput::Elements(workload.ticks_per_turn as u64));
        group.bench_function(format!("unwanted-{symbols}"), |bencher| {
            bench(&mut harness, bencher, &[Phase::Apply]);
        });
    }
    group.finish();
}

/// Per delivery: appends to a growing backlog, since its session reads nothing for 6,400 ticks. The
/// write that then empties the backlog is not measured.
fn backlog_push(criterion: &mut Criterion) {
    const STALLED_TURNS: u64 = 100;
    let mut group = criterion.benchmark_group("backlog_push");
    let mut harness = ShardHarness::new(Workload::HOT_1000, Encoding::MsgpackArray);
    group.throughput(Throughput::Elements(deliveries(&mut harness)));
    group.bench_function("stalled-1000", |bencher| {
        bencher.iter_custom(|turns| {
            let mut total = Duration::ZERO;
            for turn in 1..=turns {
                let batch = harness.batch();
                let began = Instant::now();
                harness.apply(batch);
                total += began.elapsed();
                if turn % STALLED_TURNS == 0 {
                    harness.write();
                }
            }
            harness.write();
            total
        });
    });
    group.finish();
}

/// Per frame: builds a message of 1 or 100 pending ticks. The first session also encodes the batch,
/// for all sessions.
fn next_write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("next_write");
    for pending in [1, 100] {
        let workload = Workload { ticks_per_turn: pending, ..Workload::HOT_1000 };
        let mut harness = ShardHarness::new(workload, Encoding::MsgpackArray);
        group.throughput(Throughput::Elements(workload.sessions as u64));
        group.bench_function(format!("{pending}-pending"), |bencher| {
            bench(&mut harness, bencher, &[Phase::Write]);
        });
    }
    group.finish();
}

/// Per delivery: a whole turn.
fn turn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("turn");
    for (name, workload) in [
        ("hot-1000", Workload::HOT_1000),
        ("hot-10000", Workload::HOT_10000),
        ("board", Workload::BOARD),
    ] {
        for (encoding_name, encoding) in ENCODINGS {
            let mut harness = ShardHarness::new(workload, encoding);
            group.throughput(Throughput::Elements(deliveries(&mut harness)));
            group.bench_function(format!("{name}/{encoding_name}"), |bencher| {
                bench(&mut harness, bencher, &[Phase::Apply, Phase::Write]);
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
