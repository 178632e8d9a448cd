//! Prints the report for people.

use tickwire_client::load::{Distribution, Report};

/// Returns the report as lines of text.
pub(super) fn text(report: &Report) -> String {
    let connections = report.connections;
    let per_message = report.ticks as f64 / (report.messages as f64).max(1.0);
    let mut lines = vec![
        row(
            "hub",
            &format!(
                "{}, feed {}, {}{}",
                report.hub,
                report.feed,
                report.channels.join(", "),
                delivery(report)
            ),
        ),
        row(
            "connections",
            &format!(
                "{} of {} opened, {} of {} symbols each",
                grouped(connections.opened as u64),
                grouped(connections.asked as u64),
                report.per_connection,
                grouped(report.symbols as u64)
            ),
        ),
        row("measured", &format!("{:.1} s{}", report.duration_s, busy(report))),
        row(
            "delivered",
            &format!(
                "{} ticks/s in {} messages/s ({per_message:.1} ticks each), {:.2} MB/s",
                rounded(report.ticks_per_s),
                rounded(report.messages_per_s),
                report.bytes_per_s / 1e6
            ),
        ),
        row(
            "each",
            &format!(
                "{} to {} ticks per connection, {} in all",
                grouped(report.connection_ticks_min),
                grouped(report.connection_ticks_max),
                grouped(report.ticks)
            ),
        ),
        row(latency_name(report), &percentiles(&report.latency_ms)),
        row("skew", &percentiles(&report.skew_ms)),
        row(
            "faults",
            &format!(
                "{} gaps, {} duplicates, {} closed, {} refused",
                report.gaps, report.duplicates, connections.closed, connections.refused
            ),
        ),
    ];
    lines.extend(notes(report));
    lines.join("\n")
}

/// Returns the rows that only some reports have.
fn notes(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    if report.skipped_ticks > 0 || report.delivery == "latest" {
        lines.push(row("left out", &left_out(report)));
    }
    if report.named_gaps > 0 {
        let named = format!(
            "the hub announced {} gaps of {} ticks, which are no faults",
            grouped(report.named_gaps),
            grouped(report.named_gap_ticks)
        );
        lines.push(row("lagged", &named));
    }
    if report.untimed_ticks > 0 {
        let untimed = format!(
            "{} ticks have no latency, since their event time is far from now (replay with --restamp)",
            grouped(report.untimed_ticks)
        );
        lines.push(row("note", &untimed));
    }
    if report.busy_cores.is_some_and(|busy| busy > 0.9 * report.threads as f64) {
        let limited =
            "the load generator was busy all the time and may be the bottleneck; try --threads";
        lines.push(row("note", limited));
    }
    lines
}

/// Returns the name of the time from event to arrival: the age of a value, or the latency of a
/// tick.
fn latency_name(report: &Report) -> &'static str {
    if report.delivery == "latest" { "age" } else { "latency" }
}

fn delivery(report: &Report) -> String {
    match (report.delivery, report.max_rate) {
        ("latest", Some(rate)) => format!(", latest at {rate}/s"),
        ("latest", None) => ", latest".to_owned(),
        _ => String::new(),
    }
}

/// Formats the ticks that delivery `latest` left out, and their share.
fn left_out(report: &Report) -> String {
    let all = report.skipped_ticks + report.ticks;
    let part = 100.0 * report.skipped_ticks as f64 / (all as f64).max(1.0);
    format!("{} ticks, {part:.1} % of {}", grouped(report.skipped_ticks), grouped(all))
}

fn row(name: &str, value: &str) -> String {
    format!("{name:<12}  {value}")
}

fn busy(report: &Report) -> String {
    let threads = match report.threads {
        1 => "1 thread".to_owned(),
        more => format!("{more} threads"),
    };
    match report.busy_cores {
        Some(busy) => format!(" by {threads}, {busy:.2} cores busy"),
        None => format!(" by {threads}"),
    }
}

fn percentiles(values: &Distribution) -> String {
    if values.samples == 0 {
        return "no samples".to_owned();
    }
    format!(
        "p50 {:.2} ms  p90 {:.2}  p99 {:.2}  p99.9 {:.2}  p99.99 {:.2}  max {:.2}",
        values.p50, values.p90, values.p99, values.p99_9, values.p99_99, values.max
    )
}

/// Groups the digits of a number: `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a rate without its fraction.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates are positive")]
pub(super) fn rounded(rate: f64) -> String {
    grouped(rate.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let shown = [0, 999, 1000, 12_345, 1_234_567].map(grouped);
        assert_eq!(shown, ["0", "999", "1,000", "12,345", "1,234,567"]);
        assert_eq!(rounded(1999.6), "2,000");
    }
}
