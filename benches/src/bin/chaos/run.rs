//! One run: starts the processes and clients, injects faults, and checks the final state.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;
use tickwire_benches::processes::{self, Feeder, Hub};
use tickwire_feeder::SimConfig;
use tickwire_protocol::{Channel, Encoding};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::checker::{Checker, Violation};
use crate::client::Client;
use crate::client_specs::{self, ClientSpec};
use crate::clock::Clocks;
use crate::disk::Disk;
use crate::library::{self, LibrarySubscriber};
use crate::options::Options;
use crate::proxy::{FaultSpacing, Network, Proxy};
use crate::random::Random;
use crate::report::Report;
use crate::schedule::{self, Fault, PlannedFault};
use crate::subscriber::Subscriber;
use crate::subscription::{Delivery, ResumeMode, Subscription};

/// Ticks per second of the market.
const RATE: u32 = 1_000;
const SYMBOLS: usize = 200;
/// Sizes of the hub's log in memory. They are small, so that some clients reconnect after it has
/// dropped the ticks they missed.
const LOG_MIB: [u64; 3] = [2, 8, 64];
/// Largest number of shards. A client may reconnect to another shard.
const SHARDS_MAX: u64 = 3;
/// Limit of the hub's memory without its log.
const MEMORY_BESIDE_LOG_MIB: u64 = 200;
/// How long the clients may take to receive everything after the last fault.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Interval at which processes and clients are checked.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

const CLIENTS_FAULT_SPACING: FaultSpacing = FaultSpacing { up: 2 << 10, down: 64 << 10 };
const FEEDER_FAULT_SPACING: FaultSpacing = FaultSpacing { up: 128 << 10, down: 4 << 10 };

/// Runs the fault injection.
///
/// # Errors
/// The run cannot be prepared, or SIGTERM or SIGINT ended it.
pub(crate) fn run(options: &Options) -> Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut terminated = signal(SignalKind::terminate())?;
        let mut interrupted = signal(SignalKind::interrupt())?;
        tokio::select! {
            report = Box::pin(inject_and_check(options)) => report,
            _ = terminated.recv() => bail!("terminated"),
            _ = interrupted.recv() => bail!("interrupted"),
        }
    })
}

async fn inject_and_check(options: &Options) -> Result<Report> {
    let seed = options.seed.unwrap_or_else(rand::random);
    let began = now();
    let mut run = Run::prepare(options, seed).await?;
    println!("seed {seed}: {:.0} s of faults", options.length.as_secs_f64());
    println!("tickwire hub {}", run.hub_flags.join(" "));
    let inject_faults =
        run.inject_faults(schedule::plan(seed, options.length), options.length).await;
    if let Err(error) = inject_faults {
        run.violated(Violation::Process(format!("{error:#}")));
    }
    Ok(run.report(seed, now() - began))
}

/// The processes, proxies and clients of a run, and what has been counted.
struct Run {
    tickwire: PathBuf,
    memory: bool,
    hub: Option<Hub>,
    feeder: Option<Feeder>,
    hub_flags: Vec<String>,
    feeder_flags: Vec<String>,
    /// Epochs of the hub in the order they started.
    epochs: Vec<String>,
    checker: Rc<RefCell<Checker>>,
    network: Rc<Network>,
    client_proxy: Rc<Proxy>,
    feeder_proxy: Rc<Proxy>,
    subscribers: Vec<Rc<RefCell<Subscriber>>>,
    library_subscribers: Vec<Rc<RefCell<LibrarySubscriber>>>,
    faults: BTreeMap<&'static str, u64>,
    skipped: BTreeSet<&'static str>,
    clocks: Clocks,
    log_mib: u64,
    memory_mib_max: u64,
    /// Logs of the processes, kept after a violation.
    logs: TempDir,
    disk: Disk,
}

impl Run {
    async fn prepare(options: &Options, seed: u64) -> Result<Self> {
        let tickwire = processes::tickwire(options.tickwire.as_deref())?;
        let mut random = Random::new(seed, u64::from_le_bytes(*b"settings"));
        let log_mib = LOG_MIB[random.index(LOG_MIB.len())];
        let shards = random.within(1, SHARDS_MAX + 1);
        let market =
            SimConfig { symbols: SYMBOLS, rate: RATE.into(), seed, ..SimConfig::default() };
        // The feeder is on time or late, so twice the length is more than it can publish.
        let ticks_max = Some(u64::from(RATE) * (2 * options.length.as_secs() + 120));
        let checker = Checker::new(SimConfig { ticks_max, ..market.clone() });
        let network = Network::new();
        let (client_proxy, clients_at) =
            Proxy::start(&network, seed, CLIENTS_FAULT_SPACING).await?;
        let (feeder_proxy, feeder_at) = Proxy::start(&network, !seed, FEEDER_FAULT_SPACING).await?;
        let disk = Disk::new()?;
        let mut run = Self {
            tickwire,
            memory: options.memory,
            hub: None,
            feeder: None,
            hub_flags: hub_flags(shards, log_mib, (!options.memory).then_some(&disk)),
            feeder_flags: feeder_flags(&market, feeder_at),
            epochs: Vec::new(),
            checker: Rc::new(RefCell::new(checker)),
            network,
            client_proxy,
            feeder_proxy,
            subscribers: Vec::new(),
            library_subscribers: Vec::new(),
            faults: BTreeMap::new(),
            skipped: BTreeSet::new(),
            clocks: Clocks::new(seed),
            log_mib,
            memory_mib_max: 0,
            logs: tempfile::Builder::new().prefix("tickwire-chaos-logs-").tempdir()?,
            disk,
        };
        if !run.clocks.can_jump() {
            run.skipped.insert("clock jumps: libfaketime is not installed");
        }
        run.start_hub(false).await?;
        run.start_feeder()?;
        let specs = client_specs::generate(seed, &run.checker.borrow().symbols());
        for (number, spec) in specs.into_iter().enumerate() {
            let random = Random::new(seed, 1_000 + number as u64);
            run.start_client(spec, clients_at, random);
        }
        Ok(run)
    }

    fn start_client(&mut self, spec: ClientSpec, proxy: SocketAddr, random: Random) {
        let ClientSpec { name, subscription, encoding, uses_library } = spec;
        let checker = Rc::clone(&self.checker);
        if uses_library {
            let subscriber = Rc::new(RefCell::new(LibrarySubscriber::new(name, subscription)));
            self.library_subscribers.push(Rc::clone(&subscriber));
            spawn_local(library::run(subscriber, checker, proxy));
        } else {
            let subscriber = Rc::new(RefCell::new(Subscriber::new(name, subscription)));
            self.subscribers.push(Rc::clone(&subscriber));
            spawn_local(Client { subscriber, checker, proxy, encoding, random }.run());
        }
    }

    /// Starts the hub. `same_epoch` says whether it must continue the previous epoch.
    async fn start_hub(&mut self, same_epoch: bool) -> Result<()> {
        let log = self.logs.path().join("hub.log");
        let mut command = Command::new(&self.tickwire);
        if self.clocks.set(&mut command) {
            *self.faults.entry("clock of the hub jumped").or_default() += 1;
        }
        let hub = Hub::start(command, &self.hub_flags, log).await?;
        if let Some(before) =
            self.epochs.last().filter(|before| (**before == hub.epoch) != same_epoch)
        {
            let problem = match same_epoch {
                true => format!("epoch {before} should continue, but the hub has {}", hub.epoch),
                false => format!("epoch {before} continues, although ticks may be missing in it"),
            };
            self.violated(Violation::Process(problem));
        }
        if self.epochs.last() != Some(&hub.epoch) {
            self.epochs.push(hub.epoch.clone());
            self.checker.borrow_mut().register_epoch(&hub.epoch);
        }
        self.network.hub.set(Some(hub.address));
        self.hub = Some(hub);
        Ok(())
    }

    fn start_feeder(&mut self) -> Result<()> {
        let log = self.logs.path().join("feeder.log");
        self.feeder = Some(Feeder::start(&self.tickwire, &self.feeder_flags, log)?);
        Ok(())
    }

    fn violated(&self, violation: Violation) {
        self.checker.borrow_mut().violated("chaos", violation);
    }

    /// Injects the faults at their times, then waits for the clients and compares their final
    /// state.
    async fn inject_faults(&mut self, plan: Vec<PlannedFault>, length: Duration) -> Result<()> {
        let began = now();
        let mut plan = plan.into_iter().peekable();
        let mut poll = interval(POLL_INTERVAL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while now() - began < length {
            poll.tick().await;
            self.check_processes()?;
            if !self.checker.borrow().violations.is_empty() {
                return Ok(());
            }
            if let Some(planned) = plan.next_if(|planned| now() - began >= planned.at) {
                self.inject(planned).await.with_context(|| planned.fault.name())?;
            }
        }
        self.settle().await
    }

    /// Checks that hub and feeder run and that the hub's memory is within its limit.
    fn check_processes(&mut self) -> Result<()> {
        let hub = self.hub.as_mut().context("no hub between two faults")?;
        if let Some(problem) = hub.unexpected_exit() {
            bail!(problem);
        }
        if let Some(problem) = self.feeder.as_mut().and_then(Feeder::unexpected_exit) {
            bail!(problem);
        }
        let memory = hub.memory_mib()?;
        let most = self.log_mib + MEMORY_BESIDE_LOG_MIB;
        self.memory_mib_max = self.memory_mib_max.max(memory);
        ensure!(memory <= most, "the hub uses {memory} MiB, the limit is {most} MiB");
        Ok(())
    }

    async fn inject(&mut self, PlannedFault { fault, lasts, .. }: PlannedFault) -> Result<()> {
        let durable = !self.memory;
        if fault == Fault::FillDisk && !(durable && self.disk.can_be_filled()) {
            self.skipped
                .insert("full disk: no log on disk, or no right to mount a small file system");
            return Ok(());
        }
        *self.faults.entry(fault.name()).or_default() += 1;
        match fault {
            Fault::KillHub => self.restart_hub(durable).await?,
            Fault::KillFeeder => {
                self.feeder()?.kill()?;
                self.start_feeder()?;
            }
            Fault::KillBoth => {
                self.feeder()?.kill()?;
                self.hub()?.kill()?;
                self.start_feeder()?;
                self.start_hub(durable).await?;
            }
            Fault::DrainHub => self.drain_hub(durable).await?,
            Fault::CutClients => self.client_proxy.cut_all(),
            Fault::CutFeeder => self.feeder_proxy.cut_all(),
            Fault::Freeze => {
                self.network.frozen.send_replace(true);
                sleep(lasts).await;
                self.network.frozen.send_replace(false);
            }
            Fault::Blackout => {
                self.network.refusing.set(true);
                self.client_proxy.cut_all();
                self.feeder_proxy.cut_all();
                sleep(lasts).await;
                self.network.refusing.set(false);
            }
            Fault::FillDisk => self.fill_disk(lasts).await?,
        }
        Ok(())
    }

    async fn restart_hub(&mut self, same_epoch: bool) -> Result<()> {
        self.hub()?.kill()?;
        self.start_hub(same_epoch).await
    }

    async fn drain_hub(&mut self, same_epoch: bool) -> Result<()> {
        self.hub()?.terminate().await?;
        self.start_hub(same_epoch).await
    }

    /// Fills the disk while the market continues, then frees space and restarts the hub, which must
    /// start a new epoch because its log on disk is incomplete.
    async fn fill_disk(&mut self, lasts: Duration) -> Result<()> {
        self.disk.fill()?;
        let began = now();
        while self.hub()?.metric("tickwire_log_failed").await? == 0.0 {
            ensure!(now() - began < SETTLE_TIMEOUT, "the hub does not report that its log failed");
            sleep(POLL_INTERVAL).await;
        }
        sleep(lasts).await;
        self.disk.free()?;
        match lasts.as_millis() % 2 {
            0 => self.restart_hub(false).await,
            _ => self.drain_hub(false).await,
        }
    }

    fn hub(&mut self) -> Result<&mut Hub> {
        self.hub.as_mut().context("there is no hub")
    }

    fn feeder(&mut self) -> Result<&mut Feeder> {
        self.feeder.as_mut().context("there is no feeder")
    }

    /// Ends the faults of connections and the market; then every client must get the newest tick of
    /// each of its topics.
    async fn settle(&mut self) -> Result<()> {
        self.network.faulty.set(false);
        self.wait_for_ticks().await?;
        if let Some(mut feeder) = self.feeder.take() {
            feeder.terminate().await?;
        }
        let address = self.hub()?.address;
        let subscription = Subscription {
            channels: vec![Channel::Trades, Channel::Quotes],
            symbols: None,
            delivery: Delivery::Every(ResumeMode::Never),
        };
        let random = Random::new(0, 0);
        let spec = ClientSpec {
            name: "reference".to_owned(),
            subscription,
            encoding: Encoding::MsgpackArray,
            uses_library: false,
        };
        self.start_client(spec, address, random);
        let began = now();
        let mut stale = self.stale_topics();
        while stale.as_ref().is_none_or(|stale| !stale.is_empty()) && now() - began < SETTLE_TIMEOUT
        {
            sleep(POLL_INTERVAL).await;
            self.check_processes()?;
            stale = self.stale_topics();
        }
        let stale = stale.context("the hub does not send its last values")?;
        for (name, violation) in stale {
            self.checker.borrow_mut().violated(&name, violation);
        }
        self.check_unbounded_gaps()?;
        self.compare_epochs()
    }

    /// Checks that the hub has reported a reason for gaps without an end: its log overran a shard.
    fn check_unbounded_gaps(&self) -> Result<()> {
        let gaps = self.checker.borrow().counts.unbounded_gaps;
        let has_reason = || -> Result<bool> {
            let log = std::fs::read_to_string(self.logs.path().join("hub.log"))?;
            Ok(log.contains("the log has overrun the shard"))
        };
        ensure!(
            gaps == 0 || has_reason()?,
            "{gaps} gaps without an end, although the log never overran a shard"
        );
        Ok(())
    }

    /// Waits until new ticks from the feeder arrive.
    async fn wait_for_ticks(&mut self) -> Result<()> {
        let before = self.seen();
        let began = now();
        while self.seen() <= before {
            ensure!(
                now() - began < SETTLE_TIMEOUT,
                "no tick arrives, although all faults have ended"
            );
            sleep(POLL_INTERVAL).await;
            self.check_processes()?;
        }
        Ok(())
    }

    /// Returns the number of market ticks up to the last one that a client received in this epoch.
    fn seen(&self) -> u64 {
        let checker = self.checker.borrow();
        self.epochs.last().and_then(|epoch| checker.epoch(epoch)).map_or(0, |epoch| epoch.seen())
    }

    /// Returns the topics whose newest tick a client does not have, with the client's name; `None`
    /// until the reference client knows the newest ticks.
    fn stale_topics(&self) -> Option<Vec<(String, Violation)>> {
        let epoch = self.epochs.last()?;
        let reference = self.subscribers.last()?.borrow();
        let newest = reference.newest_seqs(epoch)?;
        let named = |name: &str, stale: Vec<Violation>| {
            let name = name.to_owned();
            stale.into_iter().map(move |violation| (name.clone(), violation))
        };
        let mut all = Vec::new();
        for subscriber in &self.subscribers {
            let subscriber = subscriber.borrow();
            all.extend(named(&subscriber.name, subscriber.stale_topics(epoch, newest)));
        }
        for subscriber in &self.library_subscribers {
            let subscriber = subscriber.borrow();
            all.extend(named(&subscriber.name, subscriber.stale_topics(epoch, newest)));
        }
        Some(all)
    }

    /// Checks that no ticks were lost between two epochs: a hub with a log on disk must start each
    /// epoch no later in the market than the previous one ended.
    fn compare_epochs(&self) -> Result<()> {
        let checker = self.checker.borrow();
        let known: Vec<_> = self.epochs.iter().filter_map(|epoch| checker.epoch(epoch)).collect();
        for (before, after) in known.iter().zip(&known[1..]) {
            let seen = before.seen();
            let start = after.earliest_start();
            ensure!(
                self.memory || start <= seen,
                "lost between two epochs: ticks {seen} to {start} of the market"
            );
        }
        Ok(())
    }

    fn report(self, seed: u64, took: Duration) -> Report {
        let market_ticks = self.seen();
        let checker = self.checker.borrow();
        let report = Report {
            seed,
            took,
            clients: self.subscribers.len() + self.library_subscribers.len(),
            faults: self.faults,
            skipped: self.skipped,
            network: *self.network.counts.borrow(),
            counts: checker.counts,
            epochs: self.epochs.len(),
            market_ticks,
            memory_mib_max: self.memory_mib_max,
            violations: checker.violations.clone(),
        };
        if !report.passed() {
            println!("logs of the processes: {}", self.logs.keep().display());
        }
        report
    }
}

fn hub_flags(shards: u64, log_mib: u64, disk: Option<&Disk>) -> Vec<String> {
    let mut flags = vec![
        "--bars=off".to_owned(), // positions then count market ticks only
        "--drain-duration=1s".to_owned(),
        format!("--shards={shards}"),
        format!("--log-size={log_mib}MiB"),
    ];
    if let Some(disk) = disk {
        flags.push(format!("--data-dir={}", disk.path().join("data").display()));
        flags.push("--disk-size=96MiB".to_owned());
    }
    flags
}

fn feeder_flags(market: &SimConfig, proxy: SocketAddr) -> Vec<String> {
    vec![
        format!("--hub=ws://{proxy}"),
        format!("--symbols={}", market.symbols),
        format!("--rate={}", market.rate),
        format!("--seed={}", market.seed),
        format!("--start={}", market.start), // the oracle has the same times
        "--publisher=chaos".to_owned(),
    ]
}

#[expect(clippy::disallowed_methods, reason = "a driver")]
fn now() -> Instant {
    Instant::now()
}
