//! Destination of the ticks of `tickwire feed`: a hub, a file or standard output.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tickwire_feeder::{AuthoritiesError, Pace, PublisherConfig, PublisherId, Speed};

use crate::connection::ConnectionArgs;
use crate::flags::{some_duration, usage};

/// Flags for publishing to a hub.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Hub")]
pub(super) struct HubArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Id of this publisher. A later run of the same source with the same id resumes where this run
    /// ended, even after a crash [default: a new id, which starts from the beginning]
    #[arg(long, value_name = "ID", env = "TICKWIRE_PUBLISHER")]
    publisher: Option<PublisherId>,
    /// What to do with ticks that are due while the hub is unreachable or too slow: let them wait,
    /// or drop those overdue by more than --behind-max. Dropped ticks are counted and reported to
    /// subscribers as gaps
    #[arg(
        long,
        value_name = "wait|drop",
        env = "TICKWIRE_WHEN_BEHIND",
        value_enum,
        default_value = "wait",
        hide_possible_values = true
    )]
    when_behind: WhenBehind,
    /// With --when-behind drop: how long a tick may be overdue [default: 1s]
    #[arg(long, value_name = "TIME", env = "TICKWIRE_BEHIND_MAX", value_parser = some_duration)]
    behind_max: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum WhenBehind {
    Wait,
    Drop,
}

/// Default of `--behind-max`: how long a tick may be overdue before it is dropped.
const BEHIND_MAX: Duration = Duration::from_secs(1);

impl HubArgs {
    /// Returns the configuration of the publisher.
    ///
    /// # Errors
    /// Fails if the file of authorities cannot be used.
    pub(super) fn config(self, pace: Pace) -> Result<PublisherConfig, AuthoritiesError> {
        let behind_max = self.behind_max(pace);
        let ConnectionArgs { hub, feed, token, tls } = self.connection;
        let mut config = PublisherConfig::new(hub);
        config.behind_max = behind_max;
        config.feed = feed;
        config.authorities = tls.read()?;
        config.token = token.read();
        if let Some(publisher) = self.publisher {
            config.publisher = publisher;
        }
        Ok(config)
    }

    /// Returns how long a tick may be overdue; `None` for no limit. Exits with a usage error if the
    /// flags do not fit together.
    fn behind_max(&self, pace: Pace) -> Option<Duration> {
        match (self.when_behind, self.behind_max) {
            (WhenBehind::Wait, None) => None,
            (WhenBehind::Wait, Some(most)) => usage(&format!(
                "--behind-max {}: allowed only with --when-behind drop; without it ticks wait",
                humantime::format_duration(most)
            )),
            (WhenBehind::Drop, _) if pace.speed == Speed::Max => {
                usage("--when-behind drop: not with --speed max, which has no schedule")
            }
            (WhenBehind::Drop, most) => Some(most.unwrap_or(BEHIND_MAX)),
        }
    }
}

/// Destination of the ticks.
#[derive(Debug)]
pub(super) enum Destination {
    Hub(Box<PublisherConfig>),
    File(PathBuf),
    Stdout,
}

impl Destination {
    /// Returns the destination `--to` if given, else the hub. `to` takes precedence because the hub
    /// may come from an environment variable.
    ///
    /// # Errors
    /// Fails if the file of authorities cannot be used.
    pub(super) fn new(
        to: Option<PathBuf>,
        pace: Pace,
        args: HubArgs,
    ) -> Result<Self, AuthoritiesError> {
        Ok(match to {
            Some(path) if path.as_os_str() == "-" => Self::Stdout,
            Some(path) => Self::File(path),
            None => Self::Hub(Box::new(args.config(pace)?)),
        })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub(config) => {
                write!(f, "{} (feed {}, publisher {})", config.hub, config.feed, config.publisher)
            }
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Stdout => f.write_str("standard output"),
        }
    }
}
