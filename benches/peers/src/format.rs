//! Formats measured values for people.

/// Formats a count with three digits: `12.5 M`, `800 k`, `3.50`.
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

/// Formats milliseconds, from one second on as seconds: `8.5 ms`, `120 ms`, `3.40 s`.
pub(crate) fn human_ms(ms: f64) -> String {
    match ms {
        long if long >= 999.5 => format!("{:.2} s", ms / 1e3),
        medium if medium >= 9.95 => format!("{ms:.0} ms"),
        _ => format!("{ms:.1} ms"),
    }
}

/// Formats nanoseconds with a thousands separator: `9,944 ns`.
pub(crate) fn human_ns(ns: f64) -> String {
    let digits = format!("{ns:.0}");
    match digits.len().checked_sub(3) {
        Some(split) if split > 0 => format!("{},{} ns", &digits[..split], &digits[split..]),
        _ => format!("{digits} ns"),
    }
}

/// Formats bytes in KB of 1,024 bytes: `5.6 KB`. Negative values become zero.
pub(crate) fn human_kb(bytes: f64) -> String {
    let kb = bytes.max(0.0) / 1024.0;
    if kb >= 99.95 { format!("{kb:.0} KB") } else { format!("{kb:.1} KB") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formatted_values_have_few_digits_and_a_unit() {
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
