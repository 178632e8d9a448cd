//! Ticks and events as text for people.

use std::fmt::Write as _;

use tickwire_client::{Disconnect, Event, ResumeOutcome, Topic};
use tickwire_hub::format_duration;
use tickwire_protocol::{
    Bar, Conditions, ErrorCode, Printable, Quote, Seq, Text, Tick, TickData, Trade, UnixNanos,
};

/// Appends an aligned line: time (UTC), symbol, channel, fields.
pub(super) fn line(tick: &Tick, out: &mut String) {
    time(tick.time, out);
    put(out, format_args!("  {:<8} {:<7} ", tick.symbol, tick.channel()));
    fields(&tick.data, out);
    out.push('\n');
}

/// Appends a time in UTC: `2026-01-02 14:30:00.123456`.
fn time(time: UnixNanos, out: &mut String) {
    let text = time.to_string();
    let date = text.get(..10).unwrap_or("");
    let clock = text.get(11..19).unwrap_or("");
    put(out, format_args!("{date} {clock}.{:06}", time.0 % 1_000_000_000 / 1000));
}

/// Appends formatted text, which cannot fail.
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
                text(&status.code),
                text(&status.message),
                text(&status.reason_code),
                text(&status.reason)
            ),
        ),
        TickData::Luld(luld) => put(
            out,
            format_args!(
                "up {}  down {}  {}",
                luld.limit_up,
                luld.limit_down,
                text(&luld.indicator)
            ),
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
            format_args!(
                "{} × {}  id {}  {}",
                cancel.price,
                cancel.size,
                cancel.id,
                text(&cancel.action)
            ),
        ),
    }
}

fn trade_fields(trade: &Trade, out: &mut String) {
    let exchange = or_dash(trade.exchange.as_str());
    put(out, format_args!("{:>10} × {:<8} {exchange:<2}", trade.price, trade.size));
    conditions(&trade.conditions, out);
}

fn quote_fields(quote: &Quote, out: &mut String) {
    let bid = or_dash(quote.bid_exchange.as_str());
    let ask = or_dash(quote.ask_exchange.as_str());
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

fn text(text: &Text) -> Printable<'_> {
    Printable(text.as_str())
}

/// Replaces an empty text by a dash, so that columns can be counted.
fn or_dash(text: &str) -> Printable<'_> {
    Printable(if text.trim().is_empty() { "-" } else { text })
}

fn conditions(conditions: &Conditions, out: &mut String) {
    for code in conditions.iter() {
        put(out, format_args!(" {}", or_dash(code)));
    }
}

/// Returns the text of an event that is not a tick; `None` for events without one.
pub(super) fn notice(event: &Event) -> Option<String> {
    Some(match event {
        Event::Connected { epoch, new_epoch: false } => {
            format!("connected, epoch {}", Printable(epoch))
        }
        Event::Connected { epoch, new_epoch: true } => {
            let epoch = Printable(epoch);
            format!(
                "connected, new epoch {epoch}: the hub lost its history, the number of missed ticks \
                 is unknown"
            )
        }
        Event::Disconnected { reason, retry_in } => disconnected(reason, *retry_in),
        Event::Subscribed { total, resumed, from, .. } => {
            let parts: Vec<String> = total
                .iter()
                .filter(|(_, count)| **count > 0)
                .map(|(channel, count)| format!("{channel} {count}"))
                .collect();
            format!("subscribed: {}{}", parts.join(", "), start_text(*resumed, *from))
        }
        Event::Feed { feed, state, since, lost } => {
            let lost = if *lost > 0 {
                format!(", {lost} ticks lost at the source")
            } else {
                String::new()
            };
            format!("feed {feed} is {} since {since}{lost}", state.name())
        }
        Event::View { view, delay } if !delay.is_zero() => {
            format!("view {} is delayed by {}", Printable(view), format_duration(*delay))
        }
        Event::Gap { topic, from, to } => format!("gap: {topic} {}", missed(*from, *to)),
        Event::Lagged { topic, from, to } => lagged(*topic, *from, *to),
        Event::OutOfOrder { topic, seq, expected } => {
            format!("fault of the hub: {topic} {} instead of {}", seq.0, expected.0)
        }
        Event::Error { code, detail, .. } => rejection(*code, detail.as_deref()),
        _ => return None,
    })
}

/// Formats an error element of the hub.
pub(super) fn rejection(code: ErrorCode, detail: Option<&str>) -> String {
    let detail = detail.map(|detail| format!(": {}", Printable(detail))).unwrap_or_default();
    format!("the hub reports {} {}{detail}", code.code(), code.msg())
}

/// Returns the text of an event that ends the command, since another attempt cannot help: the hub
/// requires a key, or another one.
pub(super) fn fatal(event: &Event) -> Option<String> {
    match event {
        Event::Error { code: code @ ErrorCode::NotAuthenticated, .. } => {
            Some(rejection(*code, Some("give a key with --token-file FILE or TICKWIRE_TOKEN")))
        }
        Event::Disconnected { reason, retry_in: None } => Some(reason.to_string()),
        _ => None,
    }
}

/// Describes how names start that do not start now.
fn start_text(resumed: Option<ResumeOutcome>, from: Option<UnixNanos>) -> String {
    match (resumed, from) {
        (Some(ResumeOutcome::Complete), _) => ", resumed without a gap".to_owned(),
        (Some(ResumeOutcome::Gap), _) => ", resumed with gaps".to_owned(),
        (Some(ResumeOutcome::NewEpoch), _) => ", not resumed: the hub has a new epoch".to_owned(),
        (None, Some(from)) => format!(", history from {from}"),
        (None, None) => String::new(),
    }
}

fn missed(from: Option<Seq>, to: Option<Seq>) -> String {
    match (from, to) {
        (Some(Seq(from)), Some(Seq(to))) => {
            format!("missed {from} to {to} ({} ticks)", to.saturating_sub(from) + 1)
        }
        (Some(Seq(from)), None) => format!("missed an unknown number of ticks from {from}"),
        (None, Some(Seq(to))) => format!("missed an unknown number of ticks up to {to}"),
        (None, None) => "missed an unknown number of ticks".to_owned(),
    }
}

fn lagged(topic: Topic, from: Option<Seq>, to: Option<Seq>) -> String {
    let which = match (from, to) {
        (Some(from), Some(to)) => format!("{} to {}", from.0, to.0),
        (Some(from), None) => format!("from {}", from.0),
        (None, Some(to)) => format!("up to {}", to.0),
        (None, None) => "some ticks".to_owned(),
    };
    format!("too slow: {topic} dropped {which}; only the newest ticks from here on")
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

    fn formatted(json: &str) -> String {
        let mut text = String::new();
        line(&Tick::from_json(json.as_bytes()).unwrap(), &mut text);
        text
    }

    #[test]
    fn ticks_are_lines_of_aligned_fields() {
        let trade = formatted(
            r#"{"T":"t","S":"AAPL","i":1,"x":"D","p":126.55,"s":100,"c":["@","I"],"t":"2026-01-02T14:30:00.123456789Z","z":"C"}"#,
        );
        assert_eq!(
            trade,
            "2026-01-02 14:30:00.123456  AAPL     trades      126.55 × 100      D  @ I\n"
        );
        let quote = formatted(
            r#"{"T":"q","S":"A","bx":"","bp":1.5,"bs":2,"ax":"P","ap":1.6,"as":3,"c":[],"t":"2026-01-02T14:30:00Z","z":""}"#,
        );
        assert_eq!(
            quote,
            "2026-01-02 14:30:00.000000  A        quotes         1.5 × 2        -         1.6 × 3        P \n"
        );
    }

    #[test]
    fn text_of_the_hub_is_printable() {
        let hostile = "a\u{9b}2J\u{202e}\nb";
        let escaped = r"a\u{9b}2J\u{202e}\nb";
        for kind in [
            r#""T":"t","i":1,"x":"@","p":1,"s":1,"c":["@"],"z":"C""#,
            r#""T":"q","bx":"@","bp":1,"bs":2,"ax":"@","ap":1,"as":3,"c":["@"],"z":"C""#,
            r#""T":"s","sc":"@","sm":"@","rc":"@","rm":"@","z":"C""#,
            r#""T":"l","u":1,"d":1,"i":"@","z":"C""#,
            r#""T":"x","i":1,"x":"@","p":1,"s":1,"a":"@","z":"C""#,
        ] {
            let hostile = serde_json::to_string(hostile).unwrap();
            let fields = kind.replace(r#""@""#, &hostile);
            let json = format!(r#"{{{fields},"S":"A","t":"2026-01-02T14:30:00Z"}}"#);
            let text = formatted(&json);
            assert!(text.contains(escaped), "{text:?}");
            let is_printable = |c: char| c.is_ascii_graphic() || c == ' ' || c == '×';
            assert!(text.trim_end().chars().all(is_printable), "{text:?}");
        }
        let reason = Disconnect::Closed { code: Some(1008), reason: hostile.to_owned() };
        for event in [
            Event::Connected { epoch: hostile.to_owned(), new_epoch: true },
            Event::Disconnected { reason, retry_in: None },
            Event::Disconnected { reason: Disconnect::Lost(hostile.to_owned()), retry_in: None },
            Event::Error { code: ErrorCode::Internal, detail: Some(hostile.to_owned()), id: None },
        ] {
            let text = notice(&event).unwrap();
            assert!(text.contains(escaped), "{text:?}");
            assert!(text.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{text:?}");
        }
    }

    #[test]
    fn gaps_name_the_missing_ticks() {
        let topic = Topic {
            symbol: tickwire_protocol::Symbol::new("AAPL").unwrap(),
            channel: tickwire_protocol::Channel::Trades,
        };
        let from = Seq(5);
        let to = Seq(7);
        for (from, to, which) in [
            (Some(from), Some(to), "missed 5 to 7 (3 ticks)"),
            (Some(from), None, "missed an unknown number of ticks from 5"),
            (None, Some(to), "missed an unknown number of ticks up to 7"),
            (None, None, "missed an unknown number of ticks"),
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
            assert!(text.contains(&format!("AAPL trades dropped {which};")), "{text}");
        }
    }
}
