//! `tickwire hub`: the server.

mod settings;
mod views;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::thread::available_parallelism;

use anyhow::{Context, anyhow};
use tickwire_hub::{Config, ConfigError, Hub, StartError};

use crate::environment;
use crate::flags::usage;
use crate::logging::{Log, LogFilter, LogFormat};
use crate::{output, shutdown};
use settings::SettingFlags;
pub(crate) use settings::with_help_of_settings;

/// Flags of `tickwire hub`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickwire hub
  tickwire keys add market --role publish; tickwire hub --listen 0.0.0.0:8080 --keys keys.toml
  tickwire hub --listen 0.0.0.0:8080 --open --allow-origins https://prices.example
  tickwire hub --data-dir /var/lib/tickwire
  tickwire hub --data-dir /var/lib/tickwire --views delayed=main+5m,hour=main+1h
  tickwire hub --listen 0.0.0.0:8443 --keys keys.toml --tls-cert hub.pem --tls-key hub.key
  tickwire hub --config tickwire.toml --log-format json

Then open http://127.0.0.1:8080, or run `tickwire feed sim` and `tickwire watch AAPL`.
Flags take precedence over environment variables, and those over the config file, which may set
every limit: `tickwire config` prints one.")]
pub(crate) struct Args {
    #[command(flatten)]
    settings: SettingFlags,
    /// File with settings (TOML); `tickwire config` prints one
    #[arg(long, value_name = "FILE", env = "TICKWIRE_CONFIG")]
    config: Option<PathBuf>,
    /// Format of log lines
    #[arg(long, value_name = "FORMAT", default_value = "text", env = "TICKWIRE_LOG_FORMAT")]
    log_format: LogFormat,
}

/// Runs a hub until it is asked to end.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let config = args.config()?;
    let checked = config.check().and_then(|()| log_filter(&config));
    let filter = checked.unwrap_or_else(|error| {
        usage(&match &error {
            // Without a file only a flag can have set it, and a flag is named like its setting.
            ConfigError::Setting { name, given, allowed } if args.config.is_none() => {
                format!("--{} is {given}: {allowed}", name.replace('_', "-"))
            }
            error => format!("setting {error}"),
        })
    });
    let log = Log::start(args.log_format, filter)?;
    environment::unknown_variables().iter().for_each(|warning| tracing::warn!("{warning}"));
    runtime()?.block_on(async {
        let cancel = shutdown::on_signal()?;
        let mut hangups = shutdown::hangups()?;
        let hub = start(config).await?;
        announce(&hub);
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                () = hub.drain_requested() => break,
                _ = hangups.recv() => args.reload(&hub, &log).await,
            }
        }
        shutdown::at_once_on_next_signal(&log.flush)?;
        hub.shutdown().await;
        Ok(())
    })
}

impl Args {
    /// Returns the settings of the config file, or the defaults, changed by flags and environment.
    fn config(&self) -> anyhow::Result<Config> {
        let mut config = match &self.config {
            Some(path) => Config::from_file(path)?,
            None => Config::default(),
        };
        self.settings.clone().apply(&mut config);
        Ok(config)
    }

    /// Applies keys, certificate and log level as their files have them now. A file with an error
    /// changes nothing and is logged.
    async fn reload(&self, hub: &Hub, log: &Log) {
        tracing::info!("SIGHUP: reloading keys, certificate and log level");
        let filter = self.config().and_then(|config| Ok(log_filter(&config)?));
        match filter {
            Ok(filter) => log.set_filter(filter),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "cannot use the config file; the log level stays the same");
            }
        }
        hub.reload().await;
    }
}

/// Returns the filter of the log.
fn log_filter(config: &Config) -> Result<LogFilter, ConfigError> {
    LogFilter::parse(&config.log).map_err(|expected| ConfigError::Setting {
        name: "log",
        given: format!("{:?}", config.log),
        allowed: expected.to_owned(),
    })
}

/// Creates the runtime of a hub's command. It needs few workers, since a hub runs on threads of its
/// own, and two workers on two cores would wake each other for every message of a feed.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let workers = available_parallelism().map_or(1, |cores| cores.get().div_ceil(4));
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .context("cannot start")
}

/// Starts a hub. The error for a port in use says what to do.
pub(crate) async fn start(config: Config) -> anyhow::Result<Hub> {
    Hub::start(config).await.map_err(|error| match &error {
        StartError::Listen { source, .. } if source.kind() == ErrorKind::AddrInUse => {
            let error = anyhow::Error::new(error);
            anyhow!("{error:#}; choose another address or port with --listen")
        }
        _ => error.into(),
    })
}

/// Prints the address of a hub to standard output, where scripts can wait for it. A hub whose
/// standard output is gone serves its clients all the same.
pub(crate) fn announce(hub: &Hub) {
    if let Err(error) = output::print_all(&format!("listening on {}\n", hub.url())) {
        tracing::warn!(%error, "cannot print the address to standard output");
    }
}
