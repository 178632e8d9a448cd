//! What each connection subscribes to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use tickwire_client::Token;
use tickwire_client::load::{Listed, list_symbols, numbered};
use tickwire_protocol::{Channel, Feed, HubUrl, Symbol};

use crate::flags::{hinted, symbol, usage};

/// How many symbols a connection subscribes to when it is not said.
const PER_CONNECTION: usize = 50;

/// How long to wait for the hub to have symbols.
const SYMBOLS_WITHIN: Duration = Duration::from_secs(10);

/// A list that has not grown for so long is taken to be complete.
const QUIET: Duration = Duration::from_secs(2);

const ASK_EVERY: Duration = Duration::from_millis(250);

/// Flags about symbols.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Symbols")]
pub(super) struct SymbolArgs {
    /// How many symbols each connection subscribes to, spread over all there are [default: 50, or as
    /// many as there are]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    per_connection: Option<u32>,
    /// The symbols to choose from [default: up to 1000 that the hub lists]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = symbol)]
    symbols: Option<Vec<Symbol>>,
    /// Choose from numbered symbols instead: PREFIX0000, PREFIX0001, …
    #[arg(long, conflicts_with = "symbols", requires = "universe")]
    prefix: Option<String>,
    /// How many numbered symbols there are
    #[arg(long, value_name = "N", requires = "prefix",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    universe: Option<u32>,
}

/// Whom to ask for symbols.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addressed<'a> {
    pub(super) hub: &'a HubUrl,
    pub(super) feed: &'a Feed,
    pub(super) token: Option<&'a Token>,
}

/// What to subscribe to.
#[derive(Debug)]
pub(super) struct Subscribed {
    pub(super) symbols: Vec<Symbol>,
    pub(super) per_connection: usize,
}

impl SymbolArgs {
    /// Asks the hub where nothing is given, and waits until it has symbols.
    pub(super) fn subscribed(
        &self,
        hub: Addressed<'_>,
        channels: &[Channel],
        stop: &AtomicBool,
    ) -> anyhow::Result<Subscribed> {
        let asked = self.per_connection.map(|number| number as usize);
        let (symbols, source) = match (&self.symbols, &self.prefix, self.universe) {
            (Some(symbols), ..) => (deduplicated(symbols), "--symbols names"),
            (None, Some(prefix), Some(universe)) => {
                let symbols = numbered(prefix, universe as usize)
                    .unwrap_or_else(|error| usage(&format!("--prefix {prefix:?}: {error}")));
                (symbols, "--universe has")
            }
            _ => (self.listed(hub, channels, stop)?, "the hub lists"),
        };
        let per_connection = asked.unwrap_or_else(|| PER_CONNECTION.min(symbols.len()));
        if per_connection > symbols.len() {
            usage(&format!(
                "--per-connection {per_connection}: {source} {} symbols, so 1 to {} are allowed",
                symbols.len(),
                symbols.len()
            ));
        }
        Ok(Subscribed { symbols, per_connection })
    }

    fn listed(
        &self,
        Addressed { hub, feed, token }: Addressed<'_>,
        channels: &[Channel],
        stop: &AtomicBool,
    ) -> anyhow::Result<Vec<Symbol>> {
        let enough = self.per_connection.map_or(PER_CONNECTION, |number| number as usize);
        let (started, mut grown, mut count, mut asked) = (now(), now(), 0, 0_u32);
        loop {
            let Listed { symbols, total } = list_symbols(hub, feed, token, None, channels)
                .map_err(|error| hinted(error.into()))?;
            if symbols.len() > count {
                (grown, count) = (now(), symbols.len());
            }
            let waited = started.elapsed();
            let complete = count > 0 && grown.elapsed() >= QUIET;
            if symbols.len() >= enough || complete || stop.load(Ordering::Relaxed) {
                return Ok(symbols);
            }
            if waited >= SYMBOLS_WITHIN {
                if count > 0 {
                    return Ok(symbols);
                }
                bail!(
                    "the hub at {hub} has no symbols of feed {feed} in {} ({total} in all), also after \
                     {} s: start a publisher (tickwire feed sim), or name symbols with --symbols or \
                     --prefix and --universe",
                    names(channels),
                    waited.as_secs()
                );
            }
            if asked == 0 {
                tell(&format!("waiting for the hub to list {enough} symbols"));
            }
            asked += 1;
            std::thread::sleep(ASK_EVERY);
        }
    }
}

fn deduplicated(symbols: &[Symbol]) -> Vec<Symbol> {
    let mut symbols = symbols.to_vec();
    symbols.sort_unstable();
    symbols.dedup();
    symbols
}

fn names(channels: &[Channel]) -> String {
    let names: Vec<&str> = channels.iter().map(|channel| channel.name()).collect();
    names.join(", ")
}

#[expect(clippy::print_stderr, reason = "progress is for people, beside the report")]
fn tell(text: &str) {
    eprintln!("{text}");
}

#[expect(clippy::disallowed_methods, reason = "waits for another process")]
fn now() -> Instant {
    Instant::now()
}
