//! A canvas that writes SVG, with the scales and labels of charts.

use std::fmt::Write as _;

/// Number of rows of a chart's grid.
const ROWS: u32 = 4;

/// The rectangle of a chart, in pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChartArea {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl ChartArea {
    pub(super) const fn right(self) -> f64 {
        self.left + self.width
    }

    pub(super) const fn bottom(self) -> f64 {
        self.top + self.height
    }
}

/// Maps values from zero to `max` to pixels from `from` to `to`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    /// The largest value on the axis. Invariant: positive.
    pub(super) max: f64,
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Axis {
    pub(super) fn at(&self, value: f64) -> f64 {
        self.from + (self.to - self.from) * (value / self.max).clamp(0.0, 1.0)
    }
}

/// Returns a round maximum for an axis with values up to `value`. Its quarters, which label the
/// rows of the grid, have few digits, too.
pub(super) fn nice_top(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 2.4, 3.0, 4.0, 5.0, 6.0, 8.0];
    steps.into_iter().map(|step| step * power).find(|top| value <= *top).unwrap_or(10.0 * power)
}

/// Formats a number with three digits: `1.25 M`, `20 k`, `3.5`, `0.012`.
pub(super) fn human(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        giga if giga >= 1e9 => (value / 1e9, " G"),
        mega if mega >= 1e6 => (value / 1e6, " M"),
        kilo if kilo >= 1e4 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let decimals = match scaled.abs() {
        large if large >= 100.0 => 0,
        medium if medium >= 10.0 => 1,
        small if small >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{scaled:.decimals$}");
    let text = if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// An SVG image that is being written.
#[derive(Debug)]
pub(super) struct Canvas {
    svg: String,
}

const STYLE: &str = "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:#334155;\
    font-size:12px}.title{font-size:22px;font-weight:600;fill:#0f172a}.head{font-size:14px;font-weight:600;\
    fill:#0f172a}.note{fill:#64748b;font-size:13px}.mark{font-weight:600;fill:#0f172a}";

/// Appends formatted text; writing to a string cannot fail.
macro_rules! put {
    ($canvas:expr, $($arguments:tt)*) => {
        let _ = write!($canvas.svg, $($arguments)*);
    };
}

impl Canvas {
    pub(super) fn new(width: f64, height: f64) -> Self {
        let mut canvas = Self { svg: String::new() };
        put!(
            canvas,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\"><style>{STYLE}</style>\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
        );
        canvas
    }

    pub(super) fn finish(mut self) -> String {
        self.svg.push_str("</svg>\n");
        self.svg
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), class: &str, anchor: &str, text: &str) {
        let text = escape(text);
        put!(
            self,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{text}</text>\n"
        );
    }

    pub(super) fn heading(&mut self, area: ChartArea, text: &str) {
        self.text((area.left, area.top - 14.0), "head", "start", text);
        self.rule((area.left, area.bottom()), (area.right(), area.bottom()), "#94a3b8");
    }

    /// Writes the reason why a chart is empty into its middle.
    pub(super) fn empty(&mut self, area: ChartArea, reason: &str) {
        let middle = (area.left + area.width / 2.0, area.top + area.height / 2.0);
        self.text(middle, "note", "middle", reason);
    }

    fn rule(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str) {
        put!(
            self,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>\n"
        );
    }

    /// Draws the horizontal lines of the grid with their values.
    pub(super) fn rows(&mut self, area: ChartArea, axis: &Axis) {
        for row in 0..=ROWS {
            let value = axis.max * f64::from(row) / f64::from(ROWS);
            let y = axis.at(value);
            if row > 0 {
                self.rule((area.left, y), (area.right(), y), "#e2e8f0");
            }
            self.text((area.left - 8.0, y + 4.0), "axis", "end", &human(value));
        }
    }

    /// Draws a vertical line of the grid with its label.
    pub(super) fn column(&mut self, area: ChartArea, x: f64, label: &str) {
        self.rule((x, area.top), (x, area.bottom()), "#f1f5f9");
        self.text((x, area.bottom() + 18.0), "axis", "middle", label);
    }

    pub(super) fn line(&mut self, points: &[(f64, f64)], colour: &str) {
        if let [(x, y)] = points {
            put!(self, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>\n");
            return;
        }
        let points = point_list(points);
        put!(
            self,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" \
             stroke-linejoin=\"round\"/>\n"
        );
    }

    pub(super) fn area(&mut self, points: &[(f64, f64)], bottom: f64, colour: &str) {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
        let outline = point_list(&[points, &[(last.0, bottom), (first.0, bottom)]].concat());
        put!(self, "<polygon points=\"{outline}\" fill=\"{colour}\" fill-opacity=\"0.12\"/>\n");
    }

    /// Draws a point with its value above it, on the side that has room.
    pub(super) fn mark(&mut self, area: ChartArea, (x, y): (f64, f64), colour: &str, label: &str) {
        put!(self, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>\n");
        let (x, anchor) = if x < area.left + 80.0 { (x - 4.0, "start") } else { (x - 6.0, "end") };
        self.text((x, y - 8.0), "mark", anchor, label);
    }

    pub(super) fn legend(&mut self, (x, y): (f64, f64), colour: &str, name: &str) {
        put!(
            self,
            "<line x1=\"{x:.1}\" y1=\"{0:.1}\" x2=\"{1:.1}\" y2=\"{0:.1}\" stroke=\"{colour}\" \
             stroke-width=\"3\"/>\n",
            y - 4.0,
            x + 16.0
        );
        self.text((x + 21.0, y), "axis", "start", name);
    }
}

fn point_list(points: &[(f64, f64)]) -> String {
    let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    points.join(" ")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let shown: Vec<String> =
            [0.0, 0.0123, 1.5, 42.0, 250.0, 9_999.0, 12_500.0, 2_000_000.0].map(human).to_vec();
        assert_eq!(shown, ["0", "0.012", "1.5", "42", "250", "9999", "12.5 k", "2 M"]);
    }

    #[test]
    fn tops_lie_slightly_above_the_values() {
        for (value, top) in
            [(0.0, 1.0), (0.5, 0.5), (1.0, 1.0), (1.1, 1.2), (37.0, 40.0), (99.0, 100.0)]
        {
            assert!((nice_top(value) - top).abs() < 1e-9, "{value}: {}", nice_top(value));
        }
    }
}
