//! `tickwire demo`: a hub with a simulated market in one process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tickwire_feeder::{Pace, Progress, PublisherConfig, SimConfig, Simulator, Speed, publish};
use tickwire_hub::keys::new_secret;
use tickwire_hub::{Config, HAS_PAGE};
use tickwire_protocol::HubUrl;
use tokio_util::sync::CancellationToken;

use crate::flags::{boolean, listen, rate, seed, symbols, usage};
use crate::logging::{Log, LogFilter, LogFormat};
use crate::{hub, output, shutdown};

/// Flags of `tickwire demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickwire demo
  tickwire demo --symbols 2000 --rate 20000 --seed 7
  tickwire demo --listen 0.0.0.0:8080 --read-only

Then open the address it prints, or run in another terminal: tickwire watch AAPL MSFT")]
pub(crate) struct Args {
    /// IP address and port to listen on
    #[arg(
        long,
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:8080",
        env = "TICKWIRE_LISTEN",
        value_parser = listen
    )]
    listen: SocketAddr,
    /// Let other machines read and publish, without a key
    #[arg(long, env = "TICKWIRE_OPEN", value_parser = boolean)]
    open: bool,
    /// Let other machines read, without a key; only the demo itself can publish
    #[arg(long)]
    read_only: bool,
    /// Symbols of the simulated market, 1 to 100000
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = symbols)]
    symbols: usize,
    /// Ticks per second
    #[arg(long, value_name = "TICKS", default_value_t = 2_000.0, value_parser = rate)]
    rate: f64,
    /// The same seed gives the same market
    #[arg(long, value_name = "N", default_value_t = 42, value_parser = seed)]
    seed: u64,
    /// Level of the log on standard error, or levels of modules
    #[arg(long, value_name = "LEVEL", default_value = "warn", env = "TICKWIRE_LOG")]
    log: String,
}

impl Args {
    /// Returns the filter of the log. Exits if the flag is wrong.
    fn log_filter(&self) -> LogFilter {
        LogFilter::parse(&self.log)
            .unwrap_or_else(|expected| usage(&format!("--log is {:?}: {expected}", self.log)))
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let Args { listen, open, read_only, .. } = args;
    if open && read_only {
        usage("--read-only: expected no --open with it, which lets other machines publish");
    }
    let log = Log::start(LogFormat::Text, args.log_filter())?;
    if !open && !read_only && !listen.ip().to_canonical().is_loopback() {
        usage(&format!(
            "--listen {listen}: other machines could read and publish there without a key; \
             expected --read-only or, if that is intended, --open with it, or a loopback address \
             such as 127.0.0.1:8080"
        ));
    }
    hub::runtime()?.block_on(async {
        let cancel = shutdown::on_signal_or_hangup()?;
        // Publishing needs a token that the market of this process alone has.
        let publish_token = read_only.then(new_secret);
        let config = Config {
            listen,
            open: open || read_only,
            publish_token: publish_token.clone(),
            drain_duration: Duration::ZERO,
            ..Config::default()
        };
        let hub = hub::start(config).await?;
        hub::announce(&hub);
        if !HAS_PAGE {
            say_how_to_get_the_page();
        }
        let market = tokio::spawn(simulate(args, hub.address(), publish_token, cancel.clone()));
        cancel.cancelled().await;
        shutdown::at_once_on_next_signal(&log.flush)?;
        let market = market.await;
        hub.shutdown().await;
        market.context("the simulated market failed")?
    })
}

/// Tells the user of a demo without the page how to build it.
fn say_how_to_get_the_page() {
    let _best_effort = output::print_all(
        "This build has no page. `cargo xtask demo` builds it and runs the demo again; it needs \
         Node.js 20.19 or later. `tickwire watch AAPL` shows prices on the terminal.\n",
    );
}

/// Publishes the simulated market until it is cancelled. Cancels the demo if it ends for another
/// reason.
async fn simulate(
    args: Args,
    hub: SocketAddr,
    token: Option<String>,
    cancel: CancellationToken,
) -> anyhow::Result<()> {
    let Args { symbols, rate, seed, .. } = args;
    let market = Simulator::new(SimConfig { symbols, rate, seed, ..SimConfig::default() });
    let pace = Pace { speed: Speed::Times(1.0), restamp: true };
    let reachable = match hub.ip() {
        ip if ip.is_unspecified() => SocketAddr::from(([127, 0, 0, 1], hub.port())),
        _ => hub,
    };
    let url: HubUrl = format!("http://{reachable}").parse()?;
    let progress = Arc::new(Progress::default());
    let _ends_with_market = cancel.clone().drop_guard();
    let mut config = PublisherConfig::new(url);
    config.token = token;
    publish(market, pace, config, cancel, progress).await?;
    Ok(())
}
