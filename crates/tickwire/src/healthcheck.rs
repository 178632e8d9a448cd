//! `tickwire healthcheck`: for containers, which have no curl.

use std::time::Duration;

use anyhow::Context;
use tickwire_client::http::Get;
use tickwire_protocol::{HubUrl, Printable};

use crate::flags::{DEFAULT_HUB, hinted};
use crate::tls::TlsArgs;

/// Flags of `tickwire healthcheck`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address of the hub to ask
    #[arg(long, value_name = "URL", default_value = DEFAULT_HUB, env = "TICKWIRE_HUB")]
    hub: HubUrl,
    #[command(flatten)]
    tls: TlsArgs,
}

const TIMEOUT: Duration = Duration::from_millis(1_500);

/// The longest answer to show, in bytes.
const ANSWER_BYTES_MAX: usize = 200;

/// Asks the hub whether it is ready; fails if it is not.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let tls = args.tls.client_config()?;
    let get = Get { token: None, tls, timeout: TIMEOUT, body_bytes_max: ANSWER_BYTES_MAX };
    let response = get
        .send(&args.hub, "/readyz")
        .with_context(|| format!("cannot reach the hub at {}", args.hub))
        .map_err(hinted)?;
    let message = String::from_utf8_lossy(&response.body);
    let message = Printable(message.trim()).cut(ANSWER_BYTES_MAX);
    anyhow::ensure!(response.status == 200, "not ready: HTTP {} {message}", response.status);
    Ok(())
}
