//! The course of a storm.

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
use tokio::runtime::Runtime;

use crate::options::Options;
use crate::session::Tally;
use crate::universe::Universe;
use crate::worker::{self, Crew, Signals, now};

/// Clients that are left alone.
const OTHERS: usize = 100;
/// In which time clients connect at first.
const RAMP: Duration = Duration::from_secs(8);
/// How long the quiet before a storm is measured.
const QUIET: Duration = Duration::from_secs(5);
/// How long anything may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(120);
/// All clients must have everything again within this time.
const WANTED: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);
/// Files a process needs beside its connections.
const OTHER_FILES: u64 = 200;

/// A group of clients with a thread of its own.
#[derive(Default)]
struct Group {
    signals: Signals,
    tally: Mutex<Tally>,
}

impl Group {
    /// What was counted since the last time.
    fn take(&self) -> Tally {
        std::mem::take(&mut *self.tally.lock().expect("nobody panics"))
    }

    fn live(&self) -> usize {
        self.signals.live.load(Relaxed)
    }
}

/// The processes, and what it takes to start them.
struct Processes {
    runtime: Runtime,
    tickwire: PathBuf,
    hub_flags: Vec<String>,
    hub: Hub,
    _feeder: Feeder,
    folder: TempDir,
}

/// Runs it; whether everything was as it should be.
///
/// # Errors
/// If it cannot be run.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let files = rlimit::increase_nofile_limit(u64::MAX)?;
    let needed = (options.clients + OTHERS) as u64 + OTHER_FILES;
    ensure!(files >= needed, "the process may open {files} files (ulimit -n), {needed} are needed");
    let mut processes = Processes::start(options)?;
    let universe = Universe::new(options.symbols, options.names);
    let (many, others) = (Group::default(), Group::default());
    let hub = processes.hub.address;
    thread::scope(|scope| {
        let crew = |group, clients| Crew::of(group, hub, &universe, clients);
        let many_crew = crew(&many, 0..options.clients);
        let last = options.clients + OTHERS;
        let others_crew = Crew { delays: true, ..crew(&others, options.clients..last) };
        let threads = [
            scope.spawn(move || worker::run(&many_crew)),
            scope.spawn(move || worker::run(&others_crew)),
        ];
        let went_well = course(options, &many, &others, &mut processes);
        many.signals.ended.store(true, Relaxed);
        others.signals.ended.store(true, Relaxed);
        for thread in threads {
            thread.join().expect("the clients' threads do not panic")?;
        }
        went_well
    })
}

impl<'a> Crew<'a> {
    fn of(
        group: &'a Group,
        hub: SocketAddr,
        universe: &'a Universe,
        clients: Range<usize>,
    ) -> Self {
        let (signals, tally) = (&group.signals, &group.tally);
        Self { hub, universe, clients, ramp: RAMP, signals, delays: false, tally }
    }
}

fn course(
    options: &Options,
    many: &Group,
    others: &Group,
    processes: &mut Processes,
) -> Result<bool> {
    let all = options.clients;
    println!(
        "{all} clients with {} of {} symbols each, {} ticks/s",
        options.names, options.symbols, options.rate
    );
    until("all clients are live", || many.live() == all && others.live() == OTHERS)?;
    let _ramp = (many.take(), others.take());
    thread::sleep(QUIET);
    let (before, quiet) = (many.take(), others.take());
    println!("before       {} ticks delivered a second", before.ticks / QUIET.as_secs());
    print_delays("  the others", quiet.late_ns);

    let (cut, busy) = (now(), processes.busy()?);
    many.signals.cuts.fetch_add(1, Relaxed);
    until("all are cut", || many.live() < all / 2)?;
    let took = recovery(many, all, cut)?;
    let (after, meanwhile, busy) = (many.take(), others.take(), processes.busy()?.since(busy));
    let well = print_recovery("storm", &after, all, took) & (took < WANTED);
    print_delays("  the others", meanwhile.late_ns);
    println!("  processor  {busy}; the hub has {} MiB", processes.hub.memory_mib()?);
    ensure!(meanwhile.ended == 0, "{} of the others were cut too", meanwhile.ended);
    if !options.restart {
        return Ok(well);
    }

    let ended = now();
    let away = processes.restart()?;
    let took = recovery(many, all, ended)?;
    let told = print_recovery("restart", &many.take(), all, took);
    println!("  the hub was away for {:.2} s of it, draining included", away.as_secs_f64());
    Ok(well & told)
}

/// Waits for something.
fn until(what: &str, is_so: impl Fn() -> bool) -> Result<()> {
    let began = now();
    while !is_so() {
        ensure!(now() - began < PATIENCE, "after {PATIENCE:?} it is not so that {what}");
        thread::sleep(LOOK);
    }
    Ok(())
}

/// Waits until all are live again; how long that took.
fn recovery(many: &Group, all: usize, from: Instant) -> Result<Duration> {
    until("all clients are live again", || many.live() == all)?;
    Ok(now() - from)
}

/// Whether it was without a gap.
fn print_recovery(what: &str, tally: &Tally, all: usize, took: Duration) -> bool {
    let Tally { missing, repeated, gaps, resumed: [whole, with_gaps, epoch], ended, .. } = tally;
    println!("{what:<12} {all} clients live again after {:.2} s", took.as_secs_f64());
    println!(
        "  resumed    {whole} without a gap, {with_gaps} with gaps, {epoch} in another epoch; {ended} cut meanwhile"
    );
    println!(
        "  ticks      {} delivered, {missing} lost, {repeated} repeated, {gaps} gaps told",
        tally.ticks
    );
    missing + repeated + gaps + with_gaps + epoch == 0
}

/// Prints how late ticks came.
fn print_delays(who: &str, late_ns: Option<Vec<u64>>) {
    let mut late_ns = late_ns.unwrap_or_default();
    late_ns.sort_unstable();
    let at = |share: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let index = (late_ns.len() as f64 * share) as usize;
        late_ns.get(index.min(late_ns.len().saturating_sub(1))).copied().unwrap_or(0) as f64 / 1e6
    };
    println!(
        "{who}   {} ticks, late by p50 {:.2} ms, p99 {:.2} ms, at most {:.2} ms",
        late_ns.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

/// Time that processes had a processor, in seconds.
#[derive(Debug, Clone, Copy)]
struct Busy {
    hub_s: f64,
    clients_s: f64,
}

impl Busy {
    fn since(self, before: Self) -> Self {
        Self { hub_s: self.hub_s - before.hub_s, clients_s: self.clients_s - before.clients_s }
    }
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} s of the hub, {:.2} s of the clients", self.hub_s, self.clients_s)
    }
}

impl Processes {
    fn busy(&self) -> Result<Busy> {
        let hub_s = self.hub.busy()?.as_secs_f64();
        Ok(Busy { hub_s, clients_s: processes::busy(std::process::id())?.as_secs_f64() })
    }

    fn start(options: &Options) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tickwire = processes::tickwire(options.tickwire.as_deref())?;
        let folder = tempfile::Builder::new().prefix("tickwire-storm-").tempdir()?;
        // A port of its own, since clients look for the hub there after a restart too.
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

    /// SIGTERM and a new start; how long there was no hub.
    fn restart(&mut self) -> Result<Duration> {
        let began = now();
        let Self { runtime, tickwire, hub_flags, hub, folder, .. } = self;
        runtime.block_on(hub.end()).context("ending the hub")?;
        let log = folder.path().join("hub.log");
        let start = Hub::start(Command::new(tickwire), hub_flags, log);
        *hub = runtime.block_on(start).context("starting it")?;
        Ok(now() - began)
    }
}
