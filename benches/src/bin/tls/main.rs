//! Measures the cost of TLS for a hub: memory per idle session and CPU time per delivered tick,
//! with and without TLS. The two hubs whose CPU time is compared run at the same time, so that
//! other load on the machine affects both.
#![expect(clippy::print_stdout, reason = "a command-line tool")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use futures_util::{SinkExt as _, StreamExt as _};
use tempfile::TempDir;
use tickwire_benches::processes::{Feeder, Hub, tickwire};
use tickwire_client::load::list_symbols;
use tickwire_client::{Channel, Feed};
use tickwire_feeder::Authorities;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
};

const EXAMPLES: &str = "\
Examples:
  cargo build --release -p tickwire -p tickwire-benches && target/release/tls";

/// Measures the cost of TLS for a hub: memory per idle session and CPU time per delivered tick.
#[derive(Debug, Parser)]
#[command(name = "tls", after_help = EXAMPLES)]
struct Options {
    /// The tickwire program [default: the one next to this program]
    tickwire: Option<PathBuf>,
}

/// Idle sessions for the measurement of memory.
const IDLE_SESSIONS: usize = 2_000;
/// Sessions for the measurement of CPU time, and symbols of each.
const BOARD_SESSIONS: usize = 500;
const NAMES: usize = 50;
/// Symbols of the market, and its rates in ticks per second. A write contains few ticks at the
/// lower rate and many at the higher one.
const SYMBOLS: usize = 500;
const RATES: [usize; 2] = [2_500, 25_000];
/// Metric with the number of delivered ticks.
const DELIVERED: &str = "tickwire_ticks_delivered_total";
/// How long the market runs before the measurement, and how long the measurement takes.
const WARMUP: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(15);

type Session = WebSocketStream<MaybeTlsStream<TcpStream>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let program = tickwire(Options::parse().tickwire.as_deref())?;
    let [plain, encrypted] =
        [idle(&program, false).await?, idle(&program, true).await?].map(|bytes| bytes / 1_024.0);
    println!("memory per idle session: {plain:.1} KiB, with TLS {encrypted:.1} KiB");
    for rate in RATES {
        let boards = [board(&program, false, rate).await?, board(&program, true, rate).await?];
        sleep(WARMUP).await;
        let mut before = Vec::new();
        for board in &boards {
            before.push((board.hub.cpu_time()?, board.hub.metric(DELIVERED).await?));
        }
        sleep(MEASURED).await;
        let mut cpu_per_tick_ns = Vec::new();
        for (board, (busy, delivered)) in boards.iter().zip(before) {
            let busy = board.hub.cpu_time()? - busy;
            let delivered = board.hub.metric(DELIVERED).await? - delivered;
            let per_second = delivered / MEASURED.as_secs_f64();
            let cost = busy.as_nanos() as f64 / delivered;
            println!("{rate} ticks/s in, {per_second:.0}/s out: {cost:.0} ns CPU per tick");
            cpu_per_tick_ns.push(cost);
        }
        println!("with TLS {:.2} ×", cpu_per_tick_ns[1] / cpu_per_tick_ns[0]);
    }
    Ok(())
}

/// Returns the memory of a subscribed session without traffic, in bytes.
async fn idle(program: &Path, encrypted: bool) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let hub = start(program, &folder).await?;
    let names: Vec<_> = (0..NAMES).map(|number| format!("S{number}")).collect();
    // The first sessions include what the hub allocates once.
    let mut sessions = open(&hub, encrypted, 100, |_| names.clone()).await?;
    let before = hub.memory_kib()?;
    sessions.extend(open(&hub, encrypted, IDLE_SESSIONS, |_| names.clone()).await?);
    sleep(Duration::from_secs(1)).await; // the hub frees the memory of the handshakes
    let grown = hub.memory_kib()?.saturating_sub(before);
    Ok(grown as f64 * 1_024.0 / IDLE_SESSIONS as f64)
}

/// A hub that delivers a simulated market to sessions, until it is dropped.
struct Board {
    hub: Hub,
    _feeder: Feeder,
    _readers: JoinSet<()>,
    _folder: TempDir,
}

async fn board(program: &Path, encrypted: bool, rate: usize) -> Result<Board> {
    let folder = tempfile::tempdir()?;
    let hub = start(program, &folder).await?;
    let symbols = SYMBOLS.to_string();
    let rate = rate.to_string();
    let address = format!("ws://{}", hub.address);
    let flags = ["--symbols", &symbols, "--rate", &rate, "--hub", &address].map(str::to_owned);
    let feeder = Feeder::start(program, &flags, folder.path().join("feeder.log"))?;
    sleep(WARMUP).await;
    let url = address.parse()?;
    let list = move || list_symbols(&url, &Feed::default(), None, None, &[Channel::Trades]);
    let known = tokio::task::spawn_blocking(list).await??.symbols;
    let names = |session: usize| {
        (0..NAMES).map(|name| known[(session * 7 + name) % known.len()].to_string()).collect()
    };
    let mut readers = JoinSet::new();
    for mut session in open(&hub, encrypted, BOARD_SESSIONS, names).await? {
        readers.spawn(async move { while let Some(Ok(_)) = session.next().await {} });
    }
    Ok(Board { hub, _feeder: feeder, _readers: readers, _folder: folder })
}

async fn start(program: &Path, folder: &TempDir) -> Result<Hub> {
    let [certificate, key] = ["first.pem", "first.key"].map(certificate);
    let flags =
        ["--shards", "1", "--test-feed", "off", "--tls-cert", &certificate, "--tls-key", &key];
    let flags = flags.map(str::to_owned);
    Hub::start(Command::new(program), &flags, folder.path().join("hub.log")).await
}

/// Returns the path of a TLS file of the hub's tests.
fn certificate(name: &str) -> String {
    format!("{}/../crates/hub/tests/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Opens sessions, subscribes each to its symbols and reads the acknowledgement.
async fn open(
    hub: &Hub,
    encrypted: bool,
    count: usize,
    names: impl Fn(usize) -> Vec<String>,
) -> Result<Vec<Session>> {
    let scheme = if encrypted { "wss" } else { "ws" };
    let url = format!("{scheme}://{}/ws", hub.address);
    let authorities = Authorities::from_pem_file(Path::new(&certificate("ca.pem")))?;
    let mut sessions = Vec::with_capacity(count);
    for number in 0..count {
        let mut request = url.as_str().into_client_request()?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", "tickwire.v1.msgpack".parse()?);
        let limits = WebSocketConfig::default().read_buffer_size(16 * 1_024);
        let trust = Connector::Rustls(authorities.client_config());
        let connecting = connect_async_tls_with_config(request, Some(limits), true, Some(trust));
        let (mut session, _) = Box::pin(connecting).await?;
        let command = serde_json::json!({
            "action": "subscribe", "trades": names(number), "snapshot": false
        });
        session.send(Message::text(command.to_string())).await?;
        for _ in 0..3 {
            session.next().await.context("the hub closed the session")??; // connected, feed, subscription
        }
        sessions.push(session);
    }
    Ok(sessions)
}
