//! `tickwire-peers run`: measures all servers under all workloads several times and writes the
//! report.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::format::{human, human_kb, human_ms, human_ns};
use crate::host::Host;
use crate::measure::{WARM_UP, measure};
use crate::measurement::Measurement;
use crate::report::{Entry, Report};
use crate::server::package;
use crate::workload::{Peer, WORKLOADS, Workload};
use crate::{chart, limits, markdown};

/// The usage in `--help`. Users run this program through xtask.
pub(crate) const USAGE: &str = "cargo xtask bench peers [OPTIONS]";

pub(crate) const EXAMPLES: &str = "\
Examples:
  cargo xtask bench peers                                             everything
  cargo xtask bench peers --workloads board-20000,idle --runs 1       two workloads, once
  cargo xtask bench peers --peers tickwire,uws --workloads hot-1000   two servers

Without --peers, each workload leaves out the servers that it exceeds by far.";

/// The command line of `run`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Workloads, separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_parser = parse_workload, value_name = "WORKLOAD,…")]
    workloads: Vec<&'static Workload>,
    /// Servers, separated by commas [default: those of each workload]
    #[arg(long, value_delimiter = ',', value_name = "PEER,…")]
    peers: Vec<Peer>,
    /// Number of runs; the report has the medians
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    runs: u32,
    /// Duration of each measurement in seconds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    secs: u32,
    /// Folder for the report, peers.md and peers.svg [default: benches/results]
    #[arg(long)]
    out: Option<PathBuf>,
}

fn parse_workload(name: &str) -> Result<&'static Workload, String> {
    Workload::find(name).ok_or_else(|| {
        let names: Vec<_> = WORKLOADS.iter().map(|workload| workload.name).collect();
        format!("unknown workload; expected one of {}", names.join(", "))
    })
}

impl Options {
    /// Returns an entry for each server under each workload, in the order of measuring.
    fn entries(&self) -> Vec<Entry> {
        let is_selected =
            |workload: &&Workload| self.workloads.is_empty() || self.workloads.contains(workload);
        let workloads = WORKLOADS.iter().filter(is_selected);
        workloads
            .flat_map(|workload| {
                workload.peers(&self.peers).into_iter().map(|peer| Entry::new(workload, peer))
            })
            .collect()
    }

    /// Returns the command line that repeats these measurements.
    fn command(&self) -> String {
        let mut words = vec!["cargo xtask bench peers".to_owned()];
        if !self.workloads.is_empty() {
            let names: Vec<_> = self.workloads.iter().map(|workload| workload.name).collect();
            words.push(format!("--workloads {}", names.join(",")));
        }
        if !self.peers.is_empty() {
            let names: Vec<_> = self.peers.iter().map(|peer| peer.name()).collect();
            words.push(format!("--peers {}", names.join(",")));
        }
        words.push(format!("--runs {} --secs {}", self.runs, self.secs));
        words.join(" ")
    }

    /// Estimates how long one measurement takes, including start and end of the server.
    fn estimate(&self, workload: &Workload) -> Duration {
        // Start and settle, connect (about 2,500 connections per second), end.
        let overhead = Duration::from_millis(900 + workload.connections as u64 * 2 / 5);
        overhead + WARM_UP + self.duration(workload)
    }

    /// Returns how long a workload is measured.
    fn duration(&self, workload: &Workload) -> Duration {
        Duration::from_secs((self.secs * workload.duration_factor).into())
    }
}

/// Prints what has to be installed or built for the servers.
pub(crate) fn print_needs(options: &Options) {
    for need in needs(&options.entries()) {
        println!("{need}");
    }
}

fn needs(entries: &[Entry]) -> Vec<&'static str> {
    let mut needs: Vec<_> = entries
        .iter()
        .filter_map(|entry| match entry.peer {
            Peer::Tickwire | Peer::TickwireV2 => Some("tickwire"),
            Peer::Uws | Peer::Ws | Peer::Socketio => Some("npm"),
            Peer::Nats => Some("nats"),
            Peer::Floor => None,
        })
        .collect();
    needs.sort_unstable();
    needs.dedup();
    needs
}

/// Measures all servers and writes the report.
///
/// # Errors
/// The options select nothing, the file limit is too low, or the report cannot be written. A
/// measurement that fails is shown in the report and makes the exit code 1.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut entries = options.entries();
    if entries.is_empty() {
        bail!("none of --peers supports any of --workloads");
    }
    limits::raise_for(&entries.iter().map(|entry| entry.workload).collect::<Vec<_>>())?;
    let folder = options.out.clone().unwrap_or_else(|| package().with_file_name("results"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;

    let all = entries.len() * options.runs as usize;
    let one_run: Duration = entries.iter().map(|entry| options.estimate(entry.workload)).sum();
    println!("{all} measurements, about {}", minutes(one_run * options.runs));
    let mut left = one_run * options.runs;
    for run in 1..=options.runs {
        for entry in &mut entries {
            left = left.saturating_sub(options.estimate(entry.workload));
            let Entry { workload, peer, .. } = *entry;
            let outcome = measure(peer, workload, options.duration(workload));
            let text = match &outcome {
                Ok(measurement) => summary(workload, measurement),
                Err(error) => format!("FAILED: {error:#}"),
            };
            println!(
                "run {run}  {:<12} {:<11} {text} ({} left)",
                workload.name,
                peer.title(),
                minutes(left)
            );
            match outcome {
                Ok(measurement) => entry.measurements.push(measurement),
                Err(error) => entry.failures.push(format!("{error:#}")),
            }
        }
    }
    report(options, entries, &folder)
}

/// Writes the report; the exit code is 1 if a measurement failed.
fn report(options: &Options, entries: Vec<Entry>, folder: &std::path::Path) -> Result<ExitCode> {
    let mut peers: Vec<Peer> = Vec::new();
    for entry in &entries {
        if !peers.contains(&entry.peer) {
            peers.push(entry.peer);
        }
    }
    let failed = entries.iter().any(|entry| !entry.failures.is_empty());
    let host = Host::detect(&peers);
    let command = options.command();
    let report = Report { entries, host, runs: options.runs, secs: options.secs, command };
    for (name, text) in [("peers.md", markdown::page(&report)), ("peers.svg", chart::svg(&report))]
    {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn summary(workload: &Workload, measurement: &Measurement) -> String {
    let none = || "–".to_owned();
    if workload.rate == 0 {
        return format!(
            "{} per connection, {:.1} % of a core",
            human_kb(measurement.bytes_per_connection),
            measurement.cpu_cores * 100.0
        );
    }
    let least = human(measurement.least_per_s);
    let most = human(measurement.most_per_s);
    format!(
        "{}/s  {}  p50 {}  p99 {}  each {least} to {most}  server {:.2} client {:.2} cores  closed {}",
        human(measurement.delivered_per_s),
        measurement.cpu_per_tick_ns.map_or_else(none, human_ns),
        measurement.p50_ms.map_or_else(none, human_ms),
        measurement.p99_ms.map_or_else(none, human_ms),
        measurement.cpu_cores,
        measurement.client_cores,
        measurement.closed,
    )
}

fn minutes(time: Duration) -> String {
    match time.as_secs() {
        short if short < 90 => format!("{short} s"),
        long => format!("{} min", (long + 30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn options(line: &str) -> Result<Options, clap::Error> {
        let words = ["run"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.options)
    }

    #[test]
    fn by_default_each_workload_has_its_own_servers() {
        let all = options("").unwrap();
        assert_eq!(all.entries().len(), 40);
        assert_eq!(all.command(), "cargo xtask bench peers --runs 3 --secs 5");
        assert_eq!(needs(&all.entries()), ["nats", "npm", "tickwire"]);
    }

    #[test]
    fn default_runs_take_less_than_20_minutes() {
        let all = options("").unwrap();
        let one_run: Duration =
            all.entries().iter().map(|entry| all.estimate(entry.workload)).sum();
        assert!(one_run * all.runs < Duration::from_secs(20 * 60), "{one_run:?}");
    }

    #[test]
    fn workloads_and_servers_can_be_selected() {
        let some = options("--workloads idle,hot-100 --peers floor,ws --runs 1 --secs 2").unwrap();
        let names: Vec<_> =
            some.entries().iter().map(|entry| (entry.workload.name, entry.peer.name())).collect();
        assert_eq!(names, [("hot-100", "floor"), ("hot-100", "ws"), ("idle", "ws")]);
        assert_eq!(needs(&some.entries()), ["npm"]);
        assert!(
            some.command().ends_with("--workloads idle,hot-100 --peers floor,ws --runs 1 --secs 2")
        );
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        let error = options("--workloads warm").unwrap_err().to_string();
        assert!(error.contains("warm") && error.contains("board-latest, idle, stalled"), "{error}");
        let error = options("--peers redis").unwrap_err().to_string();
        assert!(error.contains("redis") && error.contains("nats"), "{error}");
        assert!(options("--runs 0").is_err() && options("--secs 0").is_err());
    }
}
