//! `tickwire hub`: the server.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::available_parallelism;

use anyhow::Context;
use tickwire_hub::{Config, Hub};

use crate::flags::{listen, usage};
use crate::logging::{self, LogFormat};
use crate::shutdown;

/// Flags of `tickwire hub`. What is not given comes from the config file, then from the defaults.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickwire hub
  tickwire hub --listen 0.0.0.0:8080 --publish-token \"$TOKEN\" --allow-origin https://prices.example
  tickwire hub --config tickwire.toml --log json

Then open http://127.0.0.1:8080, or run `tickwire feed sim` and `tickwire watch AAPL`.
The config file may set every limit; README.md lists them.")]
pub(crate) struct Args {
    /// Address to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT", env = "TICKWIRE_LISTEN", value_parser = listen)]
    listen: Option<SocketAddr>,
    /// Threads that serve subscribers [default: one per core but one]
    #[arg(long, value_name = "N", env = "TICKWIRE_SHARDS")]
    shards: Option<usize>,
    /// Names of the feeds, the default one first [default: main]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', env = "TICKWIRE_FEEDS")]
    feeds: Option<Vec<String>>,
    /// What publishers must show; without it anyone who reaches the hub may publish
    #[arg(long, value_name = "TOKEN", env = "TICKWIRE_PUBLISH_TOKEN", hide_env_values = true)]
    publish_token: Option<String>,
    /// Origin of pages that may connect too: scheme and host, no path; may be repeated
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',', env = "TICKWIRE_ALLOW_ORIGIN")]
    allow_origin: Option<Vec<String>>,
    /// Most subscriber sessions [default: 20000]
    #[arg(long, value_name = "N", env = "TICKWIRE_SESSIONS_MAX")]
    sessions_max: Option<usize>,
    /// Most ticks a session may be behind before it is closed as slow [default: 500000]
    #[arg(long, value_name = "TICKS", env = "TICKWIRE_BACKLOG_TICKS_MAX")]
    backlog_ticks_max: Option<usize>,
    /// File with settings (TOML)
    #[arg(long, value_name = "FILE", env = "TICKWIRE_CONFIG")]
    config: Option<PathBuf>,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", default_value = "text", env = "TICKWIRE_LOG_FORMAT")]
    log: LogFormat,
}

impl Args {
    fn config(self) -> anyhow::Result<Config> {
        let mut config = match &self.config {
            Some(path) => Config::from_file(path)?,
            None => Config::default(),
        };
        let Self { listen, shards, feeds, sessions_max, backlog_ticks_max, allow_origin, .. } =
            self;
        config.listen = listen.unwrap_or(config.listen);
        config.shards = shards.unwrap_or(config.shards);
        config.feeds = feeds.unwrap_or(config.feeds);
        config.sessions_max = sessions_max.unwrap_or(config.sessions_max);
        config.backlog_ticks_max = backlog_ticks_max.unwrap_or(config.backlog_ticks_max);
        config.allow_origins = allow_origin.unwrap_or(config.allow_origins);
        config.publish_token = self.publish_token.or(config.publish_token);
        Ok(config)
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    logging::begin(args.log, "info");
    let config = args.config()?;
    if let Err(error) = config.check() {
        usage(&format!("setting {error}")); // each flag sets the setting of its name
    }
    runtime()?.block_on(async {
        let cancel = shutdown::on_signal()?;
        let hub = Hub::start(config).await?;
        announce(&hub)?;
        cancel.cancelled().await;
        hub.shutdown().await;
        Ok(())
    })
}

/// The HTTP front and publishers need little: the shards are threads of their own. Two workers on two
/// cores would wake each other for every message.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let workers = available_parallelism().map_or(1, |cores| cores.get().div_ceil(4));
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .context("cannot start")
}

/// Says where the hub listens, on standard output so that scripts can wait for it.
pub(crate) fn announce(hub: &Hub) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "listening on http://{}", hub.address())?;
    out.flush()?;
    Ok(())
}
