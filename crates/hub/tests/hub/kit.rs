//! Test support: a hub in this process, and clients that write raw frames, so that they can also
//! send invalid ones.

mod client;
mod http;
mod keys_file;
mod publisher;
mod tunnel;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tickwire_hub::{Config, Hub};
use tickwire_protocol::{
    CancelError, Conditions, Correction, Price, Quote, Seq, Symbol, Text, Tick, TickData, Trade,
    UnixNanos,
};
use tokio::runtime::Runtime;

pub(crate) use client::{Client, Event, Reader, caught_up};
pub(crate) use http::{Response, exchange, read_response, upgrade_request};
pub(crate) use keys_file::{KeysFile, key_header};
pub(crate) use publisher::{Publisher, data_message};
pub(crate) use tickwire_testkit::frames::{OPEN_BINARY, OPEN_TEXT, masked};
pub(crate) use tickwire_testkit::{PATIENCE, until};
pub(crate) use tunnel::{tls_client, tls_file};

/// A hub on a free port with its own runtime. Dropping it shuts it down.
pub(crate) struct TestHub {
    runtime: Runtime,
    hub: Option<Hub>,
    pub(crate) address: SocketAddr,
    /// Address of the hub without the TLS tunnel.
    pub(crate) direct: SocketAddr,
    /// A token for the metrics of a hub with keys.
    admin_token: Option<String>,
}

/// Returns the default limits on a free port, with a short drain. Nothing happens because time
/// passes: no reader is slow, no session silent and no feed stale, however busy the machine is.
pub(crate) fn config() -> Config {
    const HOUR: Duration = Duration::from_secs(3_600);
    const MINUTE: Duration = Duration::from_secs(60);
    Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        shards: 2,
        test_feed: false,
        drain_duration: Duration::from_secs(1),
        backlog_age_max: HOUR,
        ping_interval: HOUR,
        idle_timeout: 2 * HOUR,
        heartbeat_interval: HOUR,
        feed_stale_after: HOUR,
        handshake_timeout: MINUTE,
        auth_timeout: MINUTE,
        metrics_age_max: Duration::ZERO,
        ..Config::default()
    }
}

/// Returns a hub that closes all sessions at once at shutdown and gives them unlimited time to
/// read.
pub(crate) fn patient() -> Config {
    Config { drain_duration: Duration::ZERO, slow_grace: Duration::from_secs(60), ..config() }
}

impl TestHub {
    /// Starts a hub. With `TICKWIRE_TEST_TLS` set, connections of the tests use TLS.
    pub(crate) fn start(config: Config) -> Self {
        if std::env::var_os("TICKWIRE_TEST_TLS").is_some() {
            Self::start_encrypted(config)
        } else {
            Self::start_plain(config)
        }
    }

    /// Starts a hub behind a TLS tunnel.
    pub(crate) fn start_encrypted(config: Config) -> Self {
        let file = |name| Some(tls_file(name));
        let tls_cert = config.tls_cert.clone().or_else(|| file("first.pem"));
        let tls_key = config.tls_key.clone().or_else(|| file("first.key"));
        let mut hub = Self::start_plain(Config { tls_cert, tls_key, ..config });
        hub.address = hub.runtime.block_on(tunnel::open_tunnel(hub.address));
        hub
    }

    /// Starts a hub without a tunnel.
    pub(crate) fn start_plain(config: Config) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let default_token = config.keys.as_ref().map(|_| "token-of-the-tests".to_owned());
        let admin_token = config.admin_token.clone().or(default_token);
        let config = Config { admin_token: admin_token.clone(), ..config };
        let hub = runtime.block_on(Hub::start(config)).unwrap();
        let address = hub.address();
        Self { runtime, hub: Some(hub), address, direct: address, admin_token }
    }

    pub(crate) fn default() -> Self {
        Self::start(config())
    }

    /// Starts the shutdown. Joining the handle waits for its end.
    pub(crate) fn begin_shutdown(&mut self) -> tokio::task::JoinHandle<()> {
        self.runtime.spawn(self.hub.take().unwrap().shutdown())
    }

    /// Waits for a drain request.
    pub(crate) fn drain_requested(&self) {
        let hub = self.hub.as_ref().unwrap();
        let asked = async { tokio::time::timeout(PATIENCE, hub.drain_requested()).await };
        self.runtime.block_on(asked).unwrap();
    }

    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], "")
    }

    /// Returns the JSON body of a request, which must succeed.
    pub(crate) fn json(&self, path: &str) -> serde_json::Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
        serde_json::from_str(&answer.body).unwrap()
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Response {
        self.request("POST", path, &[], body)
    }

    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        http::request(self.address, method, path, headers, body)
    }

    /// Returns a value of `/metrics`, such as `tickwire_closes_total{reason="silent"}`.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let token = self.admin_token.as_ref().map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = token.iter().map(|token| ("Authorization", token.as_str())).collect();
        let text = self.request("GET", "/metrics", &headers, "").body;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("no {series} in:\n{text}"));
        value.parse().unwrap()
    }

    pub(crate) fn closes(&self, reason: &str) -> u64 {
        self.metric(&format!("tickwire_closes_total{{reason=\"{reason}\"}}"))
    }

    pub(crate) fn refused(&self, reason: &str) -> u64 {
        self.metric(&format!("tickwire_refused_total{{reason=\"{reason}\"}}"))
    }

    /// Waits until a metric has this value.
    pub(crate) fn until_metric(&self, series: &str, expected: u64) {
        until(&format!("{series} = {expected}"), || self.metric(series) == expected);
    }
}

impl Drop for TestHub {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.take()
            && !std::thread::panicking()
        {
            self.runtime.block_on(hub.shutdown());
        }
    }
}

/// Sets its flag when dropped, so that threads end even if the test fails.
pub(crate) struct Stop<'a>(pub(crate) &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[expect(clippy::disallowed_methods, reason = "tests measure and wait in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Returns the config of a hub that keeps few ticks in memory.
pub(crate) fn forgetful() -> Config {
    Config {
        log_ticks: 1_000,
        ingest_ticks_max: 1_000,
        backlog_ticks_max: 1_000,
        publish_ticks_max: 1_000,
        bars: false,
        ..config()
    }
}

/// Returns a trade that is identified by its id.
pub(crate) fn trade(symbol: &str, id: u64) -> Tick {
    let trade = Trade {
        id,
        exchange: Text::new("V").unwrap(),
        price: Price::from_nanos(100_000_000_000 + i64::try_from(id % 1000).unwrap() * 10_000_000)
            .unwrap(),
        size: 100 + id % 7,
        conditions: Conditions::new(["@", "I"]).unwrap(),
        tape: Text::new("C").unwrap(),
    };
    tick(symbol, TickData::Trade(trade))
}

/// Returns a quote that is identified by its bid size.
pub(crate) fn quote(symbol: &str, bid_size: u64) -> Tick {
    let quote = Quote {
        bid_exchange: Text::new("V").unwrap(),
        bid: Price::from_f64(99.5).unwrap(),
        bid_size,
        ask_exchange: Text::new("Q").unwrap(),
        ask: Price::from_f64(100.5).unwrap(),
        ask_size: 3,
        conditions: Conditions::new(["R"]).unwrap(),
        tape: Text::new("C").unwrap(),
    };
    tick(symbol, TickData::Quote(quote))
}

/// Returns a correction that is identified by the id of its trade.
pub(crate) fn correction(symbol: &str, original_id: u64) -> Tick {
    let correction = Correction { original_id, ..Correction::default() };
    tick(symbol, TickData::Correction(Box::new(correction)))
}

/// Returns a cancel that is identified by the id of its trade.
pub(crate) fn cancel(symbol: &str, id: u64) -> Tick {
    tick(symbol, TickData::CancelError(Box::new(CancelError { id, ..CancelError::default() })))
}

/// Returns the sequence numbers of ticks.
pub(crate) fn seqs<'a>(ticks: impl IntoIterator<Item = &'a Tick>) -> Vec<u64> {
    ticks.into_iter().map(|tick| tick.seq.0).collect()
}

fn tick(symbol: &str, data: TickData) -> Tick {
    let symbol = Symbol::new(symbol).unwrap();
    Tick { symbol, seq: Seq(0), time: UnixNanos(1_767_364_200_123_456_789), data }
}

/// Returns the id of a trade.
pub(crate) fn id_of(tick: &Tick) -> u64 {
    match &tick.data {
        TickData::Trade(trade) => trade.id,
        other => panic!("not a trade: {other:?}"),
    }
}

/// Returns `count` different symbols.
pub(crate) fn symbols(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("S{number}")).collect()
}
