//! `tickwire feed replay`.

use std::path::{Path, PathBuf};

use tickwire_feeder::{OnError, Pace, Replay, ReplayConfig, Speed};

use super::Job;
use super::destination::{Destination, HubArgs};

const EXAMPLES: &str = "\
Examples:
  tickwire feed sim --ticks 1000 --to day.ndjson         record something first
  tickwire feed replay day.ndjson                        as fast as it happened
  tickwire feed replay day.ndjson --restamp --loop       over and over, as if it happened now
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
    /// How many times as fast as it happened, or max [default: 1; with --to max]
    #[arg(long, value_name = "TIMES|max", allow_negative_numbers = true)]
    speed: Option<Speed>,
    /// Shift event times so that the first tick happens now
    #[arg(long)]
    restamp: bool,
    /// Begin again at the end, with later event times
    #[arg(long = "loop")]
    repeat: bool,
    /// What to do about a malformed line: skip counts it and goes on
    #[arg(
        long,
        value_name = "stop|skip",
        value_enum,
        default_value = "stop",
        hide_possible_values = true
    )]
    on_error: OnErrorArg,
    /// Write lines of JSON to a file, or - for standard output, instead of publishing
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
