//! The report as an SVG chart: bars for every server and workload, one column per measured value.

use std::fmt::Write as _;

use crate::format::{human, human_kb, human_ms, human_ns};
use crate::measurement::Measurement;
use crate::report::{Entry, Report};
use crate::workload::{Peer, Workload};

const WIDTH: f64 = 1120.0;
const MARGIN: f64 = 32.0;
/// Height above the first group.
const HEAD_HEIGHT: f64 = 132.0;
/// Horizontal position of the first column.
const FIRST_COLUMN_X: f64 = 156.0;
/// Distance between columns.
const COLUMN_WIDTH: f64 = 240.0;
/// Length of the longest bar; its value is printed after it.
const BAR_MAX: f64 = 140.0;
const BAR_MIN: f64 = 2.0;
/// Height of a line of a group.
const LINE_HEIGHT: f64 = 19.0;
/// Height of the headline of a group.
const HEADLINE_HEIGHT: f64 = 26.0;
/// Space below a group.
const GROUP_GAP: f64 = 16.0;

/// A column of the chart.
struct Column {
    title: &'static str,
    /// Which bars are better: longer or shorter ones.
    better: &'static str,
    /// Returns the value; `None` if it has no meaning for the workload.
    value: fn(&Workload, &Measurement) -> Option<f64>,
    format: fn(f64) -> String,
}

const COLUMNS: [Column; 4] = [
    Column {
        title: "Delivered ticks/s",
        better: "longer is better",
        value: |workload, measurement| (workload.rate > 0).then_some(measurement.delivered_per_s),
        format: human,
    },
    Column {
        title: "Server CPU per tick",
        better: "shorter is better",
        value: |_, measurement| measurement.cpu_per_tick_ns,
        format: human_ns,
    },
    Column {
        title: "Latency, p99",
        better: "shorter is better",
        value: |_, measurement| measurement.p99_ms,
        format: human_ms,
    },
    Column {
        title: "Memory per connection",
        better: "shorter is better",
        value: |_, measurement| Some(measurement.bytes_per_connection.max(0.0)),
        format: human_kb,
    },
];

/// The chart has its own background, so that it can be read on any page.
const STYLE: &str = "\
svg{--page:#ffffff;--ink:#0f172a;--text:#334155;--faint:#64748b;--rule:#e2e8f0;--own:#2563eb;--other:#94a3b8;--floor:#d8dee8}
@media (prefers-color-scheme:dark){svg{--page:#0f172a;--ink:#f8fafc;--text:#cbd5e1;--faint:#94a3b8;--rule:#273449;--own:#60a5fa;--other:#64748b;--floor:#3b4a61}}
text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:var(--text)}
.title{font-size:21px;font-weight:600;fill:var(--ink)}.head{font-size:14px;font-weight:600;fill:var(--ink)}
.note{font-size:13px;fill:var(--faint)}.small{fill:var(--faint)}.own{font-weight:600;fill:var(--ink)}
.page{fill:var(--page)}.rule{stroke:var(--rule)}.bar-own{fill:var(--own)}.bar{fill:var(--other)}.bar-floor{fill:var(--floor)}
";

/// Returns the chart of a report as an SVG document.
pub(crate) fn svg(report: &Report) -> String {
    let mut body = String::new();
    heading(&mut body, report);
    let mut top = HEAD_HEIGHT;
    for (workload, entries) in report.groups() {
        group(&mut body, top, workload, entries);
        top += HEADLINE_HEIGHT + LINE_HEIGHT * entries.len() as f64 + GROUP_GAP;
    }
    let height = top + MARGIN - GROUP_GAP;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\"><title>Tickwire compared with other servers</title>\
         <style>{STYLE}</style>\n<rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>\n\
         {body}</svg>\n"
    )
}

fn heading(body: &mut String, report: &Report) {
    text(body, (MARGIN, 44.0), "title", "Tickwire compared with other WebSocket servers");
    let host = &report.host;
    let note = format!("{} · {} · {}", host.machine, host.date, report.method());
    text(body, (MARGIN, 68.0), "note", &note);
    for (nth, column) in COLUMNS.iter().enumerate() {
        let left = left(nth);
        text(body, (left, HEAD_HEIGHT - 32.0), "head", column.title);
        text(body, (left, HEAD_HEIGHT - 15.0), "small", column.better);
    }
}

/// Returns the horizontal position of a column.
fn left(column: usize) -> f64 {
    FIRST_COLUMN_X + COLUMN_WIDTH * column as f64
}

/// Draws a workload: a headline, and a line per server. Bars are comparable only within a workload.
fn group(body: &mut String, top: f64, workload: &Workload, entries: &[Entry]) {
    put(
        body,
        format_args!(
            "<line class=\"rule\" x1=\"{MARGIN}\" y1=\"{top}\" x2=\"{}\" y2=\"{top}\"/>\n",
            WIDTH - MARGIN
        ),
    );
    text(body, (MARGIN, top + 19.0), "head", workload.name);
    text(body, (left(0), top + 19.0), "note", workload.description);
    let medians: Vec<Option<Measurement>> = entries.iter().map(Entry::medians).collect();
    for (index, (entry, own)) in entries.iter().zip(&medians).enumerate() {
        let base = top + HEADLINE_HEIGHT + LINE_HEIGHT * index as f64 + 13.0;
        let own_peer = matches!(entry.peer, Peer::Tickwire | Peer::TickwireV2);
        let class = if own_peer { "own" } else { "small" };
        text(body, (MARGIN, base), class, entry.peer.title());
        let Some(own) = own else {
            text(body, (left(0), base), "small", "failed");
            continue;
        };
        for (nth, column) in COLUMNS.iter().enumerate() {
            let Some(value) = (column.value)(workload, own) else { continue };
            let all = medians.iter().flatten().filter_map(|other| (column.value)(workload, other));
            let share = share(value, all.fold(0.0, f64::max));
            bar(body, (left(nth), base), entry.peer, share, &(column.format)(value));
        }
    }
}

/// Returns a value as a fraction of the largest, which may be zero.
fn share(value: f64, largest: f64) -> f64 {
    if largest > 0.0 { value / largest } else { 0.0 }
}

fn bar(body: &mut String, (x, base): (f64, f64), peer: Peer, share: f64, label: &str) {
    let (bar, label_class) = match peer {
        Peer::Tickwire | Peer::TickwireV2 => ("bar-own", "own"),
        Peer::Floor => ("bar-floor", "small"),
        _ => ("bar", "text"),
    };
    let width = (BAR_MAX * share).max(BAR_MIN);
    let y = base - 10.5;
    put(
        body,
        format_args!(
            "<rect class=\"{bar}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"13\" rx=\"2\"/>\n"
        ),
    );
    text(body, (x + width + 7.0, base), label_class, label);
}

fn text(body: &mut String, (x, y): (f64, f64), class: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    put(body, format_args!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>\n"));
}

/// Appends a piece of the document. Writing to a string cannot fail.
fn put(body: &mut String, piece: std::fmt::Arguments<'_>) {
    let _ = body.write_fmt(piece);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    /// Returns the values of an attribute in all tags of one name.
    fn numbers(svg: &str, tag: &str, attribute: &str) -> Vec<f64> {
        let tags = svg.split('<').filter(|piece| piece.starts_with(tag));
        let found = tags.filter_map(|piece| piece.split(&format!(" {attribute}=\"")).nth(1));
        found.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn every_tag_is_closed_and_every_text_escaped() {
        let mut report = report();
        report.host.machine = "<CPU> & \"co\"".to_owned();
        let svg = svg(&report);
        let mut open = Vec::new();
        for piece in svg.split('<').skip(1) {
            let (tag, _) = piece.split_once('>').unwrap();
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') {
                open.push(tag.split(' ').next().unwrap());
            }
        }
        assert!(open.is_empty(), "{open:?}");
        assert!(svg.contains("&lt;CPU&gt; &amp; \"co\""));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn every_measurement_is_drawn_inside_the_picture() {
        let report = report();
        let svg = svg(&report);
        for text in ["hot-20000", "Socket.IO", "20.0 M", "12,565 ns", "3.40 s", "5.6 KB", "failed"]
        {
            assert!(svg.contains(&format!(">{text}<")), "{text}");
        }
        let height = numbers(&svg, "svg", "height")[0];
        for (tag, attribute, limit) in [
            ("rect", "x", WIDTH),
            ("rect", "y", height),
            ("text", "x", WIDTH),
            ("text", "y", height),
        ] {
            let all = numbers(&svg, tag, attribute);
            assert!(all.len() > 40);
            assert!(all.iter().all(|number| (0.0..limit).contains(number)), "{tag} {attribute}");
        }
    }

    #[test]
    fn bars_are_as_long_as_their_values_are_large() {
        assert!((share(1.0, 4.0) - 0.25).abs() < 1e-9);
        assert!(share(0.0, 0.0).abs() < 1e-9);
    }
}
