//! The steps of a storm: starts hub, feeder and clients, cuts connections, and measures the
//! recovery.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use tickwire_benches::processes::{self, Feeder, Hub};
use tickwire_benches::quantile::quantile;
use tokio::runtime::Runtime;

use crate::options::Options;
use crate::session::Tally;
use crate::universe::Universe;
use crate::worker::{self, Signals, WorkerConfig, now};

/// Number of clients that stay connected.
const OTHERS: usize = 100;
/// Period over which the first connections are spread.
const RAMP: Duration = Duration::from_secs(8);
/// Duration of the measurement before the storm.
const QUIET: Duration = Duration::from_secs(5);
/// Time limit of each step.
const TIMEOUT: Duration = Duration::from_secs(120);
/// All clients must have recovered within this time.
const RECOVERY_MAX: Duration = Duration::from_secs(5);
/// Interval at which the number of live clients is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Files that a process opens besides its connections.
const OTHER_FILES: u64 = 200;

/// State of a group of clients, shared with the thread that serves them.
#[derive(Default)]
struct Group {
    signals: Signals,
    tally: Mutex<Tally>,
}

impl Group {
    /// Returns the counts since the last call.
    fn take(&self) -> Tally {
        std::mem::take(&mut *self.tally.lock().expect("no thread panics while it holds the lock"))
    }

    fn live(&self) -> usize {
        self.signals.live.load(Relaxed)
    }
}

/// Hub and feeder, and what is needed to restart the hub.
struct Processes {
    runtime: Runtime,
    tickwire: PathBuf,
    hub_flags: Vec<String>,
    hub: Hub,
    _feeder: Feeder,
    folder: TempDir,
}

/// Runs a storm. Returns whether all clients recovered in time and without a gap.
///
/// # Errors
/// The storm cannot be run, or a step takes too long.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let files = rlimit::increase_nofile_limit(u64::MAX)?;
    let needed = (options.clients + OTHERS) as u64 + OTHER_FILES;
    ensure!(files >= needed, "the process may open {files} files (ulimit -n), but needs {needed}");
    let mut processes = Processes::start(options)?;
    let universe = Universe::new(options.symbols, options.names);
    let cut_group = Group::default();
    let others = Group::default();
    let hub = processes.hub.address;
    thread::scope(|scope| {
        let config = |group, clients| WorkerConfig::of(group, hub, &universe, clients);
        let cut_config = config(&cut_group, 0..options.clients);
        let last = options.clients + OTHERS;
        let others_config = WorkerConfig { delays: true, ..config(&others, options.clients..last) };
        let threads = [
            scope.spawn(move || worker::run(&cut_config)),
            scope.spawn(move || worker::run(&others_config)),
        ];
        let recovered = run_storm(options, &cut_group, &others, &mut processes);
        cut_group.signals.ended.store(true, Relaxed);
        others.signals.ended.store(true, Relaxed);
        for thread in threads {
            thread.join().expect("the clients' threads do not panic")?;
        }
        recovered
    })
}

impl<'a> WorkerConfig<'a> {
    fn of(
        group: &'a Group,
        hub: SocketAddr,
        universe: &'a Universe,
        clients: Range<usize>,
    ) -> Self {
        Self {
            hub,
            universe,
            clients,
            ramp: RAMP,
            signals: &group.signals,
            delays: false,
            tally: &group.tally,
        }
    }
}

fn run_storm(
    options: &Options,
    cut_group: &Group,
    others: &Group,
    processes: &mut Processes,
) -> Result<bool> {
    let all = options.clients;
    println!(
        "{all} clients with {} of {} symbols each, {} ticks/s",
        options.names, options.symbols, options.rate
    );
    until("all clients are live", || cut_group.live() == all && others.live() == OTHERS)?;
    let _ramp = (cut_group.take(), others.take());
    thread::sleep(QUIET);
    let before = cut_group.take();
    let quiet = others.take();
    println!("before       {} ticks/s delivered", before.ticks / QUIET.as_secs());
    print_delays("  others    ", quiet.delays_ns);

    let cut_at = now();
    let cpu_before = processes.cpu_time()?;
    cut_group.signals.cuts.fetch_add(1, Relaxed);
    until("all clients are disconnected", || cut_group.live() < all / 2)?;
    let took = recovery(cut_group, all, cut_at)?;
    let after = cut_group.take();
    let meanwhile = others.take();
    let cpu_time = processes.cpu_time()?.since(cpu_before);
    let well = print_recovery("storm", &after, all, took) & (took < RECOVERY_MAX);
    print_delays("  others    ", meanwhile.delays_ns);
    println!("  CPU time   {cpu_time}; the hub uses {} MiB", processes.hub.memory_mib()?);
    ensure!(meanwhile.ended == 0, "{} of the other clients were disconnected", meanwhile.ended);
    if !options.restart {
        return Ok(well);
    }

    let ended = now();
    let downtime = processes.restart()?;
    let took = recovery(cut_group, all, ended)?;
    let restarted_well = print_recovery("restart", &cut_group.take(), all, took);
    println!("  without a hub for {:.2} s of it, including the drain", downtime.as_secs_f64());
    Ok(well & restarted_well)
}

/// Waits until a condition holds.
fn until(what: &str, is_so: impl Fn() -> bool) -> Result<()> {
    let began = now();
    while !is_so() {
        ensure!(now() - began < TIMEOUT, "after {TIMEOUT:?} it is still not true that {what}");
        thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

/// Waits until all clients are live again and returns the time since `from`.
fn recovery(cut_group: &Group, all: usize, from: Instant) -> Result<Duration> {
    until("all clients are live again", || cut_group.live() == all)?;
    Ok(now() - from)
}

/// Prints how the clients recovered. Returns whether all resumed without a gap.
fn print_recovery(what: &str, tally: &Tally, all: usize, took: Duration) -> bool {
    let Tally { missing, repeated, gaps, resumed: [whole, with_gaps, epoch], ended, .. } = tally;
    println!("{what:<12} {all} clients live again after {:.2} s", took.as_secs_f64());
    println!(
        "  resumed    {whole} without a gap, {with_gaps} with gaps, {epoch} in a new epoch; {ended} disconnected meanwhile"
    );
    println!(
        "  ticks      {} delivered, {missing} lost, {repeated} repeated, {gaps} gaps reported",
        tally.ticks
    );
    missing + repeated + gaps + with_gaps + epoch == 0
}

/// Prints the distribution of the ticks' delays.
fn print_delays(who: &str, delays_ns: Option<Vec<u64>>) {
    let mut delays_ns = delays_ns.unwrap_or_default();
    delays_ns.sort_unstable();
    let at = |share| quantile(&delays_ns, share).unwrap_or_default() as f64 / 1e6;
    println!(
        "{who} {} ticks, delay p50 {:.2} ms, p99 {:.2} ms, at most {:.2} ms",
        delays_ns.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

/// CPU time of the hub and of the clients, in seconds.
#[derive(Debug, Clone, Copy)]
struct CpuTime {
    hub_s: f64,
    clients_s: f64,
}

impl CpuTime {
    fn since(self, before: Self) -> Self {
        Self { hub_s: self.hub_s - before.hub_s, clients_s: self.clients_s - before.clients_s }
    }
}

impl fmt::Display for CpuTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hub {:.2} s, clients {:.2} s", self.hub_s, self.clients_s)
    }
}

impl Processes {
    fn cpu_time(&self) -> Result<CpuTime> {
        let hub_s = self.hub.cpu_time()?.as_secs_f64();
        Ok(CpuTime { hub_s, clients_s: processes::cpu_time(std::process::id())?.as_secs_f64() })
    }

    fn start(options: &Options) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tickwire = processes::tickwire(options.tickwire.as_deref())?;
        let folder = tempfile::Builder::new().prefix("tickwire-storm-").tempdir()?;
        // A fixed port, since clients reconnect to it after a restart.
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut hub_flags = vec![format!("--listen={listen}"), "--drain-duration=2s".to_owned()];
        if options.restart {
            hub_flags.push(format!("--data-dir={}", folder.path().join("data").display()));
        }
        let log = folder.path().join("hub.log");
        let hub = runtime.block_on(Hub::start(Command::new(&tickwire), &hub_flags, log))?;
        let feeder_flags = [
            format!("--hub=ws://{listen}"),
            format!("--symbols={}", options.symbols),
            format!("--rate={}", options.rate),
        ];
        let feeder = Feeder::start(&tickwire, &feeder_flags, folder.path().join("feeder.log"))?;
        Ok(Self { runtime, tickwire, hub_flags, hub, _feeder: feeder, folder })
    }

    /// Restarts the hub by SIGTERM and returns how long no hub listened.
    fn restart(&mut self) -> Result<Duration> {
        let began = now();
        let Self { runtime, tickwire, hub_flags, hub, folder, .. } = self;
        runtime.block_on(hub.terminate()).context("stopping the hub")?;
        let log = folder.path().join("hub.log");
        let start = Hub::start(Command::new(tickwire), hub_flags, log);
        *hub = runtime.block_on(start).context("restarting the hub")?;
        Ok(now() - began)
    }
}
