//! Draws a report as an SVG image.

mod canvas;

use std::fmt::Write as _;

use crate::load::Report;
use canvas::{Axis, Canvas, ChartArea, human, nice_top};

const WIDTH: f64 = 1240.0;
const HEIGHT: f64 = 560.0;

const LATENCY: ChartArea = ChartArea { left: 84.0, top: 120.0, width: 480.0, height: 360.0 };
const RATE: ChartArea = ChartArea { left: 688.0, top: 120.0, width: 512.0, height: 150.0 };
const OVER_TIME: ChartArea = ChartArea { left: 688.0, top: 330.0, width: 512.0, height: 150.0 };

const BLUE: &str = "#2563eb";
const ORANGE: &str = "#ea580c";
const GREEN: &str = "#0f766e";

/// Draws a report as an SVG image: latency by percentile on the left, deliveries and latency over
/// time on the right.
///
/// The image is self-contained: it has a light background and uses neither scripts nor external
/// fonts.
#[must_use]
pub fn svg(report: &Report) -> String {
    let mut canvas = Canvas::new(WIDTH, HEIGHT);
    draw_title(&mut canvas, report);
    draw_latency(&mut canvas, report);
    draw_rate(&mut canvas, report);
    draw_over_time(&mut canvas, report);
    canvas.finish()
}

fn draw_title(canvas: &mut Canvas, report: &Report) {
    let connections = report.connections;
    let title = format!(
        "{} connections × {} symbols: {} ticks/s delivered",
        connections.opened,
        report.per_connection,
        human(report.ticks_per_s),
    );
    canvas.text((36.0, 42.0), "title", "start", &title);
    let mut detail = format!(
        "{} · feed {} · {} · {:.0} s · {} messages/s · {}B/s",
        report.hub,
        report.feed,
        report.channels.join(", "),
        report.duration_s,
        human(report.messages_per_s),
        human(report.bytes_per_s),
    );
    if !report.is_clean() {
        // Writing to a string cannot fail.
        let _ = write!(detail, " · {}", report.faults().join(", "));
    }
    canvas.text((36.0, 68.0), "note", "start", &detail);
}

/// Maps a percentile to the axis: 90 %, 99 % and 99.9 % are equally far apart.
fn nines(percent: f64) -> f64 {
    -(1.0 - percent / 100.0).log10()
}

fn draw_latency(canvas: &mut Canvas, report: &Report) {
    let curve = &report.latency_curve;
    canvas.heading(LATENCY, "Latency by percentile, ms");
    let Some(last) = curve.last() else {
        let why = if report.untimed_ticks > 0 {
            "no latency: event times are far from now"
        } else {
            "no ticks"
        };
        canvas.empty(LATENCY, why);
        return;
    };
    let x = Axis { max: nines(last.percent).max(1.0), from: LATENCY.left, to: LATENCY.right() };
    let y = Axis { max: nice_top(last.ms), from: LATENCY.bottom(), to: LATENCY.top };
    canvas.rows(LATENCY, &y);
    for label in [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999] {
        if nines(label) <= x.max + 1e-9 {
            canvas.column(LATENCY, x.at(nines(label)), &format!("{label} %"));
        }
    }
    let points: Vec<(f64, f64)> =
        curve.iter().map(|point| (x.at(nines(point.percent)), y.at(point.ms))).collect();
    canvas.line(&points, BLUE);
    let marks = [("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9), ("p99.99", 99.99)];
    for (name, percent) in marks {
        if let Some(point) = curve.iter().find(|point| point.percent == percent) {
            let at = (x.at(nines(percent)), y.at(point.ms));
            canvas.mark(LATENCY, at, BLUE, &format!("{name} {}", human(point.ms)));
        }
    }
    let latency = report.latency_ms;
    let skew = report.skew_ms;
    let note = format!(
        "max {} ms · first to last connection: p50 {} ms, p99 {} ms",
        human(latency.max),
        human(skew.p50),
        human(skew.p99)
    );
    canvas.text((LATENCY.left, LATENCY.bottom() + 48.0), "note", "start", &note);
}

/// Draws the vertical grid lines of a time axis with their labels. Returns the axis.
fn draw_time_axis(canvas: &mut Canvas, report: &Report, area: ChartArea) -> Axis {
    let last = report.seconds.last().map_or(0, |second| second.second);
    let axis = Axis { max: (last as f64).max(1.0), from: area.left, to: area.right() };
    let step = nice_top(axis.max / 8.0).max(1.0).ceil();
    let mut at = 0.0;
    while at <= axis.max {
        canvas.column(area, axis.at(at), &format!("{at} s"));
        at += step;
    }
    axis
}

fn draw_rate(canvas: &mut Canvas, report: &Report) {
    canvas.heading(RATE, "Deliveries, ticks/s");
    let seconds = &report.seconds;
    if seconds.is_empty() {
        canvas.empty(RATE, "shorter than a second");
        return;
    }
    let top = seconds.iter().map(|second| second.ticks_per_s).fold(0.0, f64::max);
    let y = Axis { max: nice_top(top), from: RATE.bottom(), to: RATE.top };
    canvas.rows(RATE, &y);
    let x = draw_time_axis(canvas, report, RATE);
    let points: Vec<(f64, f64)> = seconds
        .iter()
        .map(|second| (x.at(second.second as f64), y.at(second.ticks_per_s)))
        .collect();
    canvas.area(&points, RATE.bottom(), GREEN);
    canvas.line(&points, GREEN);
}

fn draw_over_time(canvas: &mut Canvas, report: &Report) {
    canvas.heading(OVER_TIME, "Latency over time, ms");
    let seconds = &report.seconds;
    let top = seconds.iter().filter_map(|second| second.p99_ms).fold(0.0, f64::max);
    if top == 0.0 {
        canvas.empty(OVER_TIME, "no latency");
        return;
    }
    let y = Axis { max: nice_top(top), from: OVER_TIME.bottom(), to: OVER_TIME.top };
    canvas.rows(OVER_TIME, &y);
    let x = draw_time_axis(canvas, report, OVER_TIME);
    let points = |value: fn(&crate::load::Second) -> Option<f64>| -> Vec<(f64, f64)> {
        let known = seconds.iter().filter_map(|second| Some((second.second, value(second)?)));
        known.map(|(second, ms)| (x.at(second as f64), y.at(ms))).collect()
    };
    canvas.line(&points(|second| second.p99_ms), ORANGE);
    canvas.line(&points(|second| second.p50_ms), BLUE);
    let legend = OVER_TIME.top - 14.0;
    canvas.legend((OVER_TIME.right() - 100.0, legend), BLUE, "p50");
    canvas.legend((OVER_TIME.right() - 44.0, legend), ORANGE, "p99");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::tests::report;

    /// Checks that tags are closed in order, attributes are quoted and texts are escaped.
    fn check_well_formed(xml: &str) {
        let mut open = Vec::new();
        for (index, piece) in xml.split('<').enumerate().skip(1) {
            let (tag, text) =
                piece.split_once('>').unwrap_or_else(|| panic!("tag {index}: {piece}"));
            assert!(!text.contains('>'), "{text}");
            for entity in text.split('&').skip(1) {
                assert!(entity.contains(';'), "{text}");
            }
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "tag {index}");
                continue;
            }
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            if !tag.ends_with('/') {
                open.push(tag.split(' ').next().unwrap_or(tag));
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn image_is_well_formed_and_complete() {
        let svg = svg(&report());
        check_well_formed(&svg);
        for text in
            ["ticks/s delivered", "Latency by percentile, ms", "99.9 %", "p99", "Deliveries"]
        {
            assert!(svg.contains(text), "{text}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn empty_report_is_drawn() {
        let mut report = report();
        report.latency_curve.clear();
        report.seconds.clear();
        report.latency_ms.max = 0.0;
        report.closes.insert("<script> & \"co\"".to_owned(), 1);
        let svg = svg(&report);
        check_well_formed(&svg);
        assert!(svg.contains("&lt;script&gt; &amp; &quot;co&quot;"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
