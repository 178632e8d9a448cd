//! Command line options.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};

const EXAMPLES: &str = "\
Examples:
  cargo run --release -p tickwire-benches --bin storm
  cargo run --release -p tickwire-benches --bin storm -- --clients 2000 --restart

The clients of a simulated market reconnect within a second and resume. The program prints the time
until all have caught up, and the effect on 100 clients that stay connected.";

/// Disconnects thousands of subscribers at the same time and measures their return.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(name = "storm", after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Clients that are disconnected, at most 15,000
    #[arg(long, value_name = "N", default_value_t = 9_000, value_parser = up_to(15_000))]
    pub(crate) clients: usize,
    /// Symbols of each client, at most 1,000 and at most --symbols
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = up_to(1_000))]
    pub(crate) names: usize,
    /// Symbols of the market, at most 100,000
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = up_to(100_000))]
    pub(crate) symbols: usize,
    /// Ticks per second of the market, at most 1,000,000
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = up_to(1_000_000))]
    pub(crate) rate: usize,
    /// Also restarts the hub by SIGTERM, with a log on disk
    #[arg(long)]
    pub(crate) restart: bool,
    /// The tickwire program [default: the one next to this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) tickwire: Option<PathBuf>,
}

fn up_to(max: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=max)
}

impl Options {
    /// Checks the relations between options.
    ///
    /// # Errors
    /// A client has more symbols than the market.
    pub(crate) fn check(self) -> Result<Self, clap::Error> {
        if self.names > self.symbols {
            let problem = format!("--names {}: expected at most --symbols", self.names);
            return Err(Self::command().error(ErrorKind::ValueValidation, problem));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use clap::error::Result;

    use super::*;

    fn parsed(line: &str) -> Result<Options> {
        let words = ["storm"].into_iter().chain(line.split_whitespace());
        Options::try_parse_from(words).and_then(Options::check)
    }

    #[test]
    fn flags_replace_defaults() {
        let options = parsed("--clients 50 --restart").unwrap();
        assert_eq!((options.clients, options.names, options.restart), (50, 50, true));
    }

    #[test]
    fn invalid_flags_are_rejected_with_the_allowed_values() {
        for (line, message) in [
            ("--clients 0", "invalid value '0' for '--clients <N>': 0 is not in 1..=15000"),
            ("--names 60 --symbols 50", "--names 60: expected at most --symbols"),
            ("--rate", "a value is required for '--rate <N>'"),
            ("--speed 3", "unexpected argument '--speed'"),
        ] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
