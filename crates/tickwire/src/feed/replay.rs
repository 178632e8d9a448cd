//! `tickwire feed replay`: publishes recorded ticks from files.

use std::path::{Path, PathBuf};

use tickwire_feeder::{OnError, Pace, Replay, ReplayConfig, Speed};

use super::Job;
use super::destination::{Destination, HubArgs};

const EXAMPLES: &str = "\
Examples:
  tickwire feed sim --ticks 1000 --to day.ndjson         record a file first
  tickwire feed replay day.ndjson                        at the original speed
  tickwire feed replay day.ndjson --restamp --loop       repeat forever, with current times
  tickwire feed replay trades.csv.gz quotes.csv.gz --speed 60
  tickwire feed replay trades.csv.gz quotes.csv.gz --to merged.ndjson

Files:
  .csv    time,symbol,exchange,price,size,conditions,correction     trades
  .csv    time,symbol,exchange,bid,bid_size,ask,ask_size            quotes
  .ndjson a tick as a JSON object on each line
  Each may be compressed: .csv.gz, .ndjson.gz. Several are merged by time.";

/// Flags of `tickwire feed replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Files of trades, quotes or ticks
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Speed as a multiple of the original, or max [default: 1; with --to: max]
    #[arg(long, value_name = "TIMES|max", allow_negative_numbers = true)]
    speed: Option<Speed>,
    /// Shift the event times so that the first tick has the current time
    #[arg(long)]
    restamp: bool,
    /// Start over at the end, with later event times
    #[arg(long = "loop")]
    repeat: bool,
    /// What to do with a malformed line: stop with an error, or skip and count it
    #[arg(
        long,
        value_name = "stop|skip",
        value_enum,
        default_value = "stop",
        hide_possible_values = true
    )]
    on_error: OnErrorArg,
    /// Write the ticks as JSON lines to a file, or to standard output with -, instead of publishing
    #[arg(long, value_name = "FILE", conflicts_with = "repeat")]
    to: Option<PathBuf>,
    #[command(flatten)]
    hub: HubArgs,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum OnErrorArg {
    Stop,
    Skip,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let usual = if args.to.is_some() { Speed::Max } else { Speed::Times(1.0) };
    let pace = Pace { speed: args.speed.unwrap_or(usual), restamp: args.restamp };
    if let Some(to) = &args.to
        && let Some(file) = args.files.iter().find(|file| is_same(file, to))
    {
        anyhow::bail!("--to {}: it is one of the files to read", file.display());
    }
    let title = match args.files.as_slice() {
        [file] => format!("replaying {} at speed {}", file.display(), pace.speed),
        files => format!("replaying {} files at speed {}", files.len(), pace.speed),
    };
    let on_error = match args.on_error {
        OnErrorArg::Stop => OnError::Stop,
        OnErrorArg::Skip => OnError::Skip,
    };
    let config = ReplayConfig { files: args.files, repeat: args.repeat, on_error };
    let destination = Destination::new(args.to, pace, args.hub)?;
    let source = Replay::open(config)?;
    Job { source, pace, destination, title }.run()
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
