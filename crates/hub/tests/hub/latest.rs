//! Delivery `latest`: only the newest tick of a topic, when the session can accept it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tickwire_hub::Config;
use tickwire_protocol::{Channel, Encoding, Tick};

use crate::kit::{
    Client, Event, PATIENCE, Publisher, Reader, Stop, TestHub, cancel, config, correction, now,
    patient, seqs, symbols, trade, until,
};

/// Returns one trade of each symbol.
fn round(symbols: &[String], id: u64) -> Vec<Tick> {
    symbols.iter().map(|symbol| trade(symbol, id)).collect()
}

/// Subscribes without a snapshot, and waits for the ack.
fn latest(client: &mut Client, names: &str, rate: &str) {
    client.subscribe(&format!(r#"{names},"delivery":"latest"{rate}"#));
}

/// The newest value of each symbol, and the number of values received.
#[derive(Default)]
struct Values {
    last: BTreeMap<String, u64>,
    count: BTreeMap<String, u64>,
}

impl Values {
    fn take(&mut self, ticks: &[Tick]) {
        for tick in ticks {
            let symbol = tick.symbol.to_string();
            *self.count.entry(symbol.clone()).or_default() += 1;
            let before = self.last.insert(symbol, tick.seq.0);
            assert!(before < Some(tick.seq.0), "{} after {before:?}", tick.seq.0);
        }
    }

    /// Returns whether each of `symbols` symbols has reached this number.
    fn are_all(&self, symbols: usize, newest: u64) -> bool {
        self.last.len() == symbols && self.last.values().all(|seq| *seq == newest)
    }

    fn ticks(&self) -> u64 {
        self.count.values().sum()
    }
}

/// The hub and this test read the same clock. A period overlaps at most two send intervals more
/// than its length, and a topic is sent once in each.
#[test]
fn newest_values_arrive_at_the_requested_rate() {
    let ways = [
        (Encoding::Json, r#""trades":["*"]"#),
        (Encoding::MsgpackArray, r#""trades":["S0","S1","S2"]"#),
    ];
    for (encoding, asked) in ways {
        let hub = TestHub::default();
        let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
        let names = symbols(3);
        let mut client = Client::session(&hub, encoding);
        let began = now();
        latest(&mut client, asked, r#","max_rate":20"#);
        let stop = AtomicBool::new(false);
        let mut values = Values::default();
        let published = std::thread::scope(|scope| {
            let publishing = scope.spawn(|| {
                let mut rounds = 0;
                while !stop.load(Ordering::Relaxed) {
                    rounds += 1;
                    publisher.publish(&round(&names, rounds));
                }
                rounds
            });
            let stopping = Stop(&stop);
            while values.count.values().min().is_none_or(|count| *count < 12) {
                values.take(&client.data());
            }
            drop(stopping);
            publishing.join().unwrap()
        });
        while !values.are_all(3, published) {
            values.take(&client.data());
        }
        let slots = began.elapsed().as_millis() / 50 + 2;
        for (symbol, count) in &values.count {
            assert!(u128::from(*count) <= slots, "{symbol}: {count} in {slots} slots");
        }
        client.nothing_pending();
        hub.until_metric("tickwire_ticks_delivered_total", values.ticks());
        hub.until_metric("tickwire_ticks_conflated_total", 3 * published - values.ticks());
    }
}

#[test]
fn all_due_values_leave_in_one_message() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut client = Client::msgpack(&hub);
    latest(&mut client, r#""trades":["*"]"#, r#","max_rate":5"#);
    let names = symbols(200);
    for rounds in 1..=3 {
        publisher.publish(&round(&names, rounds));
        let slot = client.data();
        assert_eq!(slot.len(), 200);
        assert!(slot.iter().all(|tick| tick.seq.0 == rounds));
    }
}

#[test]
fn without_a_rate_a_fast_reader_receives_every_value() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    for encoding in [Encoding::Json, Encoding::MsgpackArray] {
        let mut client = Client::session(&hub, encoding);
        latest(&mut client, r#""trades":["AAPL"]"#, "");
        let first = hub.metric("tickwire_ticks_in_total") + 1;
        for expected in first..first + 100 {
            publisher.publish(&[trade("AAPL", expected)]);
            assert_eq!(seqs(&client.data()), [expected]);
        }
    }
    assert_eq!(hub.metric("tickwire_ticks_conflated_total"), 0);
}

/// Limits that an `every` session would exceed many times over.
fn strict() -> Config {
    Config {
        backlog_ticks_max: 1_000,
        backlog_age_max: Duration::from_millis(200),
        slow_grace: Duration::from_millis(100),
        shards: 1,
        ..config()
    }
}

/// Publishes rounds until enough ticks were conflated and the allowed age has passed several times.
/// Returns the number of rounds.
fn publish_over(hub: &TestHub, publisher: &mut Publisher, names: &[String], ticks: u64) -> u64 {
    let began = now();
    let mut rounds = 0;
    while hub.metric("tickwire_ticks_conflated_total") < ticks
        || began.elapsed() < Duration::from_secs(1)
    {
        assert!(began.elapsed() < PATIENCE, "never stalled");
        for _ in 0..50 {
            rounds += 1;
            publisher.send(&round(names, rounds));
        }
        publisher.settle();
    }
    rounds
}

/// Generous bound for the bytes that the kernel holds of an unread connection. Its buffers grow
/// only for readers that have been fast before, which these have not.
const HELD_BYTES_MAX: u64 = 1 << 20;

#[test]
fn stalled_latest_reader_stays_open_and_receives_the_newest_values() {
    for encoding in [Encoding::Json, Encoding::MsgpackArray] {
        let hub = TestHub::start(strict());
        let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
        let names = symbols(100);
        let mut client = Client::session(&hub, encoding);
        latest(&mut client, r#""trades":["*"]"#, "");
        let rounds = publish_over(&hub, &mut publisher, &names, 100_000);
        assert_eq!(hub.closes("slow_client"), 0);
        assert_eq!(hub.metric("tickwire_backlog_ticks"), 0);
        let held = hub.metric("tickwire_bytes_total");
        assert!(held <= HELD_BYTES_MAX, "{held} bytes");

        let mut values = Values::default();
        while !values.are_all(100, rounds) {
            values.take(&client.data());
        }
        client.nothing_pending();
        hub.until_metric("tickwire_ticks_delivered_total", values.ticks());
        let published = 100 * rounds;
        hub.until_metric("tickwire_ticks_conflated_total", published - values.ticks());
        let read = hub.metric("tickwire_bytes_total");
        assert!(read <= 2 * HELD_BYTES_MAX, "{read} bytes to read");
    }
}

#[test]
fn stalled_latest_reader_does_not_delay_other_sessions() {
    let mut hub = TestHub::start(Config { backlog_ticks_max: 500_000, ..strict() });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let names = symbols(20);
    let stalled: Vec<_> = (0..5)
        .map(|number| {
            let mut client = Client::msgpack(&hub);
            latest(&mut client, r#""trades":["*"]"#, ["", r#","max_rate":1000"#][number % 2]);
            client
        })
        .collect();
    let readers: Vec<_> = (0..5)
        .map(|_| {
            let mut client = Client::msgpack(&hub);
            client.subscribe(r#""trades":["S7"]"#);
            Reader::start(client)
        })
        .collect();
    let rounds = publish_over(&hub, &mut publisher, &names, 100_000);
    assert_eq!(hub.metric("tickwire_sessions"), 10);
    drop(stalled);
    let ended = hub.begin_shutdown();
    for reader in readers {
        let (last, end) = reader.join();
        assert_eq!(last, rounds);
        assert!(end.retry_ms().is_some(), "{end:?}");
    }
    drop(publisher);
    hub.block_on(ended).unwrap();
}

#[test]
fn corrections_and_cancels_are_never_conflated() {
    let hub = TestHub::default();
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut client = Client::msgpack(&hub);
    let names = r#""trades":["*"],"corrections":["*"],"cancelErrors":["AAPL"]"#;
    latest(&mut client, names, r#","max_rate":0.1"#);
    for id in 0..200 {
        publisher.publish(&[trade("AAPL", id), correction("AAPL", id), cancel("AAPL", id)]);
    }
    let mut came: BTreeMap<Channel, Vec<u64>> = BTreeMap::new();
    let of = |channel: Channel, came: &BTreeMap<Channel, Vec<u64>>| {
        came.get(&channel).map_or(0, Vec::len)
    };
    while of(Channel::Corrections, &came) < 200 || of(Channel::CancelErrors, &came) < 200 {
        for tick in client.data() {
            came.entry(tick.channel()).or_default().push(tick.seq.0);
        }
    }
    let all: Vec<u64> = (1..=200).collect();
    assert_eq!(came[&Channel::Corrections], all);
    assert_eq!(came[&Channel::CancelErrors], all);
    assert!(of(Channel::Trades, &came) < 100, "trades are sent once in ten seconds");
}

/// Send times are ten seconds apart, and the hub shuts down earlier.
#[test]
fn pending_latest_values_are_sent_at_shutdown() {
    for encoding in [Encoding::Json, Encoding::MsgpackArray] {
        let mut hub = TestHub::start(patient());
        let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
        let mut client = Client::session(&hub, encoding);
        latest(&mut client, r#""trades":["*"]"#, r#","max_rate":0.1"#);
        let names = symbols(2_000); // more than one message
        (1..=3).for_each(|rounds| publisher.publish(&round(&names, rounds)));
        let ended = hub.begin_shutdown();
        let mut values = Values::default();
        let end = loop {
            match client.event() {
                Event::Ticks(ticks) => values.take(&ticks),
                end => break end,
            }
        };
        assert!(values.are_all(2_000, 3), "{:?}", values.last);
        assert!(end.retry_ms().is_some(), "{end:?}");
        client.send_close(1001);
        client.gone();
        drop(publisher);
        hub.block_on(ended).unwrap();
    }
}

/// A stalled `latest` session is detected by missing pongs only.
#[test]
fn stalled_latest_reader_without_pongs_is_dropped() {
    let hub = TestHub::start(Config {
        ping_interval: Duration::from_millis(100),
        idle_timeout: Duration::from_secs(4),
        ..strict()
    });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut client = Client::msgpack(&hub);
    latest(&mut client, r#""trades":["*"]"#, "");
    let names = symbols(100);
    publish_over(&hub, &mut publisher, &names, 10_000);
    until("dropped", || hub.closes("silent") == 1);
    client.gone();
}
