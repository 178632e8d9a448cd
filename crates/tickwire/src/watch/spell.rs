//! Ticks and events as text for people.

use std::fmt::Write as _;

use tickwire_client::{Disconnect, Event, ResumeOutcome, Topic};
use tickwire_protocol::{Bar, Conditions, ErrorCode, Quote, Seq, Tick, TickData, Trade, UnixNanos};

/// Appends one aligned line: time (UTC), symbol, channel, fields.
pub(super) fn line(tick: &Tick, out: &mut String) {
    time(tick.time, out);
    put(out, format_args!("  {:<8} {:<7} ", tick.symbol, tick.channel()));
    fields(&tick.data, out);
    out.push('\n');
}

/// `2026-01-02 14:30:00.123456`
fn time(time: UnixNanos, out: &mut String) {
    let text = time.to_string();
    let (date, clock) = (text.get(..10).unwrap_or(""), text.get(11..19).unwrap_or(""));
    put(out, format_args!("{date} {clock}.{:06}", time.0 % 1_000_000_000 / 1000));
}

/// Writing to a string cannot fail.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

fn fields(data: &TickData, out: &mut String) {
    match data {
        TickData::Trade(trade) => trade_fields(trade, out),
        TickData::Quote(quote) => quote_fields(quote, out),
        TickData::Bar(bar) | TickData::UpdatedBar(bar) | TickData::DailyBar(bar) => {
            bar_fields(bar, out);
        }
        TickData::Status(status) => put(
            out,
            format_args!(
                "{} {}  {} {}",
                status.code, status.message, status.reason_code, status.reason
            ),
        ),
        TickData::Luld(luld) => put(
            out,
            format_args!("up {}  down {}  {}", luld.limit_up, luld.limit_down, luld.indicator),
        ),
        TickData::Imbalance(imbalance) => put(out, format_args!("{}", imbalance.price)),
        TickData::Correction(correction) => put(
            out,
            format_args!(
                "{} × {}  becomes {} × {}  id {} becomes {}",
                correction.original_price,
                correction.original_size,
                correction.corrected_price,
                correction.corrected_size,
                correction.original_id,
                correction.corrected_id
            ),
        ),
        TickData::CancelError(cancel) => put(
            out,
            format_args!("{} × {}  id {}  {}", cancel.price, cancel.size, cancel.id, cancel.action),
        ),
    }
}

fn trade_fields(trade: &Trade, out: &mut String) {
    let exchange = shown(trade.exchange.as_str());
    put(out, format_args!("{:>10} × {:<8} {exchange:<2}", trade.price, trade.size));
    conditions(&trade.conditions, out);
}

fn quote_fields(quote: &Quote, out: &mut String) {
    let (bid, ask) = (shown(quote.bid_exchange.as_str()), shown(quote.ask_exchange.as_str()));
    put(
        out,
        format_args!(
            "{:>10} × {:<8} {bid:<2} {:>10} × {:<8} {ask:<2}",
            quote.bid, quote.bid_size, quote.ask, quote.ask_size
        ),
    );
    conditions(&quote.conditions, out);
}

fn bar_fields(bar: &Bar, out: &mut String) {
    put(
        out,
        format_args!(
            "open {} high {} low {} close {} volume {} trades {} vwap {}",
            bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trades, bar.vwap
        ),
    );
}

/// What is unknown is a dash, so that columns can be counted.
fn shown(text: &str) -> &str {
    if text.trim().is_empty() { "-" } else { text }
}

fn conditions(conditions: &Conditions, out: &mut String) {
    for code in conditions.iter() {
        put(out, format_args!(" {}", shown(code)));
    }
}

/// What happened besides ticks; `None` where people need not know.
pub(super) fn notice(event: &Event) -> Option<String> {
    Some(match event {
        Event::Connected { epoch, new_epoch: false } => format!("connected, epoch {epoch}"),
        Event::Connected { epoch, new_epoch: true } => {
            format!(
                "connected, new epoch {epoch}: the hub has begun anew, what was missed nobody knows"
            )
        }
        Event::Disconnected { reason, retry_in } => disconnected(reason, *retry_in),
        Event::Subscribed { total, resumed, from, .. } => {
            let parts: Vec<String> = total
                .iter()
                .filter(|(_, count)| **count > 0)
                .map(|(channel, count)| format!("{channel} {count}"))
                .collect();
            format!("subscribed: {}{}", parts.join(", "), begun(*resumed, *from))
        }
        Event::Feed { feed, state, since, lost } => {
            let lost = if *lost > 0 {
                format!(", {lost} ticks lost at the source")
            } else {
                String::new()
            };
            format!("feed {feed} is {} since {since}{lost}", state.name())
        }
        Event::Gap { topic, from, to } => format!("gap: {topic} {}", did_not_come(*from, *to)),
        Event::Lagged { topic, from, to } => lagged(*topic, *from, *to),
        Event::OutOfOrder { topic, seq, expected } => {
            format!("fault of the hub: {topic} {} came instead of {}", seq.0, expected.0)
        }
        Event::Error { code, detail, .. } => refusal(*code, detail.as_deref()),
        _ => return None,
    })
}

/// What the hub says when it refuses something.
pub(super) fn refusal(code: ErrorCode, detail: Option<&str>) -> String {
    let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("the hub says {} {}{detail}", code.code(), code.msg())
}

/// What ends the command, since trying again cannot help: the hub wants another key, or wants one.
pub(super) fn end(event: &Event) -> Option<String> {
    match event {
        Event::Error { code: code @ ErrorCode::NotAuthenticated, .. } => {
            Some(refusal(*code, Some("show a key with --token ID:SECRET or --token-file FILE")))
        }
        Event::Disconnected { reason, retry_in: None } => Some(reason.to_string()),
        _ => None,
    }
}

/// How names begin that do not begin now.
fn begun(resumed: Option<ResumeOutcome>, from: Option<UnixNanos>) -> String {
    match (resumed, from) {
        (Some(ResumeOutcome::Complete), _) => ", resumed without a gap".to_owned(),
        (Some(ResumeOutcome::Gap), _) => ", resumed with gaps".to_owned(),
        (Some(ResumeOutcome::NewEpoch), _) => ", not resumed: the epoch is another one".to_owned(),
        (None, Some(from)) => format!(", history from {from}"),
        (None, None) => String::new(),
    }
}

fn did_not_come(from: Option<Seq>, to: Option<Seq>) -> String {
    match (from, to) {
        (Some(Seq(from)), Some(Seq(to))) => {
            format!("{from} to {to} did not come ({} ticks)", to.saturating_sub(from) + 1)
        }
        (Some(Seq(from)), None) => format!("from {from} on, an unknown number did not come"),
        (None, Some(Seq(to))) => format!("an unknown number up to {to} did not come"),
        (None, None) => "an unknown number did not come".to_owned(),
    }
}

fn lagged(topic: Topic, from: Option<Seq>, to: Option<Seq>) -> String {
    let which = match (from, to) {
        (Some(from), Some(to)) => format!("{} to {}", from.0, to.0),
        (Some(from), None) => format!("from {}", from.0),
        (None, Some(to)) => format!("up to {}", to.0),
        (None, None) => "some ticks".to_owned(),
    };
    format!("read too slowly: {topic} {which} will not come, only the newest from here on")
}

fn disconnected(reason: &Disconnect, retry_in: Option<std::time::Duration>) -> String {
    match retry_in {
        Some(delay) => format!("{reason}; next attempt in {:.1} s", delay.as_secs_f64()),
        None => reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(json: &str) -> String {
        let mut text = String::new();
        line(&Tick::from_json(json.as_bytes()).unwrap(), &mut text);
        text
    }

    #[test]
    fn ticks_are_lines_of_aligned_fields() {
        let trade = spelled(
            r#"{"T":"t","S":"AAPL","i":1,"x":"D","p":126.55,"s":100,"c":["@","I"],"t":"2026-01-02T14:30:00.123456789Z","z":"C"}"#,
        );
        assert_eq!(
            trade,
            "2026-01-02 14:30:00.123456  AAPL     trades      126.55 × 100      D  @ I\n"
        );
        let quote = spelled(
            r#"{"T":"q","S":"A","bx":"","bp":1.5,"bs":2,"ax":"P","ap":1.6,"as":3,"c":[],"t":"2026-01-02T14:30:00Z","z":""}"#,
        );
        assert_eq!(
            quote,
            "2026-01-02 14:30:00.000000  A        quotes         1.5 × 2        -         1.6 × 3        P \n"
        );
    }

    #[test]
    fn gap_says_what_and_how_many() {
        let topic = Topic {
            symbol: tickwire_protocol::Symbol::new("AAPL").unwrap(),
            channel: tickwire_protocol::Channel::Trades,
        };
        let (from, to) = (Seq(5), Seq(7));
        for (from, to, which) in [
            (Some(from), Some(to), "5 to 7 did not come (3 ticks)"),
            (Some(from), None, "from 5 on, an unknown number did not come"),
            (None, Some(to), "an unknown number up to 7 did not come"),
            (None, None, "an unknown number did not come"),
        ] {
            let text = notice(&Event::Gap { topic, from, to });
            assert_eq!(text, Some(format!("gap: AAPL trades {which}")));
        }
        for (from, to, which) in [
            (Some(from), Some(to), "5 to 7"),
            (Some(from), None, "from 5"),
            (None, Some(to), "up to 7"),
            (None, None, "some ticks"),
        ] {
            let text = notice(&Event::Lagged { topic, from, to }).unwrap();
            assert!(text.contains(&format!("AAPL trades {which} will not come")), "{text}");
        }
    }
}
