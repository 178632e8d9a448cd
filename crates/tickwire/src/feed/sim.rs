//! `tickwire feed sim`: publishes a simulated market.

use std::path::PathBuf;
use std::time::Duration;

use tickwire_feeder::{Pace, SimConfig, Simulator, Speed};
use tickwire_protocol::UnixNanos;

use super::Job;
use super::destination::{Destination, HubArgs};
use crate::flags::{rate, seed, some_duration, symbols};

const EXAMPLES: &str = "\
Examples:
  tickwire feed sim                                      500 symbols to the hub on this machine
  tickwire feed sim --symbols 5000 --rate 50000 --duration 60s
  tickwire feed sim --ticks 1000 --to ticks.ndjson       the same 1,000 ticks each time
  tickwire feed sim --ticks 5 --to -                     print a few ticks";

/// Flags of `tickwire feed sim`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("limit").args(["duration", "ticks"]).multiple(true))]
pub(super) struct Args {
    /// Number of symbols, 1 to 100000; the first ones are real tickers
    #[arg(
        long,
        value_name = "N",
        env = "TICKWIRE_SYMBOLS",
        default_value = "500",
        value_parser = symbols,
        allow_negative_numbers = true
    )]
    symbols: usize,
    /// Ticks per second over all symbols, at most 10000000
    #[arg(
        long,
        value_name = "PER_SECOND",
        env = "TICKWIRE_RATE",
        default_value = "5000",
        value_parser = rate,
        allow_negative_numbers = true
    )]
    rate: f64,
    /// Seed of the random numbers; equal seeds give equal markets
    #[arg(
        long,
        env = "TICKWIRE_SEED",
        default_value = "42",
        value_parser = seed,
        allow_negative_numbers = true
    )]
    seed: u64,
    /// Exit after this much market time, such as 60s or 5m
    #[arg(long, value_name = "TIME", value_parser = some_duration)]
    duration: Option<Duration>,
    /// Exit after this many ticks
    #[arg(long, value_name = "N", value_parser = ticks, allow_negative_numbers = true)]
    ticks: Option<u64>,
    /// Time at which the market opens [default: now; with --to: 2026-01-02T14:30:00Z]
    #[arg(long, value_name = "RFC3339")]
    start: Option<UnixNanos>,
    /// Write the ticks as JSON lines to a file, or to standard output with -, at full speed instead
    /// of publishing
    #[arg(long, value_name = "FILE", requires = "limit")]
    to: Option<PathBuf>,
    #[command(flatten)]
    hub: HubArgs,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let speed = if args.to.is_some() { Speed::Max } else { Speed::Times(1.0) };
    let restamp = args.to.is_none() && args.start.is_none();
    let config = SimConfig {
        symbols: args.symbols,
        rate: args.rate,
        seed: args.seed,
        start: args.start.unwrap_or(SimConfig::START),
        ticks_max: args.ticks,
        duration: args.duration,
    };
    let title = format!(
        "simulating {} symbols at {} ticks/s with seed {}",
        config.symbols, config.rate, config.seed
    );
    let source = Simulator::new(config);
    let pace = Pace { speed, restamp };
    let destination = Destination::new(args.to, pace, args.hub)?;
    Job { source, pace, destination, title }.run()
}

fn ticks(text: &str) -> Result<u64, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| "expected a whole number from 1".to_owned())
}
