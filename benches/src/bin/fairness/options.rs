//! Command line options.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::attack::Attack;
use crate::attacks::ATTACKS;

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench fairness                            every attack, about 5 minutes
  cargo xtask bench fairness --only replays,snapshots   two attacks
  cargo xtask bench fairness --markdown                 the table for docs/reliability.md";

/// Runs attacks on a hub beside honest clients, and prints what these clients notice.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(name = "fairness", override_usage = "cargo xtask bench fairness [OPTIONS]", after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Attacks, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = attack_name)]
    only: Vec<String>,
    /// Duration of each of the two measurements of an attack, in seconds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Prints the table in Markdown
    #[arg(long)]
    pub(crate) markdown: bool,
    /// The tickwire program [default: the one next to this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) tickwire: Option<PathBuf>,
}

fn attack_name(name: &str) -> Result<String, String> {
    if ATTACKS.iter().any(|attack| attack.name == name) {
        return Ok(name.to_owned());
    }
    let names: Vec<_> = ATTACKS.iter().map(|attack| attack.name).collect();
    Err(format!("unknown attack; expected one of {}", names.join(", ")))
}

impl Options {
    /// Returns the selected attacks, in the order of the table.
    pub(crate) fn attacks(&self) -> impl Iterator<Item = &'static Attack> {
        let is_selected = |attack: &&Attack| {
            self.only.is_empty() || self.only.iter().any(|name| name == attack.name)
        };
        ATTACKS.iter().filter(is_selected)
    }

    pub(crate) const fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live;

    fn parsed(line: &str) -> clap::error::Result<Options> {
        Options::try_parse_from(["fairness"].into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn attacks_are_selected_by_name_in_the_order_of_the_table() {
        let names = |line| -> Vec<_> {
            parsed(line).unwrap().attacks().map(|attack| attack.name).collect()
        };
        assert_eq!(names("").len(), ATTACKS.len());
        assert_eq!(names("--only metrics,replays"), ["replays", "metrics"]);
    }

    #[test]
    fn names_of_attacks_are_unique() {
        let mut names: Vec<_> = ATTACKS.iter().map(|attack| attack.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ATTACKS.len());
    }

    #[test]
    fn invalid_options_are_refused_with_what_is_allowed() {
        for (line, message) in [
            ("--only resets", "unknown attack; expected one of replays, "),
            ("--seconds 0", "0 is not in 1..=600"),
            ("--seconds soon", "invalid value 'soon' for '--seconds <N>'"),
        ] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn all_attacks_take_some_five_minutes() {
        let options = parsed("").unwrap();
        let one = |attack: &Attack| {
            attack.launch_time + live::WARM_UP + 2 * options.duration() + Duration::from_secs(3)
        };
        let all: Duration = options.attacks().map(one).sum();
        assert!(all < Duration::from_secs(330), "{all:?}");
    }
}
