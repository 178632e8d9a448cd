//! Reads the ticks of one file.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tickwire_protocol::{
    Conditions, Price, Quote, Seq, Symbol, Text, Tick, TickData, Trade, UnixNanos, ValueError,
};

use super::corrections::Corrections;
use super::lines::Lines;
use super::table::{Header, Row, RowError};
use crate::SourceError;

/// An open file of ticks.
#[derive(Debug)]
pub(super) struct TickFile {
    lines: Lines,
    bytes: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Table(Box<Table>),
    Elements,
}

/// A table of trades or of quotes.
#[derive(Debug)]
struct Table {
    header: Header,
    fields: Vec<Range<usize>>,
    corrections: Corrections,
    /// The cancel or correction that the next call returns, after the trade of the last row.
    follower: Option<Tick>,
}

impl TickFile {
    pub(super) fn open(path: &Path, bytes_read: &Arc<AtomicU64>) -> Result<Self, SourceError> {
        let name = path.to_string_lossy();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let is_table = name.ends_with(".csv");
        if !is_table && !name.ends_with(".ndjson") {
            return Err(SourceError::Kind { path: path.to_owned() });
        }
        let (mut lines, bytes) = Lines::open(path, bytes_read)?;
        let content = if is_table {
            let line = if lines.advance()? { lines.text()? } else { "" };
            let header = Header::read(line)
                .map_err(|problem| SourceError::Header { path: path.to_owned(), problem })?;
            Content::Table(Box::new(Table {
                header,
                fields: Vec::new(),
                corrections: Corrections::default(),
                follower: None,
            }))
        } else {
            Content::Elements
        };
        Ok(Self { lines, bytes, content })
    }

    /// Returns the length of the file in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads the next tick; `None` at the end of the file. After an error about one line, the next
    /// call continues with the following line.
    pub(super) fn next_tick(&mut self) -> Result<Option<Tick>, SourceError> {
        if let Content::Table(table) = &mut self.content
            && let Some(tick) = table.follower.take()
        {
            return Ok(Some(tick));
        }
        while self.lines.advance()? {
            let line = self.lines.text()?;
            if line.is_empty() {
                continue;
            }
            let tick = match &mut self.content {
                Content::Table(table) => table.read(line, self.lines.number() - 1),
                Content::Elements => element(line),
            };
            return tick
                .map(Some)
                .map_err(|bad| self.lines.malformed(bad.column, bad.field, bad.problem));
        }
        Ok(None)
    }
}

impl Table {
    /// Reads a row. `number` counts rows from 1, without the header.
    fn read(&mut self, line: &str, number: u64) -> Result<Tick, RowError> {
        let row = self.header.row(line, &mut self.fields)?;
        if !self.header.is_trades() {
            return quote(&row);
        }
        let (time, symbol, exchange) = head(&row)?;
        let trade = Trade {
            id: number,
            exchange,
            price: row.field(3, str::parse::<Price>)?,
            size: row.number(4, SHARES)?,
            conditions: row.field(5, conditions)?,
            tape: Text::default(),
        };
        let code = row.number(6, "a correction code, 0 to 255")?;
        let tick = |data| Tick { symbol, seq: Seq(0), time, data };
        self.follower = self.corrections.after(code, symbol, &trade).map(tick);
        Ok(tick(TickData::Trade(trade)))
    }
}

const SHARES: &str = "a whole number of shares";

fn quote(row: &Row<'_>) -> Result<Tick, RowError> {
    let (time, symbol, exchange) = head(row)?;
    let quote = Quote {
        bid_exchange: exchange.clone(),
        bid: row.field(3, str::parse::<Price>)?,
        bid_size: row.number(4, SHARES)?,
        ask_exchange: exchange,
        ask: row.field(5, str::parse::<Price>)?,
        ask_size: row.number(6, SHARES)?,
        ..Quote::default()
    };
    Ok(Tick { symbol, seq: Seq(0), time, data: TickData::Quote(quote) })
}

/// Reads time, symbol and exchange, the first columns of both tables.
fn head(row: &Row<'_>) -> Result<(UnixNanos, Symbol, Text), RowError> {
    Ok((row.field(0, str::parse)?, row.field(1, Symbol::new)?, row.field(2, Text::new)?))
}

/// Splits a text into conditions, one per non-blank character.
fn conditions(text: &str) -> Result<Conditions, ValueError> {
    Conditions::new(text.split("").filter(|code| !code.trim().is_empty()))
}

/// Reads a tick from a JSON object.
fn element(line: &str) -> Result<Tick, RowError> {
    let tick = Tick::from_json(line.as_bytes()).map_err(|error| {
        let column = match error.field {
            "" => syntax_fault(line),
            field => line.find(&format!("\"{field}\"")).unwrap_or_default() + 1,
        };
        RowError { column, field: error.field, problem: error.problem.to_string() }
    })?;
    // The hub assigns its own sequence numbers.
    Ok(Tick { seq: Seq(0), ..tick })
}

/// Returns the column at which a line stops being valid JSON.
fn syntax_fault(line: &str) -> usize {
    match serde_json::from_str::<serde::de::IgnoredAny>(line) {
        Ok(_) => 1,
        Err(error) => error.column().max(1),
    }
}
