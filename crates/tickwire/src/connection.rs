//! Flags of commands that connect to a feed of a hub.

use tickwire_protocol::{Feed, HubUrl};

use crate::flags::DEFAULT_HUB;
use crate::tls::TlsArgs;
use crate::token::TokenArgs;

/// Flags for the connection to a feed of a hub.
#[derive(Debug, clap::Args)]
pub(crate) struct ConnectionArgs {
    /// Address of the hub
    #[arg(long, value_name = "URL", env = "TICKWIRE_HUB", default_value = DEFAULT_HUB)]
    pub(crate) hub: HubUrl,
    /// Name of the feed on the hub
    #[arg(long, env = "TICKWIRE_FEED", default_value = Feed::DEFAULT)]
    pub(crate) feed: Feed,
    #[command(flatten)]
    pub(crate) token: TokenArgs,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
}
