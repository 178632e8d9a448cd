//! The report as Markdown.

use std::fmt::Write as _;

use crate::figures::{Figures, human, human_kb, human_ms, human_ns};
use crate::plan::{Delivery, Row};
use crate::report::{Entry, Report};

/// A server that delivers less of what was asked does not keep up.
const KEEPS_UP: f64 = 0.97;

/// Subscribers are served unevenly if one gets so many times what another gets.
const UNEVEN: f64 = 1.5;

/// A client this busy may be what limits a figure.
const CLIENT_BUSY: f64 = 0.95;

const HEAD: &str = "\
| load | server | delivered/s | CPU per tick | CPU, cores | p50 | p99 | memory per connection | |
|---|---|--:|--:|--:|--:|--:|--:|---|
";

/// Writes a report as a page: what was measured, on what, and one line for each server and load.
pub(crate) fn page(report: &Report) -> String {
    let mut page = String::from("# Tickwire beside other servers\n\n");
    page += "![Deliveries, processor time, latency and memory of each server](peers.svg)\n\n";
    page += &format!("- **Machine**: {}\n", report.host.machine);
    page += &format!("- **Date**: {}, {}\n", report.host.date, report.method());
    page += &format!("- **Command**: `{}`\n", report.command);
    let versions = report.host.versions.iter();
    let versions: Vec<_> = versions.map(|(peer, v)| format!("{} {v}", peer.title())).collect();
    page += &format!("- **Versions**: {}\n\n", versions.join("; "));
    page += HEAD;
    for (row, entries) in report.groups() {
        for (index, entry) in entries.iter().enumerate() {
            page += &line(row, entry, index == 0);
        }
    }
    page += "\n";
    for (row, _) in report.groups() {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "- **{}**: {}{}", row.name, row.what, asked(row));
    }
    page + FOOT
}

const FOOT: &str = "
Server, publisher and one measuring client share the machine, over loopback. *CPU* is the server's, in the program
and in the kernel, which counts the receiving side of loopback to the sender. *Latency* is from when a tick was due at the publisher to when
a subscriber read it. *Memory* is what the server's process grew by, over its connections: under load that includes what waits to be sent
and, of Tickwire, the log of the newest ticks, which does not grow with connections.
*Floor* is nothing but `write()` of prepared frames, up to 100 times a second to each connection.
Absolute figures move with the machine and the hour; compare within one run. How it is measured: `benches/peers`.
";

/// What a server that keeps up delivers.
fn asked(row: &Row) -> String {
    match row.rate {
        0 => String::new(),
        _ if row.delivery == Delivery::Every => {
            format!(" ({} deliveries/s asked)", human(row.asked()))
        }
        _ => format!(" (at most {} deliveries/s)", human(row.asked())),
    }
}

fn line(row: &Row, entry: &Entry, first: bool) -> String {
    let load = if first { format!("**{}**", row.name) } else { String::new() };
    let head = format!("| {load} | {} |", entry.peer.title());
    let Some(figures) = entry.medians() else {
        return format!("{head} – | – | – | – | – | – | {} |\n", notes(row, entry, None));
    };
    let none = || "–".to_owned();
    let delivered = if row.rate == 0 { none() } else { human(figures.delivered_per_s) };
    format!(
        "{head} {delivered} | {} | {:.2} | {} | {} | {} | {} |\n",
        figures.cpu_per_tick_ns.map_or_else(none, human_ns),
        figures.cpu_cores,
        figures.p50_ms.map_or_else(none, human_ms),
        figures.p99_ms.map_or_else(none, human_ms),
        human_kb(figures.bytes_per_connection),
        notes(row, entry, Some(&figures)),
    )
}

/// What a reader of the figures must know.
fn notes(row: &Row, entry: &Entry, figures: Option<&Figures>) -> String {
    let mut notes = Vec::new();
    if let Some(figures) = figures.filter(|_| row.rate > 0) {
        let share = figures.delivered_per_s / row.asked();
        if share < KEEPS_UP {
            let of = if row.delivery == Delivery::Every { "asked" } else { "the most possible" };
            let decimals = usize::from(share < 0.1);
            notes.push(format!("{:.decimals$} % of {of}", share * 100.0));
        }
        if figures.most_per_s > UNEVEN * figures.least_per_s {
            let (least, most) = (human(figures.least_per_s), human(figures.most_per_s));
            notes.push(format!("uneven: {least} to {most} per subscriber"));
        }
        if figures.client_cores > CLIENT_BUSY {
            notes.push("the client is at its limit".to_owned());
        }
    }
    if let Some(closed) = figures.map(|figures| figures.closed).filter(|closed| *closed > 0.0) {
        notes.push(format!("{closed:.0} subscribers closed"));
    }
    if let Some(failure) = entry.failures.first() {
        let (failed, all) = (entry.failures.len(), entry.failures.len() + entry.figures.len());
        let failure = failure.replace('|', "/").replace('<', "&lt;");
        notes.push(format!("failed in {failed} of {all} runs: {failure}"));
    }
    notes.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    /// The cells of the line that starts so.
    fn cells(page: &str, start: &str) -> Vec<String> {
        let line = page.lines().find(|line| line.starts_with(start));
        let line = line.unwrap_or_else(|| panic!("no line starts with {start}"));
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    }

    #[test]
    fn a_line_has_the_figures_of_one_server() {
        let page = page(&report());
        assert_eq!(
            cells(&page, "| **hot-1000** |"),
            [
                "**hot-1000**",
                "Tickwire",
                "1.00 M",
                "12,565 ns",
                "0.50",
                "8.5 ms",
                "3.40 s",
                "5.6 KB",
                ""
            ]
        );
        assert_eq!(cells(&page, "| **idle** |")[2..4], ["–", "–"]);
    }

    #[test]
    fn a_server_that_does_not_keep_up_shows_what_it_delivered() {
        let line = cells(&page(&report()), "|  | uWebSockets |");
        assert_eq!((line[2].as_str(), line[8].as_str()), ("10.0 k", "10 % of asked"));
    }

    #[test]
    fn a_failure_is_told_and_keeps_the_table_whole() {
        let page = page(&report());
        let failed = page.lines().find(|line| line.contains("failed")).unwrap();
        assert!(failed.ends_with("failed in 1 of 1 runs: a / b &lt;ended> |"), "{failed}");
        let columns = HEAD.lines().next().unwrap().matches('|').count();
        for line in page.lines().filter(|line| line.starts_with('|')) {
            assert_eq!(line.matches('|').count(), columns, "{line}");
        }
    }

    #[test]
    fn uneven_service_and_closed_subscribers_are_told() {
        let report = report();
        let entry = &report.entries[0];
        let figures = Figures {
            delivered_per_s: entry.row.asked(),
            least_per_s: 5.0,
            most_per_s: 68.0,
            closed: 3.0,
            ..Figures::default()
        };
        assert_eq!(
            notes(entry.row, entry, Some(&figures)),
            "uneven: 5.00 to 68.0 per subscriber; 3 subscribers closed"
        );
    }

    #[test]
    fn the_page_names_machine_date_versions_and_command() {
        let page = page(&report());
        for text in [
            "Some CPU, 2 cores",
            "2026-11-22, medians of 3 runs of 5 s",
            "uWebSockets 3.0.6",
            "`cargo xtask bench peers`",
            "(20.0 M deliveries/s asked)",
        ] {
            assert!(page.contains(text), "{text}");
        }
    }
}
