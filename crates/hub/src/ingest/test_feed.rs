//! The feed `test`: one symbol that always ticks, for trying out programs while no market is open.

use std::time::Duration;

use tickwire_protocol::{
    Conditions, Price, Quote, Seq, Symbol, Text, Tick, TickData, Trade, UnixNanos,
};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::fanout::FeedId;
use crate::ingest::handle::IngestHandle;
use crate::ingest::message::Ingest;

const SYMBOL: &str = "FAKEPACA";
/// Time between two quotes, each with a trade.
const INTERVAL: Duration = Duration::from_secs(5);
/// Mean price, in cents.
const MIDDLE_CENTS: u64 = 13_500;
const NANOS_PER_CENT: u64 = 10_000_000;

/// Publishes ticks until the hub closes.
pub(crate) async fn run(ingest: IngestHandle, feed: FeedId, closing: CancellationToken) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while closing.run_until_cancelled(interval.tick()).await.is_some() {
        let ticks = ticks(clock::wall());
        let Ok(permit) = ingest.reserve(ticks.len()).await else { return };
        let message = Ingest::Ticks {
            feed,
            ticks,
            lost: 0,
            numbered: None,
            progress: None,
            done: None,
            permit,
        };
        if ingest.send(message).await.is_err() {
            return; // the router has ended
        }
    }
}

/// Returns the quote and the trade of a time. They depend on nothing but the time, so that prices
/// continue smoothly when the hub restarts.
fn ticks(time: UnixNanos) -> Vec<Tick> {
    let step = time.0 / (INTERVAL.as_secs() * 1_000_000_000);
    let middle = MIDDLE_CENTS - 150 + wave(step, 61, 200) + wave(step, 13, 100);
    let spread = 1 + wave(step, 7, 6);
    let bid = price(middle - spread);
    let ask = price(middle + spread);
    let traded = if step.is_multiple_of(2) { bid } else { ask };
    let text = |text| Text::new(text).expect("it is short");
    let conditions = |code| Conditions::new([code]).expect("it is one");
    let quote = Quote {
        bid_exchange: text("O"),
        bid,
        bid_size: 1 + step % 9,
        ask_exchange: text("R"),
        ask,
        ask_size: 1 + step % 7,
        conditions: conditions("R"),
        tape: text("A"),
    };
    let trade = Trade {
        id: step,
        exchange: text("O"),
        price: traded,
        size: 10 * (1 + step % 11),
        conditions: conditions("@"),
        tape: text("A"),
    };
    let symbol = Symbol::new(SYMBOL).expect("it is one");
    [TickData::Quote(quote), TickData::Trade(trade)]
        .map(|data| Tick { symbol, seq: Seq(0), time, data })
        .into()
}

/// Returns a value of a triangle wave, which rises from 0 to `height` in `steps` steps and falls
/// back in as many.
fn wave(step: u64, steps: u64, height: u64) -> u64 {
    let phase = step % (2 * steps);
    phase.min(2 * steps - phase) * height / steps
}

fn price(cents: u64) -> Price {
    let nanos = i64::try_from(cents * NANOS_PER_CENT).expect("it is near the middle");
    Price::from_nanos(nanos).expect("it is near the middle")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_walk_around_135_and_a_trade_is_at_bid_or_ask() {
        let mut traded = Vec::new();
        for step in 0..1_000 {
            let time = UnixNanos(1_767_364_200_000_000_000) + INTERVAL * step;
            let [quote, trade] = ticks(time).try_into().unwrap();
            let (TickData::Quote(quote), TickData::Trade(trade)) = (quote.data, trade.data) else {
                panic!("a quote and a trade");
            };
            assert!(quote.bid < quote.ask && [quote.bid, quote.ask].contains(&trade.price));
            assert!((133.0..137.0).contains(&trade.price.as_f64()), "{}", trade.price);
            traded.push(trade.price);
        }
        traded.sort_unstable();
        traded.dedup();
        assert!(traded.len() > 50, "{} prices", traded.len());
    }
}
