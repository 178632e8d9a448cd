//! The whole: all servers under all loads, some times over, and the report of it.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::figures::{Figures, human, human_kb, human_ms, human_ns};
use crate::host::Host;
use crate::measure::{WARM_UP, measure};
use crate::plan::{Peer, ROWS, Row};
use crate::report::{Entry, Report};
use crate::server::package;
use crate::{chart, limits, markdown};

/// People come here by way of xtask.
pub(crate) const USAGE: &str = "cargo xtask bench peers [OPTIONS]";

pub(crate) const EXAMPLES: &str = "\
Examples:
  cargo xtask bench peers                                        everything
  cargo xtask bench peers --rows board-20000,idle --runs 1       two loads, once
  cargo xtask bench peers --peers tickwire,uws --rows hot-1000   two servers

Without --peers each load is measured with the servers that are not far beyond their limit.";

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Loads, separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_parser = parse_row, value_name = "ROWS")]
    rows: Vec<&'static Row>,
    /// Servers, separated by commas [default: those of each load]
    #[arg(long, value_delimiter = ',')]
    peers: Vec<Peer>,
    /// How often everything is measured; the report has the medians
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    runs: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    secs: u32,
    /// Folder of the report: peers.md and peers.svg [default: benches/results]
    #[arg(long)]
    out: Option<PathBuf>,
}

fn parse_row(name: &str) -> Result<&'static Row, String> {
    Row::named(name).ok_or_else(|| {
        let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        format!("no such load; there are {}", names.join(", "))
    })
}

impl Options {
    /// Every server under every load, in the order of measuring.
    fn entries(&self) -> Vec<Entry> {
        let asked = |row: &&Row| self.rows.is_empty() || self.rows.contains(row);
        let rows = ROWS.iter().filter(asked);
        rows.flat_map(|row| row.peers(&self.peers).into_iter().map(|peer| Entry::new(row, peer)))
            .collect()
    }

    /// As one would type it.
    fn command(&self) -> String {
        let mut words = vec!["cargo xtask bench peers".to_owned()];
        if !self.rows.is_empty() {
            let names: Vec<_> = self.rows.iter().map(|row| row.name).collect();
            words.push(format!("--rows {}", names.join(",")));
        }
        if !self.peers.is_empty() {
            let names: Vec<_> = self.peers.iter().map(|peer| peer.name()).collect();
            words.push(format!("--peers {}", names.join(",")));
        }
        words.push(format!("--runs {} --secs {}", self.runs, self.secs));
        words.join(" ")
    }

    /// How long one measurement of a row takes, roughly.
    fn time_of(&self, row: &Row) -> Duration {
        // Start, settle, connect (some 2,500 connections a second), end.
        let around = Duration::from_millis(900 + row.connections as u64 * 2 / 5);
        around + WARM_UP + self.measured(row)
    }

    /// How long a row is measured.
    fn measured(&self, row: &Row) -> Duration {
        Duration::from_secs((self.secs * row.lasts).into())
    }
}

/// Prints what the servers to be measured need.
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

/// Measures and writes the report.
///
/// # Errors
/// There is nothing to measure, the file limit is too low, or the report cannot be written. A
/// measurement that fails is part of the report, and makes the exit code 1.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut entries = options.entries();
    if entries.is_empty() {
        bail!("none of --peers can take any of --rows");
    }
    limits::raise_for(&entries.iter().map(|entry| entry.row).collect::<Vec<_>>())?;
    let folder = options.out.clone().unwrap_or_else(|| package().with_file_name("results"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;

    let all = entries.len() * options.runs as usize;
    let one_run: Duration = entries.iter().map(|entry| options.time_of(entry.row)).sum();
    println!("{all} measurements, about {}", minutes(one_run * options.runs));
    let mut left = one_run * options.runs;
    for run in 1..=options.runs {
        for entry in &mut entries {
            left = left.saturating_sub(options.time_of(entry.row));
            let (row, peer) = (entry.row, entry.peer);
            let outcome = measure(peer, row, options.measured(row));
            let text = match &outcome {
                Ok(figures) => summary(row, figures),
                Err(error) => format!("FAILED: {error:#}"),
            };
            println!(
                "run {run}  {:<12} {:<11} {text} ({} left)",
                row.name,
                peer.title(),
                minutes(left)
            );
            match outcome {
                Ok(figures) => entry.figures.push(figures),
                Err(error) => entry.failures.push(format!("{error:#}")),
            }
        }
    }
    report(options, entries, &folder)
}

/// Writes both files; failure if any measurement failed.
fn report(options: &Options, entries: Vec<Entry>, folder: &std::path::Path) -> Result<ExitCode> {
    let mut peers: Vec<Peer> = Vec::new();
    for entry in &entries {
        if !peers.contains(&entry.peer) {
            peers.push(entry.peer);
        }
    }
    let failed = entries.iter().any(|entry| !entry.failures.is_empty());
    let (host, command) = (Host::here(&peers), options.command());
    let report = Report { entries, host, runs: options.runs, secs: options.secs, command };
    for (name, text) in [("peers.md", markdown::page(&report)), ("peers.svg", chart::svg(&report))]
    {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn summary(row: &Row, figures: &Figures) -> String {
    let none = || "–".to_owned();
    if row.rate == 0 {
        return format!(
            "{} per connection, {:.1} % of a core",
            human_kb(figures.bytes_per_connection),
            figures.cpu_cores * 100.0
        );
    }
    let (least, most) = (human(figures.least_per_s), human(figures.most_per_s));
    format!(
        "{}/s  {}  p50 {}  p99 {}  each {least} to {most}  server {:.2} client {:.2} cores  closed {}",
        human(figures.delivered_per_s),
        figures.cpu_per_tick_ns.map_or_else(none, human_ns),
        figures.p50_ms.map_or_else(none, human_ms),
        figures.p99_ms.map_or_else(none, human_ms),
        figures.cpu_cores,
        figures.client_cores,
        figures.closed,
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
    fn by_default_each_load_is_measured_with_its_own_servers() {
        let all = options("").unwrap();
        assert_eq!(all.entries().len(), 40);
        assert_eq!(all.command(), "cargo xtask bench peers --runs 3 --secs 5");
        assert_eq!(needs(&all.entries()), ["nats", "npm", "tickwire"]);
    }

    #[test]
    fn a_whole_run_takes_less_than_20_minutes() {
        let all = options("").unwrap();
        let one_run: Duration = all.entries().iter().map(|entry| all.time_of(entry.row)).sum();
        assert!(one_run * all.runs < Duration::from_secs(20 * 60), "{one_run:?}");
    }

    #[test]
    fn loads_and_servers_can_be_chosen() {
        let some = options("--rows idle,hot-100 --peers floor,ws --runs 1 --secs 2").unwrap();
        let names: Vec<_> =
            some.entries().iter().map(|entry| (entry.row.name, entry.peer.name())).collect();
        assert_eq!(names, [("hot-100", "floor"), ("hot-100", "ws"), ("idle", "ws")]);
        assert_eq!(needs(&some.entries()), ["npm"]);
        assert!(some.command().ends_with("--rows idle,hot-100 --peers floor,ws --runs 1 --secs 2"));
    }

    #[test]
    fn what_there_is_not_is_refused_with_what_there_is() {
        let error = options("--rows warm").unwrap_err().to_string();
        assert!(error.contains("warm") && error.contains("board-latest, idle, stalled"), "{error}");
        let error = options("--peers redis").unwrap_err().to_string();
        assert!(error.contains("redis") && error.contains("nats"), "{error}");
        assert!(options("--runs 0").is_err() && options("--secs 0").is_err());
    }
}
