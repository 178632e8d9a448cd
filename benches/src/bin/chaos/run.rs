//! The course of a run.

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

use crate::client::Client;
use crate::clock::Clocks;
use crate::crew::{self, Member};
use crate::disk::Disk;
use crate::follower::{Delivery, Follower, Return, Wants};
use crate::library::{self, Listener};
use crate::options::Options;
use crate::proxy::{Apart, Network, Proxy};
use crate::random::Random;
use crate::report::Report;
use crate::schedule::{self, Fault, Planned};
use crate::world::{Violation, World};

/// Ticks per second of the market.
const RATE: u32 = 1_000;
const SYMBOLS: usize = 200;
/// What the hub's log may take in memory: little, so that some come back too late for it.
const LOG_MIB: [u64; 3] = [2, 8, 64];
/// Clients come back to any of so many threads of the hub, at most.
const SHARDS_MAX: u64 = 3;
/// What a hub may take beside its log, whatever happens.
const OTHER_MIB: u64 = 200;
/// How long clients may take to have everything once all is well.
const SETTLE: Duration = Duration::from_secs(60);
/// Between two looks at everything.
const LOOK: Duration = Duration::from_millis(100);

const CLIENTS_APART: Apart = Apart { up: 2 << 10, down: 64 << 10 };
const FEEDER_APART: Apart = Apart { up: 128 << 10, down: 4 << 10 };

/// Runs it.
///
/// # Errors
/// If something is missing for a run, or a process does not do what it is told.
pub(crate) fn run(options: &Options) -> Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut terminated = signal(SignalKind::terminate())?;
        let mut interrupted = signal(SignalKind::interrupt())?;
        tokio::select! {
            report = Box::pin(observed(options)) => report,
            _ = terminated.recv() => bail!("terminated"),
            _ = interrupted.recv() => bail!("interrupted"),
        }
    })
}

async fn observed(options: &Options) -> Result<Report> {
    let seed = options.seed.unwrap_or_else(rand::random);
    let began = now();
    let mut stage = Stage::set(options, seed).await?;
    println!("seed {seed}: {:.0} s of faults", options.length.as_secs_f64());
    println!("tickwire hub {}", stage.hub_flags.join(" "));
    let course = stage.course(schedule::plan(seed, options.length), options.length).await;
    if let Err(error) = course {
        stage.violated(Violation::Process(format!("{error:#}")));
    }
    Ok(stage.report(seed, now() - began))
}

/// Everything there is.
struct Stage {
    tickwire: PathBuf,
    memory: bool,
    hub: Option<Hub>,
    feeder: Option<Feeder>,
    hub_flags: Vec<String>,
    feeder_flags: Vec<String>,
    /// The epochs of the hub, one after the other.
    epochs: Vec<String>,
    world: Rc<RefCell<World>>,
    network: Rc<Network>,
    to_clients: Rc<Proxy>,
    to_feeder: Rc<Proxy>,
    followers: Vec<Rc<RefCell<Follower>>>,
    listeners: Vec<Rc<RefCell<Listener>>>,
    faults: BTreeMap<&'static str, u64>,
    skipped: BTreeSet<&'static str>,
    clocks: Clocks,
    log_mib: u64,
    memory_mib_max: u64,
    /// Logs of the processes; kept if something went wrong.
    logs: TempDir,
    disk: Disk,
}

impl Stage {
    async fn set(options: &Options, seed: u64) -> Result<Self> {
        let tickwire = processes::tickwire(options.tickwire.as_deref())?;
        let mut random = Random::new(seed, u64::from_le_bytes(*b"settings"));
        let log_mib = LOG_MIB[random.index(LOG_MIB.len())];
        let shards = random.within(1, SHARDS_MAX + 1);
        let market =
            SimConfig { symbols: SYMBOLS, rate: RATE.into(), seed, ..SimConfig::default() };
        // The feeder is on time or late, so there are never more ticks than time has passed.
        let ticks_max = Some(u64::from(RATE) * (2 * options.length.as_secs() + 120));
        let world = World::new(SimConfig { ticks_max, ..market.clone() });
        let network = Network::new();
        let (to_clients, clients_at) = Proxy::start(&network, seed, CLIENTS_APART).await?;
        let (to_feeder, feeder_at) = Proxy::start(&network, !seed, FEEDER_APART).await?;
        let disk = Disk::new()?;
        let mut stage = Self {
            tickwire,
            memory: options.memory,
            hub: None,
            feeder: None,
            hub_flags: hub_flags(shards, log_mib, (!options.memory).then_some(&disk)),
            feeder_flags: feeder_flags(&market, feeder_at),
            epochs: Vec::new(),
            world: Rc::new(RefCell::new(world)),
            network,
            to_clients,
            to_feeder,
            followers: Vec::new(),
            listeners: Vec::new(),
            faults: BTreeMap::new(),
            skipped: BTreeSet::new(),
            clocks: Clocks::new(seed),
            log_mib,
            memory_mib_max: 0,
            logs: tempfile::Builder::new().prefix("tickwire-chaos-logs-").tempdir()?,
            disk,
        };
        if !stage.clocks.can_jump() {
            stage.skipped.insert("clocks that jump: that takes libfaketime");
        }
        stage.start_hub(false).await?;
        stage.start_feeder()?;
        let members = crew::members(seed, &stage.world.borrow().symbols());
        for (number, member) in members.into_iter().enumerate() {
            let random = Random::new(seed, 1_000 + number as u64);
            stage.start_client(member, clients_at, random);
        }
        Ok(stage)
    }

    fn start_client(&mut self, member: Member, proxy: SocketAddr, random: Random) {
        let Member { who, wants, encoding, by_library } = member;
        let world = Rc::clone(&self.world);
        if by_library {
            let listener = Rc::new(RefCell::new(Listener::new(who, wants)));
            self.listeners.push(Rc::clone(&listener));
            spawn_local(library::run(listener, world, proxy));
        } else {
            let follower = Rc::new(RefCell::new(Follower::new(who, wants)));
            self.followers.push(Rc::clone(&follower));
            spawn_local(Client { follower, world, proxy, encoding, random }.run());
        }
    }

    /// Starts the hub; whether it must be the life it was before.
    async fn start_hub(&mut self, goes_on: bool) -> Result<()> {
        let log = self.logs.path().join("hub.log");
        let mut command = Command::new(&self.tickwire);
        if self.clocks.set(&mut command) {
            *self.faults.entry("clock of the hub jumped").or_default() += 1;
        }
        let hub = Hub::start(command, &self.hub_flags, log).await?;
        if let Some(before) = self.epochs.last().filter(|before| (**before == hub.epoch) != goes_on)
        {
            let problem = match goes_on {
                true => format!("epoch {before} was to go on, but it is {} now", hub.epoch),
                false => format!("epoch {before} goes on, although something may be missing in it"),
            };
            self.violated(Violation::Process(problem));
        }
        if self.epochs.last() != Some(&hub.epoch) {
            self.epochs.push(hub.epoch.clone());
            self.world.borrow_mut().meet(&hub.epoch);
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
        self.world.borrow_mut().violated("chaos", violation);
    }

    /// Injects the faults at their times, then lets everything settle and compares.
    async fn course(&mut self, plan: Vec<Planned>, length: Duration) -> Result<()> {
        let began = now();
        let mut plan = plan.into_iter().peekable();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while now() - began < length {
            look.tick().await;
            self.look()?;
            if !self.world.borrow().violations.is_empty() {
                return Ok(());
            }
            if let Some(planned) = plan.next_if(|planned| now() - began >= planned.at) {
                self.inject(planned).await.with_context(|| planned.fault.name())?;
            }
        }
        self.settle().await
    }

    /// Looks after the processes.
    fn look(&mut self) -> Result<()> {
        let hub = self.hub.as_mut().context("there is a hub between two faults")?;
        if let Some(problem) = hub.ended_by_itself() {
            bail!(problem);
        }
        if let Some(problem) = self.feeder.as_mut().and_then(Feeder::ended_by_itself) {
            bail!(problem);
        }
        let (memory, most) = (hub.memory_mib()?, self.log_mib + OTHER_MIB);
        self.memory_mib_max = self.memory_mib_max.max(memory);
        ensure!(memory <= most, "the hub takes {memory} MiB, allowed are {most}");
        Ok(())
    }

    async fn inject(&mut self, Planned { fault, lasts, .. }: Planned) -> Result<()> {
        let durable = !self.memory;
        if fault == Fault::FillDisk && !(durable && self.disk.can_be_filled()) {
            self.skipped.insert(
                "a full disk: that takes a log on disk, and the right to mount a small one",
            );
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
            Fault::CutClients => self.to_clients.cut_all(),
            Fault::CutFeeder => self.to_feeder.cut_all(),
            Fault::Freeze => {
                self.network.frozen.send_replace(true);
                sleep(lasts).await;
                self.network.frozen.send_replace(false);
            }
            Fault::Blackout => {
                self.network.dark.set(true);
                self.to_clients.cut_all();
                self.to_feeder.cut_all();
                sleep(lasts).await;
                self.network.dark.set(false);
            }
            Fault::FillDisk => self.fill_disk(lasts).await?,
        }
        Ok(())
    }

    async fn restart_hub(&mut self, goes_on: bool) -> Result<()> {
        self.hub()?.kill()?;
        self.start_hub(goes_on).await
    }

    async fn drain_hub(&mut self, goes_on: bool) -> Result<()> {
        self.hub()?.end().await?;
        self.start_hub(goes_on).await
    }

    /// Fills the disk, lets the market go on without it, makes room and starts the hub again, after which
    /// nobody may believe that the epoch goes on.
    async fn fill_disk(&mut self, lasts: Duration) -> Result<()> {
        self.disk.fill()?;
        let began = now();
        while self.hub()?.metric("tickwire_log_failed").await? == 0.0 {
            ensure!(now() - began < SETTLE, "the hub does not say that its disk is full");
            sleep(LOOK).await;
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

    /// The network is well, the market closes; then everybody must have the newest of everything.
    async fn settle(&mut self) -> Result<()> {
        self.network.troubled.set(false);
        self.market_goes_on().await?;
        if let Some(mut feeder) = self.feeder.take() {
            feeder.end().await?;
        }
        let address = self.hub()?.address;
        let wants = Wants {
            channels: vec![Channel::Trades, Channel::Quotes],
            symbols: None,
            delivery: Delivery::Every(Return::Afresh),
        };
        let (who, encoding) = ("reference".to_owned(), Encoding::MsgpackArray);
        let random = Random::new(0, 0);
        let member = Member { who, wants, encoding, by_library: false };
        self.start_client(member, address, random);
        let began = now();
        let mut behind = self.behind();
        while behind.as_ref().is_none_or(|behind| !behind.is_empty()) && now() - began < SETTLE {
            sleep(LOOK).await;
            self.look()?;
            behind = self.behind();
        }
        let behind = behind.context("the hub does not tell its last values")?;
        for (who, violation) in behind {
            self.world.borrow_mut().violated(&who, violation);
        }
        self.compare_epochs()
    }

    /// Waits until the feeder is back and its ticks arrive.
    async fn market_goes_on(&mut self) -> Result<()> {
        let (before, began) = (self.seen(), now());
        while self.seen() <= before {
            ensure!(now() - began < SETTLE, "no tick comes, although all is well again");
            sleep(LOOK).await;
            self.look()?;
        }
        Ok(())
    }

    /// How far in the market the current epoch is, as anybody has seen it.
    fn seen(&self) -> u64 {
        let world = self.world.borrow();
        self.epochs.last().and_then(|epoch| world.epoch(epoch)).map_or(0, |epoch| epoch.seen())
    }

    /// What clients have not got yet of the newest, by who; `None`: the newest is not known.
    fn behind(&self) -> Option<Vec<(String, Violation)>> {
        let epoch = self.epochs.last()?;
        let reference = self.followers.last()?.borrow();
        let newest = reference.newest_of(epoch)?;
        let named = |who: &str, behind: Vec<Violation>| {
            let who = who.to_owned();
            behind.into_iter().map(move |violation| (who.clone(), violation))
        };
        let mut all = Vec::new();
        for follower in &self.followers {
            let follower = follower.borrow();
            all.extend(named(&follower.who, follower.behind(epoch, newest)));
        }
        for listener in &self.listeners {
            let listener = listener.borrow();
            all.extend(named(&listener.who, listener.behind(epoch, newest)));
        }
        Some(all)
    }

    /// Every epoch must begin no later in the market than the one before ended, and the market must
    /// have gone on at all.
    fn compare_epochs(&self) -> Result<()> {
        let world = self.world.borrow();
        let known: Vec<_> = self.epochs.iter().filter_map(|epoch| world.epoch(epoch)).collect();
        for (before, after) in known.iter().zip(&known[1..]) {
            let (seen, begins) = (before.seen(), after.begins_at_least());
            ensure!(
                self.memory || begins <= seen,
                "lost between two epochs: ticks {seen} to {begins} of the market"
            );
        }
        Ok(())
    }

    fn report(self, seed: u64, took: Duration) -> Report {
        let market_ticks = self.seen();
        let world = self.world.borrow();
        let report = Report {
            seed,
            took,
            clients: self.followers.len() + self.listeners.len(),
            faults: self.faults,
            skipped: self.skipped,
            tally: *self.network.tally.borrow(),
            counts: world.counts,
            epochs: self.epochs.len(),
            market_ticks,
            memory_mib_max: self.memory_mib_max,
            violations: world.violations.clone(),
        };
        if !report.passed() {
            println!("logs of the processes: {}", self.logs.keep().display());
        }
        report
    }
}

fn hub_flags(shards: u64, log_mib: u64, disk: Option<&Disk>) -> Vec<String> {
    let mut flags = vec![
        "--bars=off".to_owned(), // so that positions count the ticks of the market only
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
        format!("--start={}", market.start), // times that the truth has too
        "--publisher=chaos".to_owned(),
    ]
}

#[expect(clippy::disallowed_methods, reason = "a driver")]
fn now() -> Instant {
    Instant::now()
}
