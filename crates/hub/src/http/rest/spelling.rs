//! Answers in JSON.

use tickwire_protocol::{Symbol, Tick};

use super::request::Wanted;

/// The values of all symbols that have any, by symbol.
pub(super) fn listed(wanted: Wanted, symbols: &[Symbol], values: &[Option<Tick>]) -> Vec<u8> {
    let mut out = Vec::new();
    // Snapshots stand alone; the others under the name of what they are, in the plural.
    if wanted != Wanted::Snapshot {
        out.push(b'{');
        write_key(&format!("{}s", wanted.name()), &mut out);
    }
    out.push(b'{');
    let begin = out.len();
    for (symbol, values) in symbols.iter().zip(values.chunks(wanted.channels().len())) {
        if values.iter().all(Option::is_none) {
            continue;
        }
        if out.len() > begin {
            out.push(b',');
        }
        write_key(symbol.as_str(), &mut out);
        match wanted {
            Wanted::Snapshot => {
                out.push(b'{');
                write_snapshot(values, &mut out);
                out.push(b'}');
            }
            _ => write_value(newest(values), &mut out),
        }
    }
    out.push(b'}');
    if wanted != Wanted::Snapshot {
        out.push(b'}');
    }
    out
}

/// The value of one symbol, if it has any.
pub(super) fn one(wanted: Wanted, symbol: Symbol, values: &[Option<Tick>]) -> Option<Vec<u8>> {
    if values.iter().all(Option::is_none) {
        return None;
    }
    let mut out = Vec::new();
    out.extend_from_slice(b"{\"symbol\":\"");
    out.extend_from_slice(symbol.as_bytes());
    out.extend_from_slice(b"\",");
    match wanted {
        Wanted::Snapshot => write_snapshot(values, &mut out),
        _ => {
            write_key(wanted.name(), &mut out);
            write_value(newest(values), &mut out);
        }
    }
    out.push(b'}');
    Some(out)
}

/// The keys of a snapshot, from what [`Wanted::channels`] lists for it. The day before is not known: only
/// the last bar of a channel is.
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
    out.pop(); // the last comma
}

/// The value with the latest time; of several the last, which has changed those before.
fn newest(values: &[Option<Tick>]) -> Option<&Tick> {
    values.iter().flatten().max_by_key(|tick| tick.time)
}

fn write_value(value: Option<&Tick>, out: &mut Vec<u8>) {
    match value {
        Some(tick) => tick.write_json_without_symbol(out),
        None => out.extend_from_slice(b"null"),
    }
}

/// Keys here need no escapes.
fn write_key(key: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}
