//! Command line options.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

pub(crate) const USAGE: &str = "\
Injects faults between a simulated market and 40 clients: kills hub and feeder, cuts and pauses
connections, fills the disk. The clients check every tick they receive.

Usage: cargo xtask chaos [--seed N] [--minutes M] [--memory] [--tickwire PATH]

  --seed N         selects the market and the faults [default: random]
  --minutes M      length of the run, 0.2 to 600 [default: 1]
  --memory         run the hub without a log on disk, so that each restart starts a new epoch
  --tickwire PATH  the tickwire program [default: the one next to this program]
";

/// Parsed command line options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) seed: Option<u64>,
    pub(crate) length: Duration,
    pub(crate) memory: bool,
    pub(crate) tickwire: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let length = Duration::from_mins(1);
        let mut options = Self { seed: None, length, memory: false, tickwire: None };
        while let Some(flag) = args.next() {
            let mut value = || args.next().with_context(|| format!("{flag}: expected a value"));
            match flag.as_str() {
                "--memory" => options.memory = true,
                "--seed" => options.seed = Some(seed(&value()?)?),
                "--minutes" => options.length = minutes(&value()?)?,
                "--tickwire" => options.tickwire = Some(value()?.into()),
                _ => bail!("{flag}: unknown flag"),
            }
        }
        Ok(options)
    }
}

fn seed(value: &str) -> Result<u64> {
    value
        .parse()
        .ok()
        .with_context(|| format!("--seed {value}: expected a whole number from 0 to {}", u64::MAX))
}

fn minutes(value: &str) -> Result<Duration> {
    let minutes: Option<f64> = value.parse().ok();
    let minutes = minutes.filter(|minutes| (0.2..=600.0).contains(minutes));
    let minutes = minutes.with_context(|| format!("--minutes {value}: expected 0.2 to 600"))?;
    Ok(Duration::from_secs_f64(60.0 * minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options> {
        Options::parse(line.split_whitespace().map(str::to_owned))
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
            ("--seed x", "--seed x: expected a whole number from 0 to 18446744073709551615"),
            ("--minutes 0", "--minutes 0: expected 0.2 to 600"),
            ("--minutes", "--minutes: expected a value"),
            ("--speed 3", "--speed: unknown flag"),
        ] {
            assert_eq!(parsed(line).unwrap_err().to_string(), message);
        }
    }
}
