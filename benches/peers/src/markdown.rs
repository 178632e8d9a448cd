//! The report as Markdown.

use std::fmt::Write as _;

use crate::format::{human, human_kb, human_ms, human_ns};
use crate::measurement::Measurement;
use crate::report::{Entry, Report};
use crate::workload::{Delivery, Workload};

/// A server that delivers less than this part of the offered rate does not keep up.
const KEEPS_UP_SHARE: f64 = 0.97;

/// Service is uneven if one subscriber receives this many times as much as another.
const UNEVEN_RATIO: f64 = 1.5;

/// A client that uses more than this part of a core may limit the results.
const CLIENT_BUSY_CORES: f64 = 0.95;

const HEAD: &str = "\
| workload | server | delivered/s | CPU per tick | CPU, cores | p50 | p99 | memory per connection | |
|---|---|--:|--:|--:|--:|--:|--:|---|
";

/// Returns a report as a Markdown page: machine, versions, and a line for each server and workload.
pub(crate) fn page(report: &Report) -> String {
    let mut page = String::from("# Tickwire compared with other servers\n\n");
    page += "![Deliveries, processor time, latency and memory of each server](peers.svg)\n\n";
    page += &format!("- **Machine**: {}\n", report.host.machine);
    page += &format!("- **Date**: {}, {}\n", report.host.date, report.method());
    page += &format!("- **Command**: `{}`\n", report.command);
    let versions = report.host.versions.iter();
    let versions: Vec<_> = versions.map(|(peer, v)| format!("{} {v}", peer.title())).collect();
    page += &format!("- **Versions**: {}\n\n", versions.join("; "));
    page += HEAD;
    for (workload, entries) in report.groups() {
        for (index, entry) in entries.iter().enumerate() {
            page += &line(workload, entry, index == 0);
        }
    }
    page += "\n";
    for (workload, _) in report.groups() {
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "- **{}**: {}{}",
            workload.name,
            workload.description,
            offered(workload)
        );
    }
    page + FOOT
}

const FOOT: &str = "
Server, publisher and one measuring client share the machine and connect over loopback.

- *CPU* is the user and system time of the server. On loopback the kernel accounts the work of the
  receiving side to the sender.
- *Latency* is the time from when a tick was due at the publisher until a subscriber read it.
- *Memory* is the growth of the server's process divided by the number of connections. Under load it
  includes data that waits to be sent and, for Tickwire, the log of the newest ticks, which does not
  grow with the number of connections.
- *Floor* only writes prepared frames, up to 100 times a second to each connection.

Absolute values depend on the machine and change over time, so compare only values of the same run.
`benches/peers/README.md` describes the method.
";

/// Returns the rate that a server which keeps up delivers, in parentheses.
fn offered(workload: &Workload) -> String {
    match workload.rate {
        0 => String::new(),
        _ if workload.delivery == Delivery::Every => {
            format!(" ({} deliveries/s offered)", human(workload.offered_rate()))
        }
        _ => format!(" (at most {} deliveries/s)", human(workload.offered_rate())),
    }
}

fn line(workload: &Workload, entry: &Entry, first: bool) -> String {
    let load = if first { format!("**{}**", workload.name) } else { String::new() };
    let head = format!("| {load} | {} |", entry.peer.title());
    let Some(measurement) = entry.medians() else {
        return format!("{head} – | – | – | – | – | – | {} |\n", notes(workload, entry, None));
    };
    let none = || "–".to_owned();
    let delivered = if workload.rate == 0 { none() } else { human(measurement.delivered_per_s) };
    format!(
        "{head} {delivered} | {} | {:.2} | {} | {} | {} | {} |\n",
        measurement.cpu_per_tick_ns.map_or_else(none, human_ns),
        measurement.cpu_cores,
        measurement.p50_ms.map_or_else(none, human_ms),
        measurement.p99_ms.map_or_else(none, human_ms),
        human_kb(measurement.bytes_per_connection),
        notes(workload, entry, Some(&measurement)),
    )
}

/// Returns remarks that a reader needs to judge the values.
fn notes(workload: &Workload, entry: &Entry, measurement: Option<&Measurement>) -> String {
    let mut notes = Vec::new();
    if let Some(measurement) = measurement.filter(|_| workload.rate > 0) {
        let share = measurement.delivered_per_s / workload.offered_rate();
        if share < KEEPS_UP_SHARE {
            let of = if workload.delivery == Delivery::Every { "offered" } else { "the maximum" };
            let decimals = usize::from(share < 0.1);
            notes.push(format!("{:.decimals$} % of {of}", share * 100.0));
        }
        if measurement.most_per_s > UNEVEN_RATIO * measurement.least_per_s {
            let least = human(measurement.least_per_s);
            let most = human(measurement.most_per_s);
            notes.push(format!("uneven: {least} to {most} per subscriber"));
        }
        if measurement.client_cores > CLIENT_BUSY_CORES {
            notes.push("the client is at its limit".to_owned());
        }
    }
    if let Some(closed) =
        measurement.map(|measurement| measurement.closed).filter(|closed| *closed > 0.0)
    {
        notes.push(format!("{closed:.0} subscribers closed"));
    }
    if let Some(failure) = entry.failures.first() {
        let failed = entry.failures.len();
        let all = failed + entry.measurements.len();
        let failure = failure.replace('|', "/").replace('<', "&lt;");
        notes.push(format!("failed in {failed} of {all} runs: {failure}"));
    }
    notes.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    /// Returns the cells of the line that starts with `start`.
    fn cells(page: &str, start: &str) -> Vec<String> {
        let line = page.lines().find(|line| line.starts_with(start));
        let line = line.unwrap_or_else(|| panic!("no line starts with {start}"));
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    }

    #[test]
    fn line_has_the_values_of_one_server() {
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
    fn server_that_does_not_keep_up_shows_what_it_delivered() {
        let line = cells(&page(&report()), "|  | uWebSockets |");
        assert_eq!((line[2].as_str(), line[8].as_str()), ("10.0 k", "10 % of offered"));
    }

    #[test]
    fn failure_is_shown_without_breaking_the_table() {
        let page = page(&report());
        let failed = page.lines().find(|line| line.contains("failed")).unwrap();
        assert!(failed.ends_with("failed in 1 of 1 runs: a / b &lt;ended> |"), "{failed}");
        let columns = HEAD.lines().next().unwrap().matches('|').count();
        for line in page.lines().filter(|line| line.starts_with('|')) {
            assert_eq!(line.matches('|').count(), columns, "{line}");
        }
    }

    #[test]
    fn uneven_service_and_closed_subscribers_are_noted() {
        let report = report();
        let entry = &report.entries[0];
        let measurement = Measurement {
            delivered_per_s: entry.workload.offered_rate(),
            least_per_s: 5.0,
            most_per_s: 68.0,
            closed: 3.0,
            ..Measurement::default()
        };
        assert_eq!(
            notes(entry.workload, entry, Some(&measurement)),
            "uneven: 5.00 to 68.0 per subscriber; 3 subscribers closed"
        );
    }

    #[test]
    fn page_names_machine_date_versions_and_command() {
        let page = page(&report());
        for text in [
            "Some CPU, 2 cores",
            "2026-11-22, medians of 3 runs of 5 s",
            "uWebSockets 3.0.6",
            "`cargo xtask bench peers`",
            "(20.0 M deliveries/s offered)",
        ] {
            assert!(page.contains(text), "{text}");
        }
    }
}
