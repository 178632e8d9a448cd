//! Command line options.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;

const EXAMPLES: &str = "\
Examples:
  cargo xtask chaos                                      one minute, random seed
  cargo xtask chaos --seed 1 --minutes 10                the same faults each time
  cargo xtask chaos --memory --tickwire target/release/tickwire

The faults: kills of hub and feeder, cut and paused connections, a full disk, clock jumps.";

/// Injects faults between a simulated market and 40 clients, which check every tick they receive.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(name = "chaos", override_usage = "cargo xtask chaos [OPTIONS]", after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Selects the market and the faults [default: random]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Length of the run in minutes, 0.2 to 600
    #[arg(long = "minutes", value_name = "M", default_value = "1", value_parser = minutes)]
    pub(crate) length: Duration,
    /// Run the hub without a log on disk, so that each restart starts a new epoch
    #[arg(long)]
    pub(crate) memory: bool,
    /// The tickwire program [default: the one next to this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) tickwire: Option<PathBuf>,
}

fn minutes(value: &str) -> Result<Duration> {
    let minutes: Option<f64> = value.parse().ok();
    let minutes = minutes.filter(|minutes| (0.2..=600.0).contains(minutes));
    Ok(Duration::from_secs_f64(60.0 * minutes.context("expected 0.2 to 600")?))
}

#[cfg(test)]
mod tests {
    use clap::error::Result;

    use super::*;

    fn parsed(line: &str) -> Result<Options> {
        Options::try_parse_from(["chaos"].into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn flags_replace_defaults() {
        let options = parsed("--seed 7 --minutes 0.5 --memory").unwrap();
        assert_eq!((options.seed, options.length.as_secs(), options.memory), (Some(7), 30, true));
        assert_eq!(parsed("").unwrap().length, Duration::from_mins(1));
    }

    #[test]
    fn invalid_flags_are_rejected_with_the_allowed_values() {
        for (line, message) in [
            ("--seed x", "invalid value 'x' for '--seed <N>'"),
            ("--minutes 0", "invalid value '0' for '--minutes <M>': expected 0.2 to 600"),
            ("--minutes", "a value is required for '--minutes <M>'"),
            ("--speed 3", "unexpected argument '--speed'"),
        ] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
