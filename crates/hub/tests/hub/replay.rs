//! Recorded ticks from files to subscribers: each exactly once, in order and unchanged.

use std::path::PathBuf;
use std::sync::Arc;

use tickwire_feeder::{
    Pace, Progress, PublisherConfig, Replay, ReplayConfig, Source, Speed, publish,
};
use tickwire_protocol::{Encoding, Seq, Tick};
use tokio_util::sync::CancellationToken;

use crate::kit::{Client, TestHub};

fn excerpt() -> Replay {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../feeder/tests/data");
    let files = ["trades.csv.gz", "quotes.csv.gz"].map(|name| data.join(name));
    Replay::open(ReplayConfig { files: files.into(), ..ReplayConfig::default() }).unwrap()
}

/// Returns the expected ticks: those of the source, numbered by topic.
fn expected() -> Vec<Tick> {
    let mut source = excerpt();
    let mut seqs = std::collections::HashMap::new();
    let mut ticks = Vec::new();
    while let Some(mut tick) = source.next_tick().unwrap() {
        let seq: &mut u64 = seqs.entry((tick.channel().name(), tick.symbol)).or_default();
        *seq += 1;
        tick.seq = Seq(*seq);
        ticks.push(tick);
    }
    ticks
}

#[test]
fn replayed_files_reach_subscribers_of_both_encodings_unchanged() {
    let hub = TestHub::default();
    let mut clients =
        [Encoding::Json, Encoding::MsgpackArray].map(|encoding| Client::session(&hub, encoding));
    for client in &mut clients {
        client.subscribe(
            r#""trades":["XXX"],"quotes":["XXX"],"corrections":["XXX"],"cancelErrors":["*"]"#,
        );
    }
    let target = PublisherConfig {
        message_ticks_max: 37,
        ..PublisherConfig::new(format!("ws://{}", hub.address).parse().unwrap())
    };
    let pace = Pace { speed: Speed::Max, restamp: false };
    let published =
        publish(excerpt(), pace, target, CancellationToken::new(), Arc::new(Progress::default()));
    let counts = hub.block_on(published).unwrap();
    let expected = expected();
    assert!(expected.len() > 400, "{}", expected.len());
    assert_eq!(counts.ticks, expected.len() as u64);
    for client in &mut clients {
        assert_eq!(client.take(expected.len()), expected);
        client.nothing_pending();
    }
}
