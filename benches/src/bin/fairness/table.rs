//! The table of all measurements.

use std::time::Duration;

use crate::measurement::Measurement;

const HEAD: [&str; 11] = [
    "attack",
    "tick p50",
    "tick p99",
    "subscribe p50",
    "subscribe p99",
    "resume p50",
    "readyz p99",
    "memory",
    "CPU, cores",
    "honest clients: failed",
    "attacking clients",
];
/// Columns of text, which are aligned to the left.
const TEXT_COLUMNS: [usize; 3] = [0, 9, 10];

/// One measurement of the table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) attack: &'static str,
    pub(crate) measurement: Measurement,
    /// What the clients that attacked got; `None` for the measurement without them.
    pub(crate) outcome: Option<String>,
}

/// The measurements of all attacks.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<[String; HEAD.len()]>);

impl Table {
    pub(crate) fn push(&mut self, row: Row) {
        let Row { attack, measurement, outcome } = row;
        let probes = &measurement.probes;
        let [tick_p50, tick_p99] = measurement.tick_ms.map_or_else(
            || [(); 2].map(|()| "–".to_owned()),
            |both| both.map(|ms| shown(Some(Duration::from_secs_f64(ms / 1e3)))),
        );
        self.0.push([
            if outcome.is_some() { attack.to_owned() } else { format!("before {attack}") },
            tick_p50,
            tick_p99,
            shown(probes.subscribe.at(0.5)),
            shown(probes.subscribe.at(0.99)),
            shown(probes.resume.at(0.5)),
            shown(probes.ready.at(0.99)),
            format!("{} MiB", measurement.memory_kib / 1_024),
            format!("{:.2}", measurement.cores),
            measurement.failures.join(", "),
            outcome.unwrap_or_default(),
        ]);
    }

    /// Returns the table in columns.
    pub(crate) fn text(&self) -> String {
        let rows = || std::iter::once(HEAD.map(str::to_owned)).chain(self.0.iter().cloned());
        let mut widths = [0; HEAD.len()];
        for row in rows() {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |row: [String; HEAD.len()]| {
            let cells = row.into_iter().zip(widths).enumerate();
            let cells: Vec<_> = cells
                .map(|(column, (cell, width))| match TEXT_COLUMNS.contains(&column) {
                    true => format!("{cell:<width$}"),
                    false => format!("{cell:>width$}"),
                })
                .collect();
            format!("{}\n", cells.join("  ").trim_end())
        };
        rows().map(line).collect()
    }

    /// Returns the table in Markdown.
    pub(crate) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut text = line(&HEAD.map(str::to_owned));
        let columns = 0..HEAD.len();
        let alignments = columns.map(|column| match TEXT_COLUMNS.contains(&column) {
            true => "---",
            false => "--:",
        });
        text += &format!("|{}|\n", alignments.collect::<Vec<_>>().join("|"));
        self.0.iter().fold(text, |text, row| text + &line(row))
    }
}

/// Formats a time: `0.62 ms`, `107 ms`, `1.08 s`.
fn shown(time: Option<Duration>) -> String {
    let Some(time) = time else { return "–".to_owned() };
    match time.as_secs_f64() * 1e3 {
        long if long >= 999.5 => format!("{:.2} s", long / 1e3),
        medium if medium >= 99.95 => format!("{medium:.0} ms"),
        short if short >= 9.995 => format!("{short:.1} ms"),
        tiny => format!("{tiny:.2} ms"),
    }
}

/// Formats a count with separators: `1,234,567`.
pub(crate) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::ProbeTimes;

    fn table() -> Table {
        let measurement = Measurement {
            tick_ms: Some([0.62, 1_080.0]),
            probes: ProbeTimes::default(),
            memory_kib: 90 << 10,
            cores: 0.25,
            failures: vec!["resume 3".to_owned(), "readyz 1".to_owned()],
        };
        let outcome = Some("2 connections".to_owned());
        let mut table = Table::default();
        let without = Measurement { tick_ms: None, failures: Vec::new(), ..measurement.clone() };
        table.push(Row { attack: "replays", measurement: without, outcome: None });
        table.push(Row { attack: "replays", measurement, outcome });
        table
    }

    #[test]
    fn row_has_the_values_of_a_measurement() {
        let text = table().markdown();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[2], "| before replays | – | – | – | – | – | – | 90 MiB | 0.25 |  |  |");
        assert_eq!(
            lines[3],
            "| replays | 0.62 ms | 1.08 s | – | – | – | – | 90 MiB | 0.25 | resume 3, readyz 1 \
             | 2 connections |"
        );
    }

    #[test]
    fn markdown_rows_have_the_columns_of_the_head() {
        let text = table().markdown();
        let columns = |line: &str| line.matches('|').count();
        assert!(text.lines().all(|line| columns(line) == HEAD.len() + 1), "{text}");
    }

    #[test]
    fn columns_of_text_are_aligned() {
        let text = table().text();
        let ends: Vec<_> = text.lines().skip(1).map(|line| line.find("90 MiB")).collect();
        let characters = |line: &str| line.split("90 MiB").next().unwrap().chars().count();
        let starts: Vec<_> = text.lines().skip(1).map(characters).collect();
        assert_eq!(starts[0], starts[1], "{ends:?}");
        assert!(text.lines().all(|line| !line.ends_with(' ')));
    }

    #[test]
    fn values_have_a_unit_and_few_digits() {
        let shown = [0.6234, 12.345, 107.2, 1_080.0, 4_000.0]
            .map(|ms| shown(Some(Duration::from_secs_f64(ms / 1e3))));
        assert_eq!(shown, ["0.62 ms", "12.3 ms", "107 ms", "1.08 s", "4.00 s"]);
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
