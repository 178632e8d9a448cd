//! Draws the watchlist as a table.

use std::cmp::Ordering;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Table};
use tickwire_client::FeedState;
use tickwire_hub::format_duration;
use tickwire_protocol::Price;

use super::columns::{Column, SPACING, fitting};
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
    let delayed = match watchlist.delay {
        Duration::ZERO => String::new(),
        delay => format!(", {} late", format_duration(delay)),
    };
    let feed = match watchlist.feed {
        Some(FeedState::Live) => Span::from(format!("feed live{delayed}")).green(),
        Some(FeedState::Stale) => Span::from(format!("feed stale{delayed}")).yellow(),
        Some(FeedState::Down) => Span::from(format!("feed down{delayed}")).red(),
        None => Span::from("feed unknown").dim(),
    };
    let mut parts = vec![connection, feed];
    let width = usize::from(area.width);
    let taken = |parts: &[Span<'_>]| parts.iter().map(|part| part.width() + 2).sum::<usize>();
    let title = cut_front(title, width.saturating_sub(taken(&parts)));
    let latency =
        watchlist.latency.map(|time| format!("latency {:.1} ms", time.as_secs_f64() * 1e3));
    for part in std::iter::once(format!("{:.0} ticks/s", watchlist.ticks_per_s)).chain(latency) {
        if title.chars().count() + taken(&parts) + part.chars().count() + 2 <= width {
            parts.push(Span::from(part));
        }
    }
    let mut spans = vec![Span::from(title).bold()];
    for part in parts {
        spans.extend([Span::from("  "), part]);
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), area);
}

/// Cuts the beginning off a text that is longer than `length`.
fn cut_front(text: &str, length: usize) -> String {
    let excess = text.chars().count().saturating_sub(length);
    match excess {
        0 => text.to_owned(),
        _ if length == 0 => String::new(),
        _ => std::iter::once('…').chain(text.chars().skip(excess + 1)).collect(),
    }
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
    let range = format!("{first}-{last} of {}", watchlist.len());
    let sort = viewport.sort.name();
    let variants = [
        format!("q quit  ↑↓ scroll  s sort: {sort}  {range}"),
        format!("q quit  s sort: {sort}  {range}"),
        range,
    ];
    let length = |text: &String| text.chars().count();
    let keys = variants.into_iter().find(|text| length(text) <= usize::from(area.width));
    let keys = keys.unwrap_or_default();
    let width = u16::try_from(length(&keys)).unwrap_or(u16::MAX);
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
    let rows: Vec<_> =
        visible.map(|row| (*row, texts(row, row.age(elapsed), watchlist.delay))).collect();
    let lengths = std::array::from_fn(|column| {
        let longest = rows.iter().map(|(_, texts)| texts[column].chars().count()).max();
        longest.and_then(|length| u16::try_from(length).ok()).unwrap_or(0)
    });
    let spark_max = u16::try_from(SPARK_POINTS).unwrap_or(u16::MAX);
    let columns = fitting(area.width, lengths, spark_max);
    let head = columns.iter().map(|(column, _)| aligned(*column, column.name().to_owned()));
    let widths: Vec<_> = columns.iter().map(|(_, width)| Constraint::Length(*width)).collect();
    let lines = rows.iter().map(|(row, texts)| table_row(row, texts, &columns, elapsed));
    let table = Table::new(lines, widths)
        .header(TableRow::new(head).style(Style::new().add_modifier(Modifier::BOLD).underlined()))
        .column_spacing(SPACING);
    frame.render_widget(table, area);
}

/// Returns the texts of a row, in the order of [`Column::TEXTS`]. `delay` is that of the view: its
/// prices are older than their arrival.
fn texts(row: &Row, age: Option<Duration>, delay: Duration) -> [String; 8] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    Column::TEXTS.map(|column| match column {
        Column::Symbol => row.symbol.to_string(),
        Column::Last => or_dash(row.last.map(|price| price.to_string())),
        Column::Change => or_dash(row.change().map(|change| format!("{change:+.2} %"))),
        Column::Bid => or_dash(row.bid.map(side)),
        Column::Ask => or_dash(row.ask.map(side)),
        Column::Size => or_dash(row.last.map(|_| row.last_size.to_string())),
        Column::Volume => or_dash(age.map(|_| row.volume.to_string())),
        Column::Age => or_dash(age.map(|age| short_age(age + delay))),
        Column::Spark => String::new(),
    })
}

fn table_row(
    row: &Row,
    texts: &[String; 8],
    columns: &[(Column, u16)],
    elapsed: Duration,
) -> TableRow<'static> {
    let age = row.age(elapsed).unwrap_or(Duration::MAX);
    let moved = Style::new().fg(colour(row.direction));
    let cells = columns.iter().map(|(column, width)| {
        if *column == Column::Spark {
            return Cell::from(spark(row.spark(), usize::from(*width))).style(moved);
        }
        let style = match column {
            Column::Symbol => Style::new().bold(),
            Column::Last if age < FRESH => moved.add_modifier(Modifier::BOLD),
            Column::Last => moved,
            Column::Change => {
                let change = row.change().map_or(Ordering::Equal, |change| change.total_cmp(&0.0));
                Style::new().fg(colour(change))
            }
            Column::Age => Style::new().dim(),
            _ => Style::new(),
        };
        aligned(*column, texts[*column as usize].clone()).style(style)
    });
    let style = if age > OLD { Style::new().dim() } else { Style::new() };
    TableRow::new(cells).style(style)
}

/// Returns a cell with its text on the right, except for symbols.
fn aligned(column: Column, text: String) -> Cell<'static> {
    let alignment = if column == Column::Symbol { Alignment::Left } else { Alignment::Right };
    Cell::from(Line::from(text).alignment(alignment))
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

/// Formats the last `points` prices as a sparkline between the lowest and the highest.
fn spark(prices: impl ExactSizeIterator<Item = Price> + Clone, points: usize) -> String {
    let older = prices.len().saturating_sub(points);
    let prices = prices.skip(older);
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
    use tickwire_client::Event;
    use tickwire_protocol::{Feed, Symbol};

    fn drawn(watchlist: &Watchlist, viewport: Viewport, height: u16) -> Vec<String> {
        drawn_at(132, watchlist, viewport, height)
    }

    fn drawn_at(width: u16, watchlist: &Watchlist, viewport: Viewport, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let elapsed = Duration::from_secs(5);
        let screen = |frame: &mut Frame<'_>| {
            draw(frame, watchlist, viewport, "hub · main", elapsed);
        };
        terminal.draw(screen).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let rows = buffer.content().chunks(usize::from(buffer.area.width));
        rows.map(|row| row.iter().map(|cell| cell.symbol()).collect()).collect()
    }

    fn feed_is_live() -> Event {
        Event::Feed { feed: Feed::default(), state: FeedState::Live, since: at(0).unix, lost: 0 }
    }

    #[test]
    fn row_shows_price_change_quote_volume_age_and_sparkline() {
        let mut watchlist = Watchlist::new([]);
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

    /// A cut number reads like another one.
    #[test]
    fn no_number_is_cut_on_narrow_terminals() {
        let silent = Symbol::new("NEVER").unwrap();
        let mut watchlist = Watchlist::new([silent]);
        watchlist.update(&trade("AAPL", "240.75", 1_234_567, at(0)), at(0));
        watchlist.update(&quote("AAPL", "240.77", "240.81", at(0)), at(0));
        watchlist.update_rates(Duration::from_secs(1));
        let whole = [
            "AAPL",
            "NEVER",
            "240.75",
            "+0.00",
            "%",
            "240.77",
            "240.81",
            "×",
            "3",
            "4",
            "1234567",
            "5.0s",
            "–",
            "▄",
            "hub",
            "·",
            "main",
            "●",
            "connected",
            "feed",
            "unknown",
            "0",
            "1",
            "ticks/s",
            "latency",
            "0.0",
            "ms",
            "q",
            "quit",
            "↑↓",
            "scroll",
            "s",
            "sort:",
            "symbol",
            "1-2",
            "of",
            "2",
            "SYMBOL",
            "LAST",
            "CHANGE",
            "BID",
            "ASK",
            "SIZE",
            "VOLUME",
            "AGE",
        ];
        for (width, has_quote) in [(132, true), (100, true), (80, true), (66, true), (40, false)] {
            let viewport = Viewport { sort: SortBy::Symbol, top: 0 };
            let screen = drawn_at(width, &watchlist, viewport, 6);
            for word in screen.iter().flat_map(|line| line.split_whitespace()) {
                assert!(whole.contains(&word), "{width}: {word:?} in {screen:#?}");
            }
            assert!(screen[2].contains("240.75") && screen[2].contains("5.0s"), "{screen:#?}");
            assert!(screen[3].starts_with("NEVER"), "{screen:#?}");
            assert_eq!(screen[2].contains("240.77 × 3"), has_quote, "{width}: {screen:#?}");
            assert_eq!(screen[2].contains("240.81 × 4"), has_quote, "{width}: {screen:#?}");
        }
    }

    #[test]
    fn delayed_view_shows_its_delay_in_the_header_and_in_ages() {
        let mut watchlist = Watchlist::new([]);
        let delay = Duration::from_secs(900);
        watchlist.update(&Event::View { view: "delayed_sip".to_owned(), delay }, at(0));
        watchlist.update(&feed_is_live(), at(0));
        watchlist.update(&trade("AAPL", "100", 10, at(0)), at(0));
        let viewport = Viewport { sort: SortBy::Symbol, top: 0 };
        for width in [40, 80, 132] {
            let screen = drawn_at(width, &watchlist, viewport, 6);
            assert!(screen[0].contains("feed live, 15m late"), "{width}: {}", screen[0]);
            assert!(screen[2].contains(" 15m"), "{width}: {}", screen[2]);
        }
    }

    #[test]
    fn only_visible_rows_are_drawn() {
        let mut watchlist = Watchlist::new([]);
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
        let mut watchlist = Watchlist::new([]);
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
