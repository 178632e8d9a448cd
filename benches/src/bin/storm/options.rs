//! Command line options.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

pub(crate) const USAGE: &str = "\
Disconnects thousands of subscribers of a simulated market at the same time. They reconnect within a
second and resume. Measures how long it takes until all have caught up, and the effect on others.

Usage: storm [--clients 9000] [--names 50] [--symbols 10000] [--rate 10000] [--restart] [--tickwire PATH]

  --clients N      clients that are disconnected
  --names N        symbols of each client
  --symbols N      symbols of the market
  --rate N         ticks per second of the market
  --restart        also restart the hub by SIGTERM, with a log on disk
  --tickwire PATH  the tickwire program [default: the one next to this program]
";

/// Parsed command line options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) clients: usize,
    pub(crate) names: usize,
    pub(crate) symbols: usize,
    pub(crate) rate: usize,
    pub(crate) restart: bool,
    pub(crate) tickwire: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            clients: 9_000,
            names: 50,
            symbols: 10_000,
            rate: 10_000,
            restart: false,
            tickwire: None,
        };
        while let Some(flag) = args.next() {
            let mut value = || args.next().with_context(|| format!("{flag}: expected a value"));
            match flag.as_str() {
                "--restart" => options.restart = true,
                "--tickwire" => options.tickwire = Some(value()?.into()),
                "--clients" => options.clients = number(&flag, &value()?, 15_000)?,
                "--names" => options.names = number(&flag, &value()?, 1_000)?,
                "--symbols" => options.symbols = number(&flag, &value()?, 100_000)?,
                "--rate" => options.rate = number(&flag, &value()?, 1_000_000)?,
                _ => bail!("{flag}: unknown flag"),
            }
        }
        if options.names > options.symbols {
            bail!("--names {}: expected at most --symbols", options.names);
        }
        Ok(options)
    }
}

fn number(flag: &str, value: &str, most: usize) -> Result<usize> {
    let number = value.parse().ok().filter(|number| (1..=most).contains(number));
    number.with_context(|| format!("{flag} {value}: expected a whole number, 1 to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags_replace_defaults() {
        let options = parsed("--clients 50 --restart").unwrap();
        assert_eq!((options.clients, options.names, options.restart), (50, 50, true));
    }

    #[test]
    fn invalid_flags_are_rejected_with_the_allowed_values() {
        for (line, message) in [
            ("--clients 0", "--clients 0: expected a whole number, 1 to 15000"),
            ("--names 60 --symbols 50", "--names 60: expected at most --symbols"),
            ("--rate", "--rate: expected a value"),
            ("--speed 3", "--speed: unknown flag"),
        ] {
            assert_eq!(parsed(line).unwrap_err().to_string(), message);
        }
    }
}
