//! `tickwire watch`: live prices in a table, or one line per tick when piped.

mod columns;
mod format;
mod lines;
mod screen;
mod table;
mod watched;
mod watchlist;

use std::time::Duration;

use anyhow::Context as _;
use tickwire_client::{Client, names};
use tickwire_protocol::{Channel, Delivery, Replay, ReplaySpeed, ReplayStart};

use crate::connection::ConnectionArgs;
use crate::flags::{DeliveryArgs, channel, hinted, some_duration, symbol, usage};
use crate::{output, shutdown};
use watched::Watched;

const EXAMPLES: &str = "\
Examples:
  tickwire watch AAPL MSFT                               a live table
  tickwire watch '*'                                     every symbol the hub has
  tickwire watch AAPL --channels trades | grep ' D '     one line per tick
  tickwire watch '*' --latest --max-rate 4               newest values, four times a second
  tickwire watch AAPL --json --count 100 > aapl.ndjson   the next 100 ticks as JSON
  tickwire watch AAPL --from -5m --speed 20              replay five minutes at 20x, then go live
  tickwire watch AAPL --hub https://hub.example          with TLS; --tls-ca for a private CA
  tickwire watch AAPL --from 2026-01-02T14:30:00Z        replay since then, then go live

Keys in the table: q quits, arrows or j and k scroll, s sorts.
With --latest the volume counts only the trades that were received.
A lost connection is restored and continues after the last tick, also when the hub restarts. When
piped, gaps and changes of the connection are reported on standard error.";

/// Flags of `tickwire watch`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Symbols to watch; '*' stands for all
    #[arg(value_name = "SYMBOL", required = true, value_parser = name)]
    symbols: Vec<String>,
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Channels to watch
    #[arg(long, value_name = "CHANNEL,…", value_delimiter = ',', default_value = "trades,quotes",
        value_parser = channel)]
    channels: Vec<Channel>,
    #[command(flatten)]
    delivery: DeliveryArgs,
    /// Start with a replay from this time, by the hub's receive time: a time such as
    /// 2026-01-02T14:30:00Z, or how long ago such as -5m (h, m, s, ms)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<ReplayStart>,
    /// With --from: speed as a multiple of the original one, 0.01 to 100000, or max [default: max]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    speed: Option<ReplaySpeed>,
    /// Print every tick as one JSON object per line, as on the wire
    #[arg(long)]
    json: bool,
    /// Print the last values first (the table always does)
    #[arg(long)]
    snapshot: bool,
    /// Exit after this many ticks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Exit after this time
    #[arg(long, value_name = "TIME", value_parser = some_duration)]
    duration: Option<Duration>,
}

impl Args {
    /// Combines `--from` and `--speed`. A combination that is not allowed ends the command.
    fn replay(&self, delivery: Delivery) -> Option<Replay> {
        match (self.from, self.speed) {
            (Some(from), _) if delivery != Delivery::Every => usage(&format!(
                "--from {from}: not allowed with --latest; a replay delivers every tick"
            )),
            (Some(from), speed) => Some(Replay { from, speed: speed.unwrap_or_default() }),
            (None, Some(speed)) => {
                usage(&format!("--speed {speed}: allowed only with --from, such as --from -5m"))
            }
            (None, None) => None,
        }
    }
}

/// Parses a symbol or `*`.
fn name(text: &str) -> Result<String, String> {
    if text == "*" { Ok(text.to_owned()) } else { symbol(text).map(|symbol| symbol.to_string()) }
}

/// Returns the end of the table's title: the replay or the delivery; empty for every tick from now
/// on.
fn title_suffix(delivery: Delivery, replay: Option<Replay>) -> String {
    match delivery {
        Delivery::Every => match replay {
            None => String::new(),
            Some(Replay { from, speed: ReplaySpeed::Max }) => format!(" · from {from}"),
            Some(Replay { from, speed }) => format!(" · from {from} at {speed}×"),
        },
        Delivery::Latest { max_rate: None } => " · latest".to_owned(),
        Delivery::Latest { max_rate: Some(rate) } => format!(" · latest, {rate}/s"),
    }
}

/// The conditions that end the command without a signal.
#[derive(Debug, Clone, Copy)]
struct StopCondition {
    ticks: Option<u64>,
    time: Option<Duration>,
}

impl StopCondition {
    /// Completes when the time is over; never without a time.
    async fn time_is_over(self) {
        match self.time {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(watch(args))
}

async fn watch(args: Args) -> anyhow::Result<()> {
    let delivery = args.delivery.delivery();
    let replay = args.replay(delivery);
    let signal = shutdown::on_signal_or_hangup().context("cannot listen for signals")?;
    let as_table = output::stdout_is_terminal() && !args.json;
    let names = names(&args.channels, args.symbols.iter().map(String::as_str))?;
    let ConnectionArgs { hub, feed, token, tls } = args.connection;
    let mut builder = Client::builder(&hub.to_string()).feed(feed.as_str());
    if let Some(token) = token.read() {
        builder = builder.token(&token);
    }
    if let Some(config) = tls.client_config()? {
        builder = builder.tls(config);
    }
    let connecting = builder.snapshot(args.snapshot || as_table).connect();
    let mut client = tokio::select! {
        client = connecting => client.map_err(|error| hinted(error.into()))?,
        () = signal.cancelled() => return Ok(()),
    };
    let subscription = match replay {
        Some(replay) => client.subscribe_from(names, replay).await?,
        None => client.subscribe_as(names, delivery).await?,
    };
    let stop = StopCondition { ticks: args.count, time: args.duration };
    let watched = Watched::new(&args.symbols);
    let result = if as_table {
        let title = format!("{hub} · {feed}{}", title_suffix(delivery, replay));
        screen::run(&mut client, title, (watched, stop), &signal).await
    } else {
        let format = if args.json { lines::Format::Json } else { lines::Format::Text };
        let snapshot = args.snapshot;
        let printer = lines::LinePrinter { format, snapshot, watched, stop, subscription };
        printer.run(&mut client, &signal).await
    };
    client.close().await;
    result
}
