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
use tickwire_client::load::{Plan, Report, allow_connections, run as run_plan, svg};
use tickwire_protocol::{Channel, Delivery, OnLag};

use crate::connection::ConnectionArgs;
use crate::flags::{DeliveryArgs, channel, duration, some_duration};
use crate::{output, shutdown};
use progress::ProgressReporter;
use subscriptions::{SymbolArgs, SymbolSource};

const EXAMPLES: &str = "\
Examples:
  tickwire load --connections 1000 --per-connection 50
  tickwire load --connections 5000 --ramp 10s --duration 60s --json report.json --plot report.svg
  tickwire load --connections 1000 --symbols AAPL --channels trades
  tickwire load --connections 100 --prefix SYM --universe 500 --json - | jq .latency_ms.p99
  tickwire load --connections 1000 --latest --max-rate 10
  tickwire load --hub https://hub.example       with TLS; --tls-ca FILE for a private authority

Latency is measured from the event time of a tick to its arrival. With --latest it is the age of
the values, and the ticks that were left out are counted. Skew shows how fair the hub is: the time
from the first connection that receives a tick to the last. Gaps that the hub announces (--on-lag
latest) are no faults. The exit code is 1 if ticks were missing or repeated, if connections were
refused or closed, or if no tick arrived during the measurement. Something has to publish: `tickwire demo`, or `tickwire hub` and
`tickwire feed sim`.";

/// Flags of `tickwire load`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Number of connections
    #[arg(long, short, value_name = "N", default_value = "1000",
        value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    #[command(flatten)]
    symbols: SymbolArgs,
    /// Channels to subscribe to
    #[arg(long, value_name = "CHANNEL,…", value_delimiter = ',', default_value = "trades,quotes",
        value_parser = channel)]
    channels: Vec<Channel>,
    #[command(flatten)]
    delivery: DeliveryArgs,
    /// What the hub does with a connection that reads too slowly for every tick: close it, or
    /// continue with the newest ticks and announce the lost ones [default: close]
    #[arg(long, value_name = "POLICY", value_parser = on_lag)]
    on_lag: Option<OnLag>,
    /// Time over which the connections are opened, evenly
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    ramp: Duration,
    /// Time between the last connection and the measurement
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    warmup: Duration,
    /// Length of the measurement
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = some_duration)]
    duration: Duration,
    /// Number of threads that share the connections
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

/// Parses the value of `--on-lag`.
fn on_lag(text: &str) -> Result<OnLag, String> {
    match text {
        "close" => Ok(OnLag::Close),
        "latest" => Ok(OnLag::Latest),
        _ => Err("expected close or latest".to_owned()),
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    // Usage errors come first: they must neither create files nor wait for the hub.
    let delivery = args.delivery.delivery();
    allow_connections(args.connections as usize).context("--connections")?;
    let outputs = Outputs::new(args.json.clone(), args.plot.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let report = runtime.block_on(async {
        let signal = shutdown::on_signal_or_hangup().context("cannot listen for signals")?;
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
    let ConnectionArgs { hub, feed, token, tls } = args.connection;
    let token = token.read().map(|token| token.parse::<Token>()).transpose()?;
    let tls = tls.client_config()?;
    let source = SymbolSource {
        hub: &hub,
        feed: &feed,
        token: token.as_ref(),
        tls: tls.as_ref(),
        channels: &args.channels,
    };
    let universe = args.symbols.universe(source, stop)?;
    let threads = args.threads.min(args.connections) as usize;
    let plan = Plan {
        hub,
        feed,
        token,
        tls,
        connections: args.connections as usize,
        symbols: universe.symbols,
        per_connection: universe.per_connection,
        channels: args.channels,
        delivery,
        on_lag: args.on_lag,
        ramp: args.ramp,
        warmup: args.warmup,
        duration: args.duration,
        threads,
    };
    let mut reporter = ProgressReporter::start(&plan);
    let report = run_plan(&plan, stop, &mut |progress| reporter.show(progress));
    reporter.finish();
    Ok(report?)
}

/// The files of the report.
struct Outputs {
    json: Option<PathBuf>,
    plot: Option<PathBuf>,
}

impl Outputs {
    /// Creates the files before the run, which a path that cannot be written would waste.
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
        output::print(&format!("{text}\n"))?;
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
