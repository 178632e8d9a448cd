use std::collections::{HashMap, HashSet};

use tickwire_protocol::{Quote, TickData};

use super::*;

fn market(symbols: usize, seed: u64, ticks: u64) -> Vec<Tick> {
    let config = SimConfig { symbols, seed, ticks_max: Some(ticks), ..SimConfig::default() };
    Simulator::new(config).collect()
}

fn ndjson(ticks: &[Tick]) -> Vec<u8> {
    let mut out = Vec::new();
    for tick in ticks {
        tick.write_json(&mut out);
        out.push(b'\n');
    }
    out
}

/// Calls `each` for every tick with the quote in effect.
fn each_with_quote(ticks: &[Tick], mut each: impl FnMut(&Tick, &Quote)) {
    let mut quotes = HashMap::new();
    for tick in ticks {
        if let TickData::Quote(quote) = &tick.data {
            quotes.insert(tick.symbol, quote.clone());
        }
        each(tick, quotes.get(&tick.symbol).expect("a quote comes before the first trade"));
    }
}

#[test]
fn seed_decides_every_byte() {
    let first = ndjson(&market(500, 42, 20_000));
    let again = ndjson(&market(500, 42, 20_000));
    assert!(first == again);
    assert!(first != ndjson(&market(500, 43, 20_000)));
}

#[test]
fn stream_of_a_seed_does_not_change_between_versions() {
    // Users compare recordings by seed. A change of the simulator's output must change this number
    // and be mentioned in the changelog.
    let text = String::from_utf8(ndjson(&market(500, 42, 20_000))).unwrap();
    assert_eq!(identity::of([text.as_bytes()]), 1_523_753_326_987_628_711);
}

#[test]
fn quotes_are_never_crossed_and_are_multiples_of_the_price_step() {
    each_with_quote(&market(2_000, 1, 200_000), |tick, quote| {
        let bid = quote.bid.nanos();
        let ask = quote.ask.nanos();
        assert!(0 < bid && bid < ask, "{tick:?}");
        for price in [bid, ask] {
            let grid = if price >= 1_000_000_000 { 10_000_000 } else { 100_000 };
            assert_eq!(price % grid, 0, "{tick:?}");
        }
        assert_eq!((quote.bid_size % 100, quote.ask_size % 100), (0, 0));
    });
}

#[test]
fn trades_are_at_the_quotes_or_inside() {
    let mut at = 0_u32;
    let mut inside = 0_u32;
    each_with_quote(&market(500, 2, 100_000), |tick, quote| {
        if let TickData::Trade(trade) = &tick.data {
            assert!(quote.bid <= trade.price && trade.price <= quote.ask, "{tick:?}");
            assert_eq!(trade.price.nanos() % 100_000, 0, "{tick:?}");
            let touches = trade.price == quote.bid || trade.price == quote.ask;
            *(if touches { &mut at } else { &mut inside }) += 1;
        }
    });
    assert!(at > 4 * inside && inside > 0, "{at} at the quotes, {inside} inside");
}

#[test]
fn there_are_two_to_four_quotes_per_trade() {
    let ticks = market(500, 3, 100_000);
    let trades = ticks.iter().filter(|tick| matches!(tick.data, TickData::Trade(_))).count();
    let quotes = ticks.len() - trades;
    assert!((2 * trades..4 * trades).contains(&quotes), "{quotes} quotes, {trades} trades");
}

#[test]
fn few_symbols_have_most_of_the_ticks() {
    let simulator = Simulator::new(SimConfig { symbols: 1_000, ..SimConfig::default() });
    let ranks: HashMap<_, _> =
        simulator.symbols().enumerate().map(|(rank, symbol)| (symbol, rank)).collect();
    let mut counts = vec![0_u32; 1_000];
    for tick in simulator.take(200_000) {
        counts[ranks[&tick.symbol]] += 1;
    }
    let top: u32 = counts[..100].iter().sum();
    assert!(top > 120_000, "the first tenth carries {top} of 200,000");
    assert!(counts.iter().filter(|&&count| count > 0).count() > 950);
}

#[test]
fn odd_lots_and_only_they_are_marked() {
    let mut odd = 0;
    let ticks = market(500, 4, 100_000);
    let trades = ticks.iter().filter_map(|tick| match &tick.data {
        TickData::Trade(trade) => Some(trade),
        _ => None,
    });
    let mut conditions = HashSet::new();
    for trade in trades {
        let marked = trade.conditions.iter().any(|code| code == "I");
        assert_eq!(marked, trade.size < 100, "{trade:?}");
        assert!(trade.size > 0);
        odd += u32::from(marked);
        conditions.extend(trade.conditions.iter().map(str::to_owned));
        let regular = trade.conditions.iter().any(|code| code == "@");
        assert!(!regular || trade.tape.as_str() == "C", "{trade:?}");
    }
    assert!(odd > 8_000, "{odd}");
    for code in ["@", "I", "F", "T", "4"] {
        assert!(conditions.contains(code), "{code}");
    }
}

#[test]
fn trade_ids_of_a_symbol_count_up() {
    let mut last: HashMap<Symbol, u64> = HashMap::new();
    for tick in market(50, 5, 20_000) {
        if let TickData::Trade(trade) = &tick.data {
            let before = last.insert(tick.symbol, trade.id).unwrap_or_default();
            assert_eq!(trade.id, before + 1);
        }
    }
}

#[test]
fn ticks_come_in_order_of_time_at_the_rate_and_in_bursts() {
    let config = SimConfig { rate: 20_000.0, ..SimConfig::default() };
    let times: Vec<u64> =
        Simulator::new(SimConfig { duration: Some(Duration::from_secs(10)), ..config })
            .map(|tick| tick.time.0)
            .collect();
    assert!(times.is_sorted());
    assert!((190_000..210_000).contains(&times.len()), "{}", times.len());
    // Evenly random arrivals would have three in ten gaps below 0.35 of the mean.
    let short = times.windows(2).filter(|pair| pair[1] - pair[0] < 17_500).count();
    assert!(short * 10 > times.len() * 7, "{short} of {} gaps are short", times.len());
    let first = times[0];
    let last = times[times.len() - 1];
    assert!(first > SimConfig::START.0 && last <= SimConfig::START.0 + 10_000_000_000);
}

#[test]
fn prices_stay_sane_over_a_year() {
    let config = SimConfig { symbols: 20, rate: 0.01, ..SimConfig::default() };
    let year = Duration::from_secs(365 * 86_400);
    for tick in Simulator::new(SimConfig { duration: Some(year), ..config }) {
        if let TickData::Quote(quote) = &tick.data {
            assert!(quote.bid.nanos() > 0 && quote.ask.nanos() < 20_000 * 1_000_000_000);
        }
    }
}

#[test]
fn fraction_done_follows_ticks_and_time() {
    let mut market = Simulator::new(SimConfig { ticks_max: Some(4), ..SimConfig::default() });
    market.next();
    assert_eq!(market.fraction_done(), Some(0.25));
    assert_eq!(Simulator::new(SimConfig::default()).fraction_done(), None);
}
