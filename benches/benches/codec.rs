//! Encoding and decoding of a tick, for trades and quotes, which are nearly all traffic.
#![expect(clippy::unwrap_used, reason = "a benchmark's own values")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tickwire_protocol::{Encoding, MessageBuf, Tick, decode_ticks};

const TRADE: &[u8] = br#"{"T":"t","S":"AAPL","seq":1042,"t":"2026-01-02T14:30:00.123456789Z","i":96921,"x":"D","p":126.55,"s":100,"c":["@","I"],"z":"C"}"#;
const QUOTE: &[u8] = br#"{"T":"q","S":"MSFT","seq":77,"t":"2026-01-02T14:30:00.123456789Z","bx":"Q","bp":402.01,"bs":300,"ax":"V","ap":402.02,"as":700,"c":["R"],"z":"C"}"#;

fn cases() -> [(&'static str, Tick, Encoding); 6] {
    let trade = Tick::from_json(TRADE).unwrap();
    let quote = Tick::from_json(QUOTE).unwrap();
    [
        ("trade/msgpack", trade.clone(), Encoding::MsgpackArray),
        ("trade/json", trade.clone(), Encoding::Json),
        ("trade/map", trade, Encoding::MsgpackMap),
        ("quote/msgpack", quote.clone(), Encoding::MsgpackArray),
        ("quote/json", quote.clone(), Encoding::Json),
        ("quote/map", quote, Encoding::MsgpackMap),
    ]
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Elements(1));
    for (name, tick, encoding) in cases() {
        let mut out = Vec::with_capacity(4096);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                encoding.write_tick(black_box(&tick), &mut out);
                black_box(out.len())
            });
        });
    }
    group.finish();
}

/// Per tick: decodes messages of 100 ticks, like those of a publisher.
fn decode(criterion: &mut Criterion) {
    const TICKS: u16 = 100;
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(TICKS.into()));
    for (name, tick, encoding) in cases() {
        let mut message = MessageBuf::new(encoding);
        (0..TICKS).for_each(|_| message.push(&tick));
        let bytes = message.finish();
        group.bench_function(name, |bencher| {
            bencher.iter(|| decode_ticks(black_box(bytes), encoding));
        });
    }
    group.finish();
}

criterion_group!(benches, encode, decode);
criterion_main!(benches);
