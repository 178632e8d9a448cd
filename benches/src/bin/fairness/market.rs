//! The market of the hub: a simulation, a history on disk, and symbols that have only a last quote.

use anyhow::Result;
use tickwire_feeder::{SimConfig, Simulator};
use tickwire_protocol::{Encoding, MessageBuf, Quote, Seq, Symbol, Tick, TickData, UnixNanos};

use crate::peer::Peer;

/// Symbols of the simulation.
pub(crate) const SYMBOLS: usize = 200;
/// Ticks per second of the simulation.
pub(crate) const TICKS_PER_SECOND: usize = 2_000;
/// Quotes of these symbols that are published before the simulation starts.
pub(crate) const HISTORY_TICKS: usize = 200_000;
/// Memory for the log. It holds far less than the history, which therefore is on disk alone.
pub(crate) const LOG_SIZE: &str = "8MiB";
/// Position from which clients resume: within the part of the history that is on disk.
pub(crate) const RESUME_POSITION: usize = HISTORY_TICKS / 2;
/// Ticks in a request.
const TICKS_PER_REQUEST: usize = 4_000;

/// Returns the symbols of the simulation.
pub(crate) fn symbols() -> Vec<Symbol> {
    let config = SimConfig { symbols: SYMBOLS, ..SimConfig::default() };
    Simulator::new(config).symbols().collect()
}

/// Returns the name of a symbol that has only a last quote, or none if there are fewer of them.
pub(crate) fn quoted_symbol(number: usize) -> String {
    format!("Q{number}")
}

/// Publishes a quote of each of `quoted` symbols, then the history.
pub(crate) async fn publish(publisher: &Peer, quoted: usize) -> Result<()> {
    let mut names = Vec::with_capacity(quoted);
    for number in 0..quoted {
        names.push(Symbol::new(&quoted_symbol(number))?);
    }
    publish_quotes(publisher, &names).await?;
    let symbols = symbols();
    let history: Vec<_> = symbols.iter().cycle().take(HISTORY_TICKS).copied().collect();
    publish_quotes(publisher, &history).await
}

async fn publish_quotes(publisher: &Peer, symbols: &[Symbol]) -> Result<()> {
    for symbols in symbols.chunks(TICKS_PER_REQUEST) {
        let mut message = MessageBuf::new(Encoding::Json);
        for symbol in symbols {
            // Quotes, of which no bars are made.
            let data = TickData::Quote(Quote::default());
            message.push(&Tick { symbol: *symbol, seq: Seq(0), time: UnixNanos(1), data });
        }
        publisher.publish(message.finish()).await?;
    }
    Ok(())
}
