//! The symbols that the connections subscribe to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use rustls::ClientConfig;
use tickwire_client::Token;
use tickwire_client::load::{ListedSymbols, list_symbols, numbered_symbols};
use tickwire_protocol::{Channel, Feed, HubUrl, Symbol};

use crate::flags::{hinted, symbol, usage};
use crate::output::notice;

/// Symbols per connection by default.
const PER_CONNECTION: usize = 50;

/// How long to wait for the hub to list symbols.
const SYMBOLS_WITHIN: Duration = Duration::from_secs(10);

/// A list that has not grown for this long counts as complete.
const COMPLETE_AFTER: Duration = Duration::from_secs(2);

/// The time between two requests for the list.
const REQUEST_INTERVAL: Duration = Duration::from_millis(250);

/// Flags about symbols.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Symbols")]
pub(super) struct SymbolArgs {
    /// Number of symbols that each connection subscribes to, spread over all symbols [default: 50,
    /// or all if there are fewer]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    per_connection: Option<u32>,
    /// The symbols to choose from [default: up to 1000 that the hub lists]
    #[arg(long, value_name = "SYMBOL,…", value_delimiter = ',', value_parser = symbol)]
    symbols: Option<Vec<Symbol>>,
    /// Choose from numbered symbols instead: PREFIX0000, PREFIX0001, …
    #[arg(long, conflicts_with = "symbols", requires = "universe")]
    prefix: Option<String>,
    /// Number of numbered symbols
    #[arg(long, value_name = "N", requires = "prefix",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    universe: Option<u32>,
}

/// The hub whose list of symbols is used if no symbols are given.
#[derive(Debug, Clone, Copy)]
pub(super) struct SymbolSource<'a> {
    pub(super) hub: &'a HubUrl,
    pub(super) feed: &'a Feed,
    pub(super) token: Option<&'a Token>,
    pub(super) tls: Option<&'a Arc<ClientConfig>>,
    pub(super) channels: &'a [Channel],
}

/// The symbols to choose from, and how many of them a connection subscribes to.
#[derive(Debug)]
pub(super) struct Universe {
    pub(super) symbols: Vec<Symbol>,
    pub(super) per_connection: usize,
}

impl SymbolArgs {
    /// Returns the given symbols. If none are given, asks the hub and waits until it lists some.
    pub(super) fn universe(
        &self,
        source: SymbolSource<'_>,
        stop: &AtomicBool,
    ) -> anyhow::Result<Universe> {
        let requested = self.per_connection.map(|number| number as usize);
        let (symbols, origin) = match (&self.symbols, &self.prefix, self.universe) {
            (Some(symbols), ..) => (deduplicated(symbols), "--symbols names"),
            (None, Some(prefix), Some(universe)) => {
                let symbols = numbered_symbols(prefix, universe as usize)
                    .unwrap_or_else(|error| usage(&format!("--prefix {prefix:?}: {error}")));
                (symbols, "--universe has")
            }
            _ => (self.listed(source, stop)?, "the hub lists"),
        };
        let per_connection = requested.unwrap_or_else(|| PER_CONNECTION.min(symbols.len()));
        if per_connection > symbols.len() {
            usage(&format!(
                "--per-connection {per_connection}: {origin} {} symbols, so 1 to {} are allowed",
                symbols.len(),
                symbols.len()
            ));
        }
        Ok(Universe { symbols, per_connection })
    }

    fn listed(
        &self,
        SymbolSource { hub, feed, token, tls, channels }: SymbolSource<'_>,
        stop: &AtomicBool,
    ) -> anyhow::Result<Vec<Symbol>> {
        let enough = self.per_connection.map_or(PER_CONNECTION, |number| number as usize);
        let started = now();
        let mut grown = started;
        let mut count = 0;
        let mut is_announced = false;
        loop {
            let ListedSymbols { symbols, total } = list_symbols(hub, feed, token, tls, channels)
                .map_err(|error| hinted(error.into()))?;
            if symbols.len() > count {
                grown = now();
                count = symbols.len();
            }
            let waited = started.elapsed();
            let is_complete = count > 0 && grown.elapsed() >= COMPLETE_AFTER;
            if symbols.len() >= enough || is_complete || stop.load(Ordering::Relaxed) {
                return Ok(symbols);
            }
            if waited >= SYMBOLS_WITHIN {
                if count > 0 {
                    return Ok(symbols);
                }
                bail!(
                    "the hub at {hub} lists no symbols of feed {feed} in {} ({total} in all channels) after \
                     {} s: start a publisher (tickwire feed sim), or name symbols with --symbols or \
                     --prefix and --universe",
                    names(channels),
                    waited.as_secs()
                );
            }
            if !std::mem::replace(&mut is_announced, true) {
                notice(&format!("waiting for the hub to list {enough} symbols"));
            }
            std::thread::sleep(REQUEST_INTERVAL);
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

#[expect(clippy::disallowed_methods, reason = "waits for another process")]
fn now() -> Instant {
    Instant::now()
}
