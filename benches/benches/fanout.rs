//! One turn of a shard without its sockets: a batch goes in, frames for every session come out.
#![expect(clippy::unwrap_used, reason = "a benchmark's own values")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tickwire_hub::fanout::{
    Batch, FeedId, FrameBuf, Limits, NextWrite, Position, Sequencer, SessionId, Shard,
};
use tickwire_protocol::{Channel, Command, Encoding, Subscription, Symbol, Tick, UnixNanos};

const SESSIONS: usize = 1_000;
const FEED: FeedId = FeedId(0);

/// What the sessions subscribe to and what ticks.
struct Scene {
    name: &'static str,
    symbols: usize,
    names_per_session: usize,
    ticks_per_turn: usize,
}

const SCENES: [Scene; 2] = [
    Scene { name: "hot", symbols: 1, names_per_session: 1, ticks_per_turn: 64 },
    Scene { name: "board", symbols: 500, names_per_session: 50, ticks_per_turn: 100 },
];

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

fn shard(scene: &Scene, encoding: Encoding) -> Shard {
    let limits = Limits {
        feeds: 1,
        names_per_session: 1_000,
        names: 1_000_000,
        waiting_topics: 10_000,
        backlog_ticks: 500_000,
        backlog_age_ns: 10_000_000_000,
        message_bytes: 65_535,
    };
    let mut shard = Shard::new(limits, Position::FIRST);
    for number in 0..SESSIONS {
        let id = shard.open(FEED, encoding);
        let mut wanted = Subscription { snapshot: Some(false), ..Subscription::default() };
        let first = number * scene.names_per_session;
        wanted.names[Channel::Trades].symbols =
            (first..first + scene.names_per_session).map(|n| symbol(n % scene.symbols)).collect();
        shard.command(id, &Command::Subscribe(wanted));
    }
    write_all(&mut shard, &mut FrameBuf::default());
    shard
}

fn write_all(shard: &mut Shard, frame: &mut FrameBuf) {
    for id in shard.take_ready() {
        write_session(shard, id, frame);
    }
}

fn write_session(shard: &mut Shard, id: SessionId, frame: &mut FrameBuf) {
    while let NextWrite::Frames { .. } = shard.next_write(id, frame) {
        black_box(frame.frame());
    }
}

fn turn(shard: &mut Shard, batch: Arc<Batch>, frame: &mut FrameBuf) {
    shard.begin_turn(batch.received(), batch.first());
    shard.apply(batch);
    write_all(shard, frame);
}

/// Ticks delivered in a turn: how many sessions want each.
fn deliveries(scene: &Scene, encoding: Encoding) -> u64 {
    let mut shard = shard(scene, encoding);
    let mut sequencer = Sequencer::new(scene.symbols, 1);
    sequencer.take(FEED, ticks(scene, 0));
    turn(&mut shard, Arc::new(sequencer.batch(UnixNanos(1)).unwrap()), &mut FrameBuf::default());
    shard.stats().ticks_delivered
}

fn fanout(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fanout");
    for scene in SCENES {
        for (encoding, name) in [(Encoding::MsgpackArray, "msgpack"), (Encoding::Json, "json")] {
            let mut shard = shard(&scene, encoding);
            let mut sequencer = Sequencer::new(scene.symbols, 1);
            let mut frame = FrameBuf::default();
            let mut ticked = 0;
            group.throughput(Throughput::Elements(deliveries(&scene, encoding)));
            group.bench_function(format!("{}/{name}", scene.name), |bencher| {
                bencher.iter_batched(
                    || {
                        sequencer.take(FEED, ticks(&scene, ticked));
                        ticked += scene.ticks_per_turn;
                        Arc::new(sequencer.batch(UnixNanos(1)).unwrap())
                    },
                    |batch| turn(&mut shard, batch, &mut frame),
                    BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, fanout);
criterion_main!(benches);
