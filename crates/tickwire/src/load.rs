//! `tickwire load`: thousands of subscribers from one process.

mod print;
mod progress;
mod subscriptions;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tickwire_client::Token;
use tickwire_client::load::{Plan, Report, allow_files, run as run_plan, svg};
use tickwire_protocol::{Channel, Delivery, Feed, HubUrl, HubUrlError, OnLag};

use crate::flags::{DEFAULT_HUB, DeliveryArgs, channel, duration, some_duration};
use crate::shutdown;
use crate::token::TokenArgs;
use progress::Bar;
use subscriptions::{Addressed, SymbolArgs};

const EXAMPLES: &str = "\
Examples:
  tickwire load --connections 1000 --per-connection 50
  tickwire load --connections 5000 --ramp 10s --duration 60s --json report.json --plot report.svg
  tickwire load --connections 1000 --symbols AAPL --channels trades
  tickwire load --connections 100 --prefix SYM --universe 500 --json - | jq .latency_ms.p99
  tickwire load --connections 1000 --latest --max-rate 10

Latency is from the event time of a tick to its arrival; with --latest it is the age of the values, and
what was left out is counted. Skew tells how fair the hub is: from the first connection that gets a tick
to the last. Gaps that the hub names, with --on-lag latest, are counted apart from faults.
Ends with exit code 1 if ticks were missing or repeated, or if connections were refused or closed.
Needs something that publishes: `tickwire demo`, or `tickwire hub` and `tickwire feed sim`.";

/// Flags of `tickwire load`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Address of the hub; it speaks no TLS
    #[arg(long, value_name = "URL", env = "TICKWIRE_HUB", default_value = DEFAULT_HUB,
        value_parser = plain_hub)]
    hub: HubUrl,
    /// Name of the feed
    #[arg(long, env = "TICKWIRE_FEED", default_value = Feed::DEFAULT)]
    feed: Feed,
    #[command(flatten)]
    token: TokenArgs,
    /// How many connections
    #[arg(long, short, value_name = "N", default_value = "1000",
        value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    #[command(flatten)]
    symbols: SymbolArgs,
    /// Channels to subscribe to
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "trades,quotes",
        value_parser = channel)]
    channels: Vec<Channel>,
    #[command(flatten)]
    delivery: DeliveryArgs,
    /// What the hub does with a connection that reads too slowly for every tick: close it, or go on with
    /// the newest and name what is lost [default: close]
    #[arg(long, value_name = "POLICY", value_parser = on_lag)]
    on_lag: Option<OnLag>,
    /// Over what time the connections are opened, evenly
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    ramp: Duration,
    /// How long to wait between the last connection and the measurement
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    warmup: Duration,
    /// How long to measure
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = some_duration)]
    duration: Duration,
    /// Threads that share the connections
    #[arg(long, value_name = "N", default_value = "1",
        value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,
    /// Write the report as JSON to a file, or to standard output with `-`
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the report into an SVG file
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// The address of a hub with which no TLS is spoken.
fn plain_hub(text: &str) -> Result<HubUrl, String> {
    let hub: HubUrl = text.parse().map_err(|error: HubUrlError| error.to_string())?;
    match hub.uses_tls() {
        true => Err("load speaks no TLS; expected ws://HOST[:PORT][/PREFIX]".to_owned()),
        false => Ok(hub),
    }
}

/// What becomes of a connection that lags.
fn on_lag(text: &str) -> Result<OnLag, String> {
    match text {
        "close" => Ok(OnLag::Close),
        "latest" => Ok(OnLag::Latest),
        _ => Err("expected close or latest".to_owned()),
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    // A usage error must not cost a file that is created, or a wait for the hub.
    let delivery = args.delivery.delivery();
    allow_files(args.connections as usize).context("--connections")?;
    let outputs = Outputs::new(args.json.clone(), args.plot.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let report = runtime.block_on(async {
        let signal = shutdown::on_signal().context("cannot listen for signals")?;
        let stop = Arc::new(AtomicBool::new(false));
        let work = tokio::task::spawn_blocking({
            let stop = Arc::clone(&stop);
            move || measure(args, delivery, &stop)
        });
        let stopping = async {
            signal.cancelled().await;
            stop.store(true, Ordering::Relaxed);
            std::future::pending().await
        };
        tokio::select! {
            report = work => report.context("the load generator panicked")?,
            () = stopping => unreachable!("it only waits"),
        }
    })?;
    outputs.write(&report)?;
    anyhow::ensure!(report.is_clean(), "{}", report.faults().join(", "));
    Ok(())
}

fn measure(args: Args, delivery: Delivery, stop: &AtomicBool) -> anyhow::Result<Report> {
    let token = args.token.read().map(|token| token.parse::<Token>()).transpose()?;
    let hub = Addressed { hub: &args.hub, feed: &args.feed, token: token.as_ref() };
    let subscribed = args.symbols.subscribed(hub, &args.channels, stop)?;
    let threads = args.threads.min(args.connections) as usize;
    let plan = Plan {
        hub: args.hub,
        feed: args.feed,
        token,
        connections: args.connections as usize,
        symbols: subscribed.symbols,
        per_connection: subscribed.per_connection,
        channels: args.channels,
        delivery,
        on_lag: args.on_lag,
        ramp: args.ramp,
        warmup: args.warmup,
        duration: args.duration,
        threads,
    };
    let mut bar = Bar::start(&plan);
    let report = run_plan(&plan, stop, &mut |progress| bar.show(progress));
    bar.finish();
    Ok(report?)
}

/// Where the report goes.
struct Outputs {
    json: Option<PathBuf>,
    plot: Option<PathBuf>,
}

impl Outputs {
    /// Creates the files at once: a path that cannot be written shall not cost a whole run.
    fn new(json: Option<PathBuf>, plot: Option<PathBuf>) -> anyhow::Result<Self> {
        for (flag, path) in [("--json", &json), ("--plot", &plot)] {
            if let Some(path) = path.as_ref().filter(|path| !is_stdout(path)) {
                std::fs::File::create(path).with_context(|| {
                    format!("{flag} {}: cannot create the file", path.display())
                })?;
            }
        }
        Ok(Self { json, plot })
    }

    fn write(&self, report: &Report) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(report).context("cannot write the report")?;
        let to_stdout = self.json.as_deref().is_some_and(is_stdout);
        let text = if to_stdout { &json } else { &print::text(report) };
        print::to_stdout(text)?;
        if let Some(path) = self.json.as_ref().filter(|_| !to_stdout) {
            write_file("--json", path, &json)?;
        }
        if let Some(path) = &self.plot {
            write_file("--plot", path, &svg(report))?;
        }
        Ok(())
    }
}

fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn write_file(flag: &str, path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, format!("{}\n", text.trim_end()))
        .with_context(|| format!("{flag} {}: cannot write the file", path.display()))
}
