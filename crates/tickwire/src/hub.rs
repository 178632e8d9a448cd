//! `tickwire hub`: the server.

mod views;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::Context;
use tickwire_hub::{ByteSize, Config, ConfigError, Fsync, Hub};

use crate::flags::{duration, listen, usage};
use crate::logging::{self, LogFormat};
use crate::shutdown;
use views::ViewsArgs;

/// Flags of `tickwire hub`. What is not given comes from the config file, then from the defaults.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickwire hub
  tickwire keys add market --role publish; tickwire hub --listen 0.0.0.0:8080 --keys keys.toml
  tickwire hub --listen 0.0.0.0:8080 --open --allow-origins https://prices.example
  tickwire hub --data-dir /var/lib/tickwire
  tickwire hub --data-dir /var/lib/tickwire --views delayed=main+5m,hour=main+1h
  tickwire hub --listen 0.0.0.0:8443 --keys keys.toml --tls-cert hub.pem --tls-key hub.key
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
    #[command(flatten)]
    views: ViewsArgs,
    #[command(flatten)]
    keys: KeysArgs,
    #[command(flatten)]
    tls: TlsArgs,
    /// Publishers may show this in place of a key; without it and without --keys anyone who reaches the
    /// hub may publish
    #[arg(long, value_name = "TOKEN", env = "TICKWIRE_PUBLISH_TOKEN", hide_env_values = true)]
    publish_token: Option<String>,
    /// Origin of pages that may connect too: scheme and host, no path; may be repeated
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',', env = "TICKWIRE_ALLOW_ORIGINS")]
    allow_origins: Option<Vec<String>>,
    /// Most subscriber sessions [default: 20000]
    #[arg(long, value_name = "N", env = "TICKWIRE_SESSIONS_MAX")]
    sessions_max: Option<usize>,
    /// Most ticks a session may be behind before it is closed as slow [default: 500000]
    #[arg(long, value_name = "TICKS", env = "TICKWIRE_BACKLOG_TICKS_MAX")]
    backlog_ticks_max: Option<usize>,
    #[command(flatten)]
    history: HistoryArgs,
    /// Make bars of trades where no feed supplies them [default: on]
    #[arg(long, value_name = "on|off", env = "TICKWIRE_BARS", value_parser = on_off)]
    bars: Option<bool>,
    /// Over how long sessions are told to leave at shutdown [default: 5s]
    #[arg(long, value_name = "TIME", env = "TICKWIRE_DRAIN_DURATION", value_parser = duration)]
    drain_duration: Option<Duration>,
    /// Administrators may show this in place of a key, at least 8 visible ASCII characters; without it and
    /// without --keys nobody may POST /api/drain
    #[arg(long, value_name = "TOKEN", env = "TICKWIRE_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
    /// File with settings (TOML)
    #[arg(long, value_name = "FILE", env = "TICKWIRE_CONFIG")]
    config: Option<PathBuf>,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", default_value = "text", env = "TICKWIRE_LOG_FORMAT")]
    log: LogFormat,
}

/// Flags about who may connect.
#[derive(Debug, clap::Args)]
struct KeysArgs {
    /// File of the keys that open the hub; `tickwire keys add` makes one. Changes of it count at once
    /// [default: none, no key is needed]
    #[arg(long, value_name = "FILE", env = "TICKWIRE_KEYS")]
    keys: Option<PathBuf>,
    /// Needs no key although others than this machine can reach it
    #[arg(long, env = "TICKWIRE_OPEN")]
    open: bool,
}

impl KeysArgs {
    /// Sets what is given, which takes the place of the other in a config file.
    fn set(self, config: &mut Config) {
        match (self.keys, self.open) {
            (None, false) => {}
            (keys, open) => (config.keys, config.open) = (keys, open),
        }
    }
}

/// Flags about connections that are encrypted.
#[derive(Debug, clap::Args)]
struct TlsArgs {
    /// File with a certificate, and those between it and its authority (PEM); with it clients may connect
    /// with https:// and wss:// too. A new one counts at once [default: none, no TLS]
    #[arg(long, value_name = "FILE", env = "TICKWIRE_TLS_CERT")]
    tls_cert: Option<PathBuf>,
    /// File with the key of the certificate (PEM)
    #[arg(long, value_name = "FILE", env = "TICKWIRE_TLS_KEY")]
    tls_key: Option<PathBuf>,
}

impl TlsArgs {
    fn set(self, config: &mut Config) {
        config.tls_cert = self.tls_cert.or_else(|| config.tls_cert.take());
        config.tls_key = self.tls_key.or_else(|| config.tls_key.take());
    }
}

/// Flags about what is kept of the past.
#[derive(Debug, clap::Args)]
struct HistoryArgs {
    /// Folder of a log on disk, with which history and numbers outlive the process [default: none]
    #[arg(long, value_name = "DIR", env = "TICKWIRE_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// When the log on disk is made to survive a failure of the machine: never, once a second, or
    /// before publishers are acknowledged [default: 1s]
    #[arg(long, value_name = "never|1s|ack", env = "TICKWIRE_FSYNC")]
    fsync: Option<Fsync>,
    /// Most memory for history, such as 256MiB [default: 256MiB]
    #[arg(long, value_name = "SIZE", env = "TICKWIRE_LOG_SIZE")]
    log_size: Option<ByteSize>,
    /// How old history in memory may be [default: 24h]
    #[arg(long, value_name = "TIME", env = "TICKWIRE_LOG_AGE", value_parser = duration)]
    log_age: Option<Duration>,
    /// Most room on disk for the log, beside checkpoints [default: 8GiB]
    #[arg(long, value_name = "SIZE", env = "TICKWIRE_DISK_SIZE")]
    disk_size: Option<ByteSize>,
    /// How long the log on disk goes back from its newest tick [default: 7d]
    #[arg(long, value_name = "TIME", env = "TICKWIRE_DISK_AGE", value_parser = duration)]
    disk_age: Option<Duration>,
}

impl HistoryArgs {
    fn set(self, config: &mut Config) {
        config.data_dir = self.data_dir.or_else(|| config.data_dir.take());
        let of_disk = [
            ("--fsync", self.fsync.is_some()),
            ("--disk-size", self.disk_size.is_some()),
            ("--disk-age", self.disk_age.is_some()),
        ];
        if let Some((flag, _)) = of_disk.iter().find(|(_, given)| *given)
            && config.data_dir.is_none()
        {
            usage(&format!("{flag} is about the log on disk: expected --data-dir with it"));
        }
        config.fsync = self.fsync.unwrap_or(config.fsync);
        config.log_size = self.log_size.unwrap_or(config.log_size);
        config.log_age = self.log_age.unwrap_or(config.log_age);
        config.disk_size = self.disk_size.unwrap_or(config.disk_size);
        config.disk_age = self.disk_age.unwrap_or(config.disk_age);
    }
}

fn on_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off".to_owned()),
    }
}

impl Args {
    fn config(self) -> anyhow::Result<Config> {
        let mut config = match &self.config {
            Some(path) => Config::from_file(path)?,
            None => Config::default(),
        };
        let Self { listen, shards, feeds, sessions_max, backlog_ticks_max, allow_origins, .. } =
            self;
        config.listen = listen.unwrap_or(config.listen);
        config.shards = shards.unwrap_or(config.shards);
        config.feeds = feeds.unwrap_or(config.feeds);
        config.sessions_max = sessions_max.unwrap_or(config.sessions_max);
        config.backlog_ticks_max = backlog_ticks_max.unwrap_or(config.backlog_ticks_max);
        config.allow_origins = allow_origins.unwrap_or(config.allow_origins);
        config.publish_token = self.publish_token.or(config.publish_token);
        config.admin_token = self.admin_token.or(config.admin_token);
        config.bars = self.bars.unwrap_or(config.bars);
        config.drain_duration = self.drain_duration.unwrap_or(config.drain_duration);
        self.keys.set(&mut config);
        self.tls.set(&mut config);
        self.views.set(&mut config);
        self.history.set(&mut config);
        Ok(config)
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    logging::begin(args.log, "info");
    let has_file = args.config.is_some();
    let config = args.config()?;
    if let Err(error) = config.check() {
        usage(&match &error {
            // Nothing else can have set it.
            ConfigError::Setting { name, given, allowed } if !has_file => {
                format!("--{} is {given}: {allowed}", name.replace('_', "-"))
            }
            error => format!("setting {error}"), // each flag sets the setting of its name
        });
    }
    runtime()?.block_on(async {
        let cancel = shutdown::on_signal()?;
        let hub = Hub::start(config).await?;
        announce(&hub)?;
        tokio::select! {
            () = cancel.cancelled() => {}
            () = hub.drain_asked() => {}
        }
        shutdown::at_once_on_next_signal()?;
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
    writeln!(out, "listening on {}", hub.url())?;
    out.flush()?;
    Ok(())
}
