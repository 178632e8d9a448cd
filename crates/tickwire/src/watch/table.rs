//! Draws the watchlist as a table.

use std::cmp::Ordering;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Table};
use tickwire_client::FeedState;
use tickwire_protocol::Price;

use super::watchlist::{Connection, Row, SPARK_POINTS, SortBy, Watchlist};

/// A new price is highlighted for this long.
const FRESH: Duration = Duration::from_millis(400);

/// A row without ticks for this long is dimmed.
const OLD: Duration = Duration::from_secs(60);

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The part of the watchlist that is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Viewport {
    pub(super) sort: SortBy,
    /// Index of the first row.
    pub(super) top: usize,
}

/// Draws the screen. Returns how many rows fit.
pub(super) fn draw(
    frame: &mut Frame<'_>,
    watchlist: &Watchlist,
    viewport: Viewport,
    title: &str,
    elapsed: Duration,
) -> usize {
    let areas =
        Layout::vertical([Constraint::Length(1), Constraint::Min(2), Constraint::Length(1)]);
    let [head, body, foot] = areas.areas(frame.area());
    header(frame, head, watchlist, title);
    let shown = usize::from(body.height.saturating_sub(1));
    rows(frame, body, watchlist, viewport, elapsed);
    footer(frame, foot, watchlist, viewport, shown);
    shown
}

fn header(frame: &mut Frame<'_>, area: Rect, watchlist: &Watchlist, title: &str) {
    let connection = match watchlist.connection {
        Connection::Up => Span::from("● connected").green(),
        Connection::Down => Span::from("○ reconnecting").red(),
    };
    let feed = match watchlist.feed {
        Some(FeedState::Live) => Span::from("feed live").green(),
        Some(FeedState::Stale) => Span::from("feed stale").yellow(),
        Some(FeedState::Down) => Span::from("feed down").red(),
        None => Span::from("feed unknown").dim(),
    };
    let mut spans = vec![
        Span::from(title.to_owned()).bold(),
        Span::from("  "),
        connection,
        Span::from("  "),
        feed,
        Span::from(format!("  {:.0} ticks/s", watchlist.ticks_per_s)),
    ];
    if let Some(latency) = watchlist.latency {
        spans.push(Span::from(format!("  latency {:.1} ms", latency.as_secs_f64() * 1e3)));
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), area);
}

fn footer(
    frame: &mut Frame<'_>,
    area: Rect,
    watchlist: &Watchlist,
    viewport: Viewport,
    shown: usize,
) {
    let last = (viewport.top + shown).min(watchlist.len());
    let first = (viewport.top + 1).min(last);
    let keys = format!(
        "q quit  ↑↓ scroll  s sort: {}  {first}-{last} of {}",
        viewport.sort.name(),
        watchlist.len()
    );
    let width = u16::try_from(keys.chars().count()).unwrap_or(u16::MAX);
    let [left, right] =
        Layout::horizontal([Constraint::Min(0), Constraint::Length(width)]).areas(area);
    frame.render_widget(Paragraph::new(watchlist.notice.as_str()).dim(), left);
    frame.render_widget(Paragraph::new(keys).dim().alignment(Alignment::Right), right);
}

fn rows(
    frame: &mut Frame<'_>,
    area: Rect,
    watchlist: &Watchlist,
    viewport: Viewport,
    elapsed: Duration,
) {
    if watchlist.len() == 0 {
        frame.render_widget(Paragraph::new("waiting for ticks …").dim(), area);
        return;
    }
    let shown = usize::from(area.height.saturating_sub(1));
    let sorted = watchlist.sorted(viewport.sort);
    let visible = sorted.iter().skip(viewport.top).take(shown);
    let names = ["SYMBOL", "LAST", "CHANGE", "BID", "ASK", "SIZE", "VOLUME", "AGE", ""];
    let head = names.iter().enumerate().map(|(column, name)| {
        let alignment = if column == 0 { Alignment::Left } else { Alignment::Right };
        Cell::from(Line::from(*name).alignment(alignment))
    });
    let spark = u16::try_from(SPARK_POINTS).unwrap_or(u16::MAX);
    let widths = [10, 12, 9, 19, 19, 9, 12, 7, spark].map(Constraint::Length);
    let table = Table::new(visible.map(|row| table_row(row, elapsed)), widths)
        .header(TableRow::new(head).style(Style::new().add_modifier(Modifier::BOLD).underlined()))
        .column_spacing(1);
    frame.render_widget(table, area);
}

fn table_row(row: &Row, elapsed: Duration) -> TableRow<'static> {
    let age = row.age(elapsed);
    let moved = colour(row.direction);
    let mut last = Style::new().fg(moved);
    if age < FRESH {
        last = last.add_modifier(Modifier::BOLD);
    }
    let change = row.change();
    let changed = colour(change.map_or(Ordering::Equal, |change| change.total_cmp(&0.0)));
    let cells = [
        Cell::from(row.symbol.to_string()).bold(),
        right(row.last.map(|price| price.to_string()), last),
        right(change.map(|change| format!("{change:+.2} %")), Style::new().fg(changed)),
        right(row.bid.map(side), Style::new()),
        right(row.ask.map(side), Style::new()),
        right(row.last.map(|_| row.last_size.to_string()), Style::new()),
        right(Some(row.volume.to_string()), Style::new()),
        right(Some(short_age(age)), Style::new().dim()),
        Cell::from(spark(row.spark())).fg(moved),
    ];
    let style = if age > OLD { Style::new().dim() } else { Style::new() };
    TableRow::new(cells).style(style)
}

fn right(text: Option<String>, style: Style) -> Cell<'static> {
    let text = text.unwrap_or_else(|| "–".to_owned());
    Cell::from(Line::from(text).alignment(Alignment::Right)).style(style)
}

fn side((price, size): (Price, u64)) -> String {
    format!("{price} × {size}")
}

const fn colour(direction: Ordering) -> Color {
    match direction {
        Ordering::Less => Color::Red,
        Ordering::Equal => Color::Reset,
        Ordering::Greater => Color::Green,
    }
}

/// Formats an age shortly: `0.4s`, `12s`, `3m`, `2h`.
fn short_age(age: Duration) -> String {
    match age.as_secs() {
        0..10 => format!("{:.1}s", age.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds => format!("{}h", seconds / 3600),
    }
}

/// Formats prices as a sparkline between the lowest and the highest.
fn spark(prices: impl Iterator<Item = Price> + Clone) -> String {
    let low = prices.clone().min().unwrap_or_default().nanos();
    let range = prices.clone().max().unwrap_or_default().nanos() - low;
    prices
        .map(|price| {
            let height = i128::from(price.nanos() - low) * (BARS.len() as i128 - 1);
            // A flat line is in the middle.
            let bar = height.checked_div(i128::from(range)).unwrap_or(3);
            usize::try_from(bar).ok().and_then(|bar| BARS.get(bar)).copied().unwrap_or(' ')
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::watchlist::tests::{at, quote, trade};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn drawn(watchlist: &Watchlist, viewport: Viewport, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(132, height)).unwrap();
        let elapsed = Duration::from_secs(5);
        let screen = |frame: &mut Frame<'_>| {
            draw(frame, watchlist, viewport, "hub · main", elapsed);
        };
        terminal.draw(screen).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let rows = buffer.content().chunks(usize::from(buffer.area.width));
        rows.map(|row| row.iter().map(|cell| cell.symbol()).collect()).collect()
    }

    #[test]
    fn row_shows_price_change_quote_volume_age_and_sparkline() {
        let mut watchlist = Watchlist::new();
        watchlist.update(&trade("AAPL", "100", 10, at(0)), at(0));
        watchlist.update(&trade("AAPL", "101.5", 5, at(2000)), at(2000));
        watchlist.update(&quote("AAPL", "101.4", "101.6", at(3000)), at(3000));
        let screen = drawn(&watchlist, Viewport { sort: SortBy::Symbol, top: 0 }, 6);
        assert!(screen[0].starts_with("hub · main  ● connected  feed unknown"), "{}", screen[0]);
        for part in ["AAPL", "101.5", "+1.50 %", "101.4 × 3", "101.6 × 4", " 15 ", "2.0s", "▁█"]
        {
            assert!(screen[2].contains(part), "{part} in {}", screen[2]);
        }
        assert!(screen[5].contains("s sort: symbol  1-1 of 1"), "{}", screen[5]);
    }

    #[test]
    fn only_visible_rows_are_drawn() {
        let mut watchlist = Watchlist::new();
        for number in 0..100 {
            watchlist.update(&trade(&format!("S{number:02}"), "1", 1, at(0)), at(0));
        }
        let screen = drawn(&watchlist, Viewport { sort: SortBy::Symbol, top: 40 }, 10);
        assert!(screen[2].starts_with("S40"), "{}", screen[2]);
        assert!(screen[8].starts_with("S46"), "{}", screen[8]);
        assert!(screen[9].contains("41-47 of 100"), "{}", screen[9]);
    }

    #[test]
    fn tiny_terminal_is_drawn() {
        let mut watchlist = Watchlist::new();
        watchlist.update(&trade("A", "1", 1, at(0)), at(0));
        for height in 1..4 {
            drawn(&watchlist, Viewport { sort: SortBy::Change, top: 0 }, height);
        }
    }

    #[test]
    fn ages_are_short() {
        let shown =
            [0.04, 9.9, 42.0, 300.0, 10_000.0].map(|s| short_age(Duration::from_secs_f64(s)));
        assert_eq!(shown, ["0.0s", "9.9s", "42s", "5m", "2h"]);
    }
}
