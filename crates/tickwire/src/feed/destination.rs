//! Where the ticks of `tickwire feed` go.

use std::fmt;
use std::path::PathBuf;

use tickwire_feeder::{HubUrl, PublisherConfig, PublisherId};
use tickwire_protocol::Feed;

/// Flags about the hub.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Hub")]
pub(super) struct HubArgs {
    /// Address of the hub
    #[arg(long, value_name = "URL", env = "TICKWIRE_HUB", default_value = "ws://127.0.0.1:8080")]
    hub: HubUrl,
    /// Name of the feed that the ticks belong to
    #[arg(long, env = "TICKWIRE_FEED", default_value = Feed::DEFAULT)]
    feed: Feed,
    /// Publish token, where the hub asks for one
    #[arg(long, env = "TICKWIRE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Id of this publisher: with the same id, a later run of the same source goes on where this
    /// one ended [default: a new one each time]
    #[arg(long, value_name = "ID", env = "TICKWIRE_PUBLISHER")]
    publisher: Option<PublisherId>,
}

/// Where ticks go.
#[derive(Debug)]
pub(super) enum Destination {
    Hub(Box<PublisherConfig>),
    File(PathBuf),
    Stdout,
}

impl Destination {
    /// `to` wins over the hub, which may stand in the environment.
    pub(super) fn new(to: Option<PathBuf>, args: HubArgs) -> Self {
        match to {
            Some(path) if path.as_os_str() == "-" => Self::Stdout,
            Some(path) => Self::File(path),
            None => {
                let mut config = PublisherConfig::new(args.hub);
                config.feed = args.feed;
                config.token = args.token.filter(|token| !token.is_empty());
                if let Some(publisher) = args.publisher {
                    config.publisher = publisher;
                }
                Self::Hub(Box::new(config))
            }
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub(config) => write!(f, "{} (feed {})", config.hub, config.feed),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Stdout => f.write_str("standard output"),
        }
    }
}
