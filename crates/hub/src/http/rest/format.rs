//! Writes last values as JSON, in the format of Alpaca's market data API.

use tickwire_protocol::{Symbol, Tick};

use super::request::ValueKind;

/// Formats the values of several symbols, by symbol. Symbols without values are left out.
///
/// `values` contains, for each symbol, one entry for each of the [channels](ValueKind::channels).
pub(super) fn values_by_symbol(
    kind: ValueKind,
    symbols: &[Symbol],
    values: &[Option<Tick>],
) -> Vec<u8> {
    let mut out = Vec::new();
    // Snapshots are the whole object; values of other kinds are below a key such as "trades".
    if kind != ValueKind::Snapshot {
        out.push(b'{');
        write_key(&format!("{}s", kind.name()), &mut out);
    }
    out.push(b'{');
    let start = out.len();
    for (symbol, values) in symbols.iter().zip(values.chunks(kind.channels().len())) {
        if values.iter().all(Option::is_none) {
            continue;
        }
        if out.len() > start {
            out.push(b',');
        }
        write_key(symbol.as_str(), &mut out);
        match kind {
            ValueKind::Snapshot => {
                out.push(b'{');
                write_snapshot(values, &mut out);
                out.push(b'}');
            }
            _ => write_value(newest(values), &mut out),
        }
    }
    out.push(b'}');
    if kind != ValueKind::Snapshot {
        out.push(b'}');
    }
    out
}

/// Formats the value of one symbol; `None` if it has none. `values` contains one entry for each of
/// the [channels](ValueKind::channels).
pub(super) fn value_of(
    kind: ValueKind,
    symbol: Symbol,
    values: &[Option<Tick>],
) -> Option<Vec<u8>> {
    if values.iter().all(Option::is_none) {
        return None;
    }
    let mut out = Vec::new();
    out.extend_from_slice(b"{\"symbol\":\"");
    out.extend_from_slice(symbol.as_bytes());
    out.extend_from_slice(b"\",");
    match kind {
        ValueKind::Snapshot => write_snapshot(values, &mut out),
        _ => {
            write_key(kind.name(), &mut out);
            write_value(newest(values), &mut out);
        }
    }
    out.push(b'}');
    Some(out)
}

/// Writes the entries of a snapshot. `values` are those of the channels of [`ValueKind::Snapshot`].
/// The previous day's bar is always null: the hub keeps only the last bar of each channel.
fn write_snapshot(values: &[Option<Tick>], out: &mut Vec<u8>) {
    let [trade, quote, bars @ .., daily] = values else { return };
    for (key, value) in [
        ("latestTrade", trade.as_ref()),
        ("latestQuote", quote.as_ref()),
        ("minuteBar", newest(bars)),
        ("dailyBar", daily.as_ref()),
        ("prevDailyBar", None),
    ] {
        write_key(key, out);
        write_value(value, out);
        out.push(b',');
    }
    out.pop(); // the trailing comma
}

/// Returns the value with the latest time. If several have it, the last one is an update of the
/// others.
fn newest(values: &[Option<Tick>]) -> Option<&Tick> {
    values.iter().flatten().max_by_key(|tick| tick.time)
}

fn write_value(value: Option<&Tick>, out: &mut Vec<u8>) {
    match value {
        Some(tick) => tick.write_json_without_symbol(out),
        None => out.extend_from_slice(b"null"),
    }
}

/// Writes a key that needs no escapes, and the colon after it.
fn write_key(key: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}
