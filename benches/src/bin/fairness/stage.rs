//! A hub with a market and honest clients, on which an attack is measured.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use tickwire_benches::processes::{Feeder, Hub};
use tokio::time::{sleep, timeout};

use crate::attack::{self, Attack, Attackers, Target};
use crate::counts::Counts;
use crate::live::{Live, Step, WARM_UP};
use crate::market;
use crate::measurement::Measurement;
use crate::peer::Peer;
use crate::probes::{Probes, now};
use crate::table::Row;

/// The loopback address of honest clients.
const HONEST_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How long the simulation may take to connect and to publish.
const MARKET_TIME_MAX: Duration = Duration::from_secs(30);
/// Interval at which the memory of the hub is read.
const MEMORY_INTERVAL: Duration = Duration::from_millis(100);
/// Interval at which the hub is asked whether the simulation publishes.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A running hub with its market and its honest clients.
#[derive(Debug)]
pub(crate) struct Stage {
    attack: &'static Attack,
    hub: Hub,
    honest: Arc<Peer>,
    target: Arc<Target>,
    probes: Probes,
    _feeder: Feeder,
    _folder: TempDir,
}

impl Stage {
    /// Starts a hub, the market of an attack, and the honest clients.
    ///
    /// # Errors
    /// A process does not start, or the hub does not accept the market.
    pub(crate) async fn set(tickwire: &Path, attack: &'static Attack) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tickwire-fairness-").tempdir()?;
        let keys = folder.path().join("keys.toml");
        let add_key = |name: &str, flags: &[&str]| key(tickwire, folder.path(), name, flags);
        let honest = add_key("honest", &["--role", "publish", "--metrics", "--anonymous", "read"])?;
        let attacker = add_key("attacker", &["--role", "publish", "--metrics"])?;
        let replaced = add_key("replaced", &["--sessions-max", "1", "--when-full", "replace"])?;
        let [certificate, private_key] = ["first.pem", "first.key"].map(tls_file);
        let hub_flags = [
            format!("--keys={}", keys.display()),
            format!("--data-dir={}", folder.path().join("data").display()),
            format!("--log-size={}", market::LOG_SIZE),
            format!("--tls-cert={certificate}"),
            format!("--tls-key={private_key}"),
        ];
        let hub_log = folder.path().join("hub.log");
        let hub = Hub::start(Command::new(tickwire), &hub_flags, hub_log).await?;
        let honest = Arc::new(Peer::new(hub.address, HONEST_ADDRESS, honest));
        let peer = |token| Peer::new(hub.address, attack::ADDRESS, token);
        let target =
            Target { peer: peer(attacker), replaced: peer(replaced), counts: Counts::default() };
        market::publish(&honest, attack.quoted_symbols).await.context("publishing the history")?;
        let feeder = start_feeder(tickwire, folder.path(), &hub, honest.token()).await?;
        let symbols: Vec<_> = market::symbols().iter().map(ToString::to_string).collect();
        let probes = Probes::start(&honest, &hub.epoch, &symbols);
        let target = Arc::new(target);
        Ok(Self { attack, hub, honest, target, probes, _feeder: feeder, _folder: folder })
    }

    /// Measures the hub without the attack, then with it.
    ///
    /// # Errors
    /// The hub has ended, or the clients of the attack cannot be started.
    pub(crate) async fn measure(mut self, duration: Duration) -> Result<[Row; 2]> {
        let name = self.attack.name;
        let live = Live::start(&self.honest, WARM_UP, duration)?;
        let without = self.measure_beside(live).await?;

        let mut live = Live::start(&self.honest, self.attack.launch_time, duration)?;
        live.reached(Step::Open).await;
        let attackers = Attackers::start(self.attack, self.target.clone())?;
        let with = self.measure_beside(live).await?;
        let Target { peer, replaced, counts } = &*self.target;
        let outcome = counts.describe(peer.opened.load(Relaxed) + replaced.opened.load(Relaxed));
        drop(attackers);
        Ok([
            Row { attack: name, measurement: without, outcome: None },
            Row { attack: name, measurement: with, outcome: Some(outcome) },
        ])
    }

    async fn measure_beside(&mut self, mut live: Live) -> Result<Measurement> {
        live.reached(Step::Measuring).await;
        drop(self.probes.take());
        let began = now();
        let cpu_before = self.hub.cpu_time()?;
        let mut memory_kib = 0;
        let report = {
            let report = live.report();
            tokio::pin!(report);
            loop {
                memory_kib = memory_kib.max(self.hub.memory_kib()?);
                if let Ok(report) = timeout(MEMORY_INTERVAL, &mut report).await {
                    break report;
                }
            }
        };
        if let Some(exit) = self.hub.unexpected_exit() {
            anyhow::bail!(exit);
        }
        let times = [self.hub.cpu_time()? - cpu_before, began.elapsed()];
        Ok(Measurement::new(&report, self.probes.take(), times, memory_kib))
    }
}

/// Adds a key to the keys file in a folder, and returns it as `ID:SECRET`.
fn key(tickwire: &Path, folder: &Path, name: &str, flags: &[&str]) -> Result<String> {
    let token = folder.join(format!("{name}.token"));
    let mut command = Command::new(tickwire);
    command.args(["keys", "add", name]).args(flags).stdin(Stdio::null());
    command.arg("--file").arg(folder.join("keys.toml")).arg("--token-to").arg(&token);
    let output = command.output().context("cannot run tickwire")?;
    ensure!(
        output.status.success(),
        "tickwire keys add: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(std::fs::read_to_string(token)?.trim().to_owned())
}

/// Returns the path of a TLS file of the hub's tests.
pub(crate) fn tls_file(name: &str) -> String {
    format!("{}/../crates/hub/tests/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Starts the simulation and waits until it publishes.
async fn start_feeder(tickwire: &Path, folder: &Path, hub: &Hub, key: &str) -> Result<Feeder> {
    const PUBLISHED: &str = "tickwire_ticks_in_total";
    let flags = [
        format!("--hub=ws://{}", hub.address),
        format!("--symbols={}", market::SYMBOLS),
        format!("--rate={}", market::TICKS_PER_SECOND),
        format!("--token-file={}", folder.join("honest.token").display()),
    ];
    let before = hub.metric_with_key(PUBLISHED, key).await?;
    let mut feeder = Feeder::start(tickwire, &flags, folder.join("feeder.log"))?;
    let publishes = async {
        while hub.metric_with_key(PUBLISHED, key).await? <= before {
            if let Some(exit) = feeder.unexpected_exit() {
                anyhow::bail!(exit);
            }
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    };
    timeout(MARKET_TIME_MAX, publishes).await.context("the simulation does not publish")??;
    Ok(feeder)
}
