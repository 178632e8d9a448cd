//! Command line options.

use crate::Result;

const USAGE: &str = "churn [--hub ws://127.0.0.1:8080] [--sessions 400] [--rate 20000] \
    [--secs 10] | [--new-names 100000]";

/// Parsed command line options.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Host and port of the hub.
    pub(crate) hub: String,
    pub(crate) sessions: u64,
    /// Commands per second over all sessions.
    pub(crate) rate: u64,
    pub(crate) secs: u64,
    /// Number of new symbols to publish a first tick of, instead of measuring commands.
    pub(crate) new_names: Option<u64>,
}

impl Options {
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            hub: "127.0.0.1:8080".to_owned(),
            sessions: 400,
            rate: 20_000,
            secs: 10,
            new_names: None,
        };
        while let Some(flag) = args.next() {
            let value = args.next().ok_or_else(|| format!("{flag}: expected {USAGE}"))?;
            match flag.as_str() {
                "--hub" => options.hub = address(&value)?,
                "--sessions" => options.sessions = number(&flag, &value, 10_000)?,
                "--rate" => options.rate = number(&flag, &value, 1_000_000)?,
                "--new-names" => options.new_names = Some(number(&flag, &value, 1_000_000)?),
                "--secs" => options.secs = number(&flag, &value, 600)?,
                _ => return Err(format!("{flag}: expected {USAGE}").into()),
            }
        }
        Ok(options)
    }

    /// Returns the total number of commands.
    pub(crate) const fn commands(&self) -> u64 {
        self.rate * self.secs
    }
}

fn address(value: &str) -> Result<String> {
    let address = value.strip_prefix("ws://").map(|rest| rest.trim_end_matches('/'));
    let address = address.filter(|address| address.contains(':') && !address.contains('/'));
    Ok(address.ok_or_else(|| format!("--hub {value}: expected ws://HOST:PORT"))?.to_owned())
}

fn number(flag: &str, value: &str, most: u64) -> Result<u64> {
    let number = value.parse().ok().filter(|number| (1..=most).contains(number));
    Ok(number.ok_or_else(|| format!("{flag} {value}: expected a whole number, 1 to {most}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags_replace_defaults() {
        let options = parsed("--hub ws://[::1]:9000/ --rate 50 --secs 3").unwrap();
        assert_eq!((options.hub.as_str(), options.sessions), ("[::1]:9000", 400));
        assert_eq!(options.commands(), 150);
    }

    #[test]
    fn invalid_flags_are_rejected_with_the_allowed_values() {
        for (line, named) in [
            ("--rate 0", "--rate 0: expected a whole number, 1 to 1000000"),
            ("--hub localhost", "--hub localhost: expected ws://HOST:PORT"),
            ("--secs", "--secs: expected churn"),
            ("--speed 3", "--speed: expected churn"),
        ] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.starts_with(named), "{error}");
        }
    }
}
