//! Measures what TLS costs a hub: CPU per delivered tick and memory per idle session, beside the same
//! without TLS, one after the other with the same market, sessions and binary.
#![expect(clippy::print_stdout, reason = "a command-line tool")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
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

/// Sessions with nothing to do, for memory.
const IDLE_SESSIONS: usize = 2_000;
/// Sessions of a board, and names of each.
const BOARD_SESSIONS: usize = 500;
const NAMES: usize = 50;
/// The market: symbols, and ticks per second, at which a write holds few or many.
const SYMBOLS: usize = 500;
const RATES: [usize; 2] = [5_000, 50_000];
/// How long the market runs before it is measured, and how long it is measured.
const WARMUP: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(15);

type Session = WebSocketStream<MaybeTlsStream<TcpStream>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let given = std::env::args().nth(1).map(PathBuf::from);
    let program = tickwire(given.as_deref())?;
    let [plain, encrypted] =
        [idle(&program, false).await?, idle(&program, true).await?].map(|bytes| bytes / 1_024.0);
    println!("memory per idle session: {plain:.1} KiB, with TLS {encrypted:.1} KiB");
    for rate in RATES {
        let plain = board(&program, false, rate).await?;
        let encrypted = board(&program, true, rate).await?;
        println!(
            "{rate} ticks/s in, {:.0} and with TLS {:.0}/s out: CPU per tick {:.0} ns and {:.0} ns, {:.2} ×",
            plain.ticks_per_second,
            encrypted.ticks_per_second,
            plain.cpu_per_tick_ns,
            encrypted.cpu_per_tick_ns,
            encrypted.cpu_per_tick_ns / plain.cpu_per_tick_ns,
        );
    }
    Ok(())
}

/// What a session takes that has names and hears nothing of them.
async fn idle(program: &Path, encrypted: bool) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let hub = start(program, &folder).await?;
    let names: Vec<_> = (0..NAMES).map(|number| format!("S{number}")).collect();
    // The first sessions pay for what the hub makes once.
    let mut sessions = open(&hub, encrypted, 100, |_| names.clone()).await?;
    let before = hub.memory_kib()?;
    sessions.extend(open(&hub, encrypted, IDLE_SESSIONS, |_| names.clone()).await?);
    sleep(Duration::from_secs(1)).await; // what the handshakes needed is given back
    let grown = hub.memory_kib()?.saturating_sub(before);
    Ok(grown as f64 * 1_024.0 / IDLE_SESSIONS as f64)
}

/// What a hub needs to deliver a market to boards.
struct Delivery {
    cpu_per_tick_ns: f64,
    ticks_per_second: f64,
}

async fn board(program: &Path, encrypted: bool, rate: usize) -> Result<Delivery> {
    let folder = tempfile::tempdir()?;
    let hub = start(program, &folder).await?;
    let (symbols, rate) = (SYMBOLS.to_string(), rate.to_string());
    let address = format!("ws://{}", hub.address);
    let flags = ["--symbols", &symbols, "--rate", &rate, "--hub", &address].map(str::to_owned);
    let _feeder = Feeder::start(program, &flags, folder.path().join("feeder.log"))?;
    sleep(WARMUP).await;
    let url = address.parse()?;
    let list = move || list_symbols(&url, &Feed::default(), None, &[Channel::Trades]);
    let known = tokio::task::spawn_blocking(list).await??.symbols;
    let names = |session: usize| {
        (0..NAMES).map(|name| known[(session * 7 + name) % known.len()].to_string()).collect()
    };
    let sessions = open(&hub, encrypted, BOARD_SESSIONS, names).await?;
    let mut readers = JoinSet::new();
    for mut session in sessions {
        readers.spawn(async move { while let Some(Ok(_)) = session.next().await {} });
    }
    sleep(WARMUP).await;
    let delivered = "tickwire_ticks_delivered_total";
    let (busy, ticks) = (hub.busy()?, hub.metric(delivered).await?);
    sleep(MEASURED).await;
    let (busy, ticks) = (hub.busy()? - busy, hub.metric(delivered).await? - ticks);
    Ok(Delivery {
        cpu_per_tick_ns: busy.as_nanos() as f64 / ticks,
        ticks_per_second: ticks / MEASURED.as_secs_f64(),
    })
}

async fn start(program: &Path, folder: &TempDir) -> Result<Hub> {
    let [certificate, key] = ["first.pem", "first.key"].map(certificate);
    let flags =
        ["--shards", "1", "--test-feed", "off", "--tls-cert", &certificate, "--tls-key", &key];
    let flags = flags.map(str::to_owned);
    Hub::start(Command::new(program), &flags, folder.path().join("hub.log")).await
}

/// A file of the hub's tests.
fn certificate(name: &str) -> String {
    format!("{}/../crates/hub/tests/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Opens sessions that have subscribed, and read the answer.
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
            session.next().await.context("the hub closed")??; // connected, feed, subscription
        }
        sessions.push(session);
    }
    Ok(sessions)
}
