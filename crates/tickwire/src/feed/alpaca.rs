//! `tickwire feed alpaca`: relays Alpaca's stock stream, or another hub, to a hub.

use std::time::Duration;

use tickwire_feeder::{AlpacaConfig, AlpacaUrl, MarketHours, Pace, PublisherConfig, Speed, relay};
use tickwire_hub::{ByteSize, ByteSizeError};
use tickwire_protocol::{Channel, Credentials, Selection, Symbol};

use super::destination::{Destination, HubArgs};
use super::report::Report;
use super::run_with_report;
use crate::flags::{channel, duration, some_duration, symbol, usage};

const EXAMPLES: &str = "\
Examples:
  export APCA_API_KEY_ID=… APCA_API_SECRET_KEY=…
  tickwire feed alpaca --url wss://stream.data.alpaca.markets/v2/iex --symbols AAPL,MSFT
  tickwire feed alpaca --url wss://stream.data.alpaca.markets/v2/sip --symbols '*' --channels trades,bars
  tickwire feed alpaca --url wss://stream.data.alpaca.markets/v2/sip --on-demand
  tickwire feed alpaca --url ws://other-hub:8080/v2/sip --on-demand    from hub to hub

The relay holds the one connection that the key allows, and reconnects after every loss. The hub
reports the state of the upstream on its page and at /api/status.";

/// Flags of `tickwire feed alpaca`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("what").args(["symbols", "on_demand"]).multiple(true).required(true))]
pub(super) struct Args {
    /// Address of the stream, with its path: wss://HOST/v2/FEED, or ws:// without TLS
    #[arg(long, value_name = "URL", env = "TICKWIRE_ALPACA_URL")]
    url: AlpacaUrl,
    /// Id of the key; also from APCA_API_KEY_ID
    #[arg(long, value_name = "ID", env = "TICKWIRE_ALPACA_KEY")]
    key: Option<String>,
    /// Secret of the key; also from APCA_API_SECRET_KEY. Other users of the machine can see flags,
    /// so prefer the environment variable
    #[arg(long, env = "TICKWIRE_ALPACA_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// Symbols to relay, or '*' for all
    #[arg(long, value_name = "SYMBOL,…|*", value_delimiter = ',', value_parser = name)]
    symbols: Vec<Name>,
    /// Relay the symbols that subscribers of the hub are subscribed to
    #[arg(long)]
    on_demand: bool,
    /// Channels to relay; corrections and cancels come with trades [default: all]
    #[arg(long, value_name = "CHANNEL,…", value_delimiter = ',', value_parser = relayed)]
    channels: Vec<Channel>,
    /// With --on-demand: how long a symbol is kept after its last subscriber has left
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    linger: Duration,
    /// Reconnect when the stream is silent for this long while the market is open
    #[arg(long, value_name = "TIME|off", default_value = "30s", value_parser = silence)]
    data_timeout: Silence,
    /// When the market is open, on weekdays in New York time
    #[arg(long, value_name = "HH:MM-HH:MM|always", default_value = "09:30-16:00")]
    market_hours: MarketHours,
    /// Memory for ticks while the hub is unreachable; when it is full, the oldest ticks are
    /// dropped, counted, and reported to subscribers as gaps
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = buffer)]
    buffer: ByteSize,
    #[command(flatten)]
    hub: HubArgs,
}

/// A symbol, or `*` for all.
#[derive(Debug, Clone, Copy)]
enum Name {
    All,
    Symbol(Symbol),
}

/// Longest silence of the stream; `None` for no limit.
#[derive(Debug, Clone, Copy)]
struct Silence(Option<Duration>);

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let (config, hub) = configs(args)?;
    let what = match (&config.symbols, config.on_demand) {
        (Selection { all: true, .. }, _) => "all symbols".to_owned(),
        (Selection { symbols, .. }, false) => format!("{} symbols", symbols.len()),
        (Selection { symbols, .. }, true) if symbols.is_empty() => "symbols on demand".to_owned(),
        (Selection { symbols, .. }, true) => {
            format!("{} symbols and others on demand", symbols.len())
        }
    };
    let destination = Destination::Hub(Box::new(hub.clone()));
    let title = format!("relaying {what} from {} to {destination}", config.url);
    let report = Report::new(&destination)?.of_events_only();
    run_with_report(report, &title, async |cancel, progress| {
        relay(config, hub, cancel, progress).await?;
        Ok(())
    })
}

fn configs(args: Args) -> anyhow::Result<(AlpacaConfig, PublisherConfig)> {
    // Not validated: `oauth` and `access_token` are ids with a meaning to the upstream.
    let credentials = Credentials {
        id: credential(args.key, "--key", "APCA_API_KEY_ID"),
        secret: credential(args.secret, "--secret", "APCA_API_SECRET_KEY"),
    };
    let mut config = AlpacaConfig::new(args.url, credentials);
    for name in args.symbols {
        match name {
            Name::All => config.symbols.all = true,
            Name::Symbol(symbol) => config.symbols.symbols.push(symbol),
        }
    }
    if !args.channels.is_empty() {
        config.channels = args.channels;
    }
    config.on_demand = args.on_demand;
    config.linger = args.linger;
    config.data_timeout = args.data_timeout.0;
    config.market_hours = args.market_hours;
    config.queue_bytes_max = args.buffer.as_usize();
    // Relayed ticks are due when they arrive.
    let hub = args.hub.config(Pace { speed: Speed::Times(1.0), restamp: false })?;
    config.authorities = hub.authorities.clone();
    Ok((config, hub))
}

/// Returns a part of the credentials: the flag's value, or else the variable that Alpaca's own
/// programs read. Exits with a usage error without either.
fn credential(value: Option<String>, flag: &str, variable: &str) -> String {
    let value = value.or_else(|| std::env::var(variable).ok()).filter(|value| !value.is_empty());
    value.unwrap_or_else(|| {
        usage(&format!("{flag}: expected the stream's key; set {flag} or {variable}"))
    })
}

fn name(text: &str) -> Result<Name, String> {
    if text.trim() == "*" { Ok(Name::All) } else { symbol(text).map(Name::Symbol) }
}

fn relayed(text: &str) -> Result<Channel, String> {
    let allowed = AlpacaConfig::CHANNELS;
    channel(text).ok().filter(|channel| allowed.contains(channel)).ok_or_else(|| {
        let names = allowed.map(Channel::name).join(", ");
        format!("expected one of {names}; corrections and cancelErrors come with trades")
    })
}

fn silence(text: &str) -> Result<Silence, String> {
    match text {
        "off" => Ok(Silence(None)),
        time => match some_duration(time) {
            Ok(time) => Ok(Silence(Some(time))),
            Err(problem) => Err(format!("{problem}, or off")),
        },
    }
}

fn buffer(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse().map_err(|error: ByteSizeError| error.to_string())?;
    if size < ByteSize::mib(1) {
        return Err("expected at least 1MiB".to_owned());
    }
    Ok(size)
}
