//! What a measurement gives, and what several give together.

/// One measurement of one server under one load.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Figures {
    /// Ticks per second over all subscribers.
    pub(crate) delivered_per_s: f64,
    /// Processor time of the server for each of them, in nanoseconds.
    pub(crate) cpu_per_tick_ns: Option<f64>,
    /// Processors that the server kept busy.
    pub(crate) cpu_cores: f64,
    /// From when a tick was due to when it was read, in milliseconds.
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    /// What the server grew by, at the end, for each connection.
    pub(crate) bytes_per_connection: f64,
    /// The fewest and the most ticks that one subscriber got, per second.
    pub(crate) least_per_s: f64,
    pub(crate) most_per_s: f64,
    /// Subscribers who read and were closed all the same.
    pub(crate) closed: f64,
    /// Processors that the measuring client kept busy: near 1, it is the limit.
    pub(crate) client_cores: f64,
}

/// The median of each figure by itself; `None` without any.
pub(crate) fn medians(of: &[Figures]) -> Option<Figures> {
    let each = |figure: fn(&Figures) -> f64| median(of.iter().map(figure));
    let some = |figure: fn(&Figures) -> Option<f64>| median(of.iter().filter_map(figure));
    Some(Figures {
        delivered_per_s: each(|f| f.delivered_per_s)?,
        cpu_per_tick_ns: some(|f| f.cpu_per_tick_ns),
        cpu_cores: each(|f| f.cpu_cores)?,
        p50_ms: some(|f| f.p50_ms),
        p99_ms: some(|f| f.p99_ms),
        bytes_per_connection: each(|f| f.bytes_per_connection)?,
        least_per_s: each(|f| f.least_per_s)?,
        most_per_s: each(|f| f.most_per_s)?,
        closed: each(|f| f.closed)?,
        client_cores: each(|f| f.client_cores)?,
    })
}

/// The middle value, or the mean of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

/// `12.5 M`, `800 k`, `3.5`: three digits.
pub(crate) fn human(value: f64) -> String {
    let (scaled, unit) = match value {
        mega if mega >= 999_500.0 => (value / 1e6, " M"),
        kilo if kilo >= 9_995.0 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let decimals = match scaled {
        whole if whole >= 99.95 || whole == 0.0 => 0,
        tens if tens >= 9.995 => 1,
        _ => 2,
    };
    format!("{scaled:.decimals$}{unit}")
}

/// Milliseconds, or seconds where they are many: `8.5 ms`, `120 ms`, `3.40 s`.
pub(crate) fn human_ms(ms: f64) -> String {
    match ms {
        long if long >= 999.5 => format!("{:.2} s", ms / 1e3),
        medium if medium >= 9.95 => format!("{ms:.0} ms"),
        _ => format!("{ms:.1} ms"),
    }
}

/// Nanoseconds with thousands set apart: `9,944 ns`.
pub(crate) fn human_ns(ns: f64) -> String {
    let digits = format!("{ns:.0}");
    match digits.len().checked_sub(3) {
        Some(split) if split > 0 => format!("{},{} ns", &digits[..split], &digits[split..]),
        _ => format!("{digits} ns"),
    }
}

/// `5.6 KB`, in bytes of 1,024 as the kernel counts memory.
pub(crate) fn human_kb(bytes: f64) -> String {
    let kb = bytes.max(0.0) / 1024.0;
    if kb >= 99.95 { format!("{kb:.0} KB") } else { format!("{kb:.1} KB") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median([7.0].into_iter()), Some(7.0));
        assert_eq!(median([].into_iter()), None);
    }

    #[test]
    fn each_figure_has_its_own_median_and_missing_ones_are_passed_over() {
        let figures =
            |delivered_per_s, p99_ms| Figures { delivered_per_s, p99_ms, ..Figures::default() };
        let of = [figures(1.0, Some(30.0)), figures(9.0, None), figures(2.0, Some(10.0))];
        let medians = medians(&of).unwrap();
        assert_eq!((medians.delivered_per_s, medians.p99_ms), (2.0, Some(20.0)));
        assert_eq!((medians.p50_ms, medians.cpu_per_tick_ns), (None, None));
        assert_eq!(super::medians(&[]), None);
    }

    #[test]
    fn figures_are_short() {
        let shown = [0.0, 0.5, 99.9, 9_999.0, 55_000.0, 999_900.0, 2e6, 19_990_000.0].map(human);
        assert_eq!(shown, ["0", "0.50", "99.9", "10.0 k", "55.0 k", "1.00 M", "2.00 M", "20.0 M"]);
        assert_eq!(
            [0.4, 9.96, 120.4, 3_400.0].map(human_ms),
            ["0.4 ms", "10 ms", "120 ms", "3.40 s"]
        );
        assert_eq!([50.2, 999.0, 12_565.0].map(human_ns), ["50 ns", "999 ns", "12,565 ns"]);
        assert_eq!([-5.0, 5_734.0, 204_800.0].map(human_kb), ["0.0 KB", "5.6 KB", "200 KB"]);
    }
}
