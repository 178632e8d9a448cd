//! Command line options.

use clap::Parser;
use tickwire_benches::hub_address::host_and_port;

const EXAMPLES: &str = "\
Examples:
  churn                                                  the default load for ten seconds
  churn --hub ws://127.0.0.1:9000 --sessions 400 --rate 10000 --secs 30
  churn --new-names 100000                               first ticks of new symbols

Many sessions unsubscribe from their symbols and subscribe again at a fixed total rate, and check
every response. The times of turns are those of the hub's metrics. A hub and a feeder must be
running: see benches/README.md.";

/// Measures the cost of commands for the shards of a running hub.
#[derive(Debug, PartialEq, Eq, Parser)]
#[command(name = "churn", after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Address of the hub, without TLS and path prefix
    #[arg(long, value_name = "URL", default_value = "ws://127.0.0.1:8080",
        value_parser = host_and_port)]
    pub(crate) hub: String,
    /// Number of sessions, at most 10,000
    #[arg(long, value_name = "N", default_value_t = 400,
        value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) sessions: u64,
    /// Commands per second over all sessions, at most 1,000,000
    #[arg(long, value_name = "N", default_value_t = 20_000,
        value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) rate: u64,
    /// Length of the measurement in seconds, at most 600
    #[arg(long, value_name = "N", default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) secs: u64,
    /// Publish a first tick of this many new symbols, at most 1,000,000, and print their cost for
    /// the router, instead of measuring commands
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) new_names: Option<u64>,
}

impl Options {
    /// Returns the total number of commands.
    pub(crate) const fn commands(&self) -> u64 {
        self.rate * self.secs
    }
}

#[cfg(test)]
mod tests {
    use clap::error::Result;

    use super::*;

    fn parsed(line: &str) -> Result<Options> {
        Options::try_parse_from(["churn"].into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn flags_replace_defaults() {
        let options = parsed("--hub ws://[::1]:9000/ --rate 50 --secs 3").unwrap();
        assert_eq!((options.hub.as_str(), options.sessions), ("[::1]:9000", 400));
        assert_eq!(options.commands(), 150);
        assert_eq!(parsed("").unwrap().hub, "127.0.0.1:8080");
    }

    #[test]
    fn invalid_flags_are_rejected_with_the_allowed_values() {
        for (line, message) in [
            ("--rate 0", "invalid value '0' for '--rate <N>': 0 is not in 1..=1000000"),
            (
                "--hub wss://localhost",
                "invalid value 'wss://localhost' for '--hub <URL>': TLS and path prefixes are not \
                 supported",
            ),
            ("--secs", "a value is required for '--secs <N>'"),
            ("--speed 3", "unexpected argument '--speed'"),
        ] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
