//! `tickwire keys list`: shows the keys of a file.

use std::fmt::Display;

use serde_json::{Map, Value, json};
use tickwire_hub::keys::{Anonymous, Key, KeyList, WhenFull};

use super::FileArgs;
use crate::output::print;

/// Flags of `tickwire keys list`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: FileArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the keys as a table or as JSON.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let list = KeyList::from_file(&args.file.file)?;
    if args.json {
        let keys: Vec<Value> = list.keys.iter().map(json_of).collect();
        let whole = json!({"anonymous": list.anonymous, "keys": keys});
        return print(&format!("{whole:#}\n"));
    }
    print(&table(&list))
}

fn json_of(key: &Key) -> Value {
    let mut object = Map::new();
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            object.insert(name.to_owned(), value);
        }
    };
    set("id", json!(key.id));
    set("name", json!(key.name));
    set("role", json!(key.role));
    let feeds = key.feeds.as_ref();
    set("feeds", json!(feeds.map(|feeds| feeds.iter().map(|f| f.as_str()).collect::<Vec<_>>())));
    set("symbols", json!(key.symbols));
    set("symbols_max", json!(key.symbols_max));
    set("sessions_max", json!(key.sessions_max));
    set("when_full", json!(key.when_full));
    set("metrics", if key.metrics { json!(true) } else { Value::Null });
    Value::Object(object)
}

/// Returns a table with a line for each key.
fn table(list: &KeyList) -> String {
    let head = ["ID", "NAME", "ROLE", "FEEDS", "SYMBOLS", "SESSIONS"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(list.keys.iter().map(row)).collect();
    let widths: Vec<usize> = (0..6)
        .map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or_default())
        .collect();
    let line = |row: &[String; 6]| {
        let cells: Vec<_> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    let mut text: String = rows.iter().map(line).collect();
    text.push_str(match list.anonymous {
        Anonymous::None => "Without a key: nothing\n",
        Anonymous::Read => "Without a key: read\n",
    });
    text
}

fn row(key: &Key) -> [String; 6] {
    let feeds = key.feeds.as_ref().map_or_else(all, |feeds| joined(feeds));
    let most = key.symbols_max.map_or_else(String::new, |most| format!(" (at most {most})"));
    let symbols = key.symbols.as_ref().map_or_else(all, |symbols| match symbols.len() {
        0..=4 => joined(symbols),
        count => format!("{count} symbols"),
    });
    let sessions = match (key.sessions_max, key.when_full) {
        (None, _) => "any number".to_owned(),
        (Some(most), WhenFull::Refuse) => most.to_string(),
        (Some(most), WhenFull::Replace) => format!("{most}, newest wins"),
    };
    let role = key.role.name().to_owned();
    [key.id.clone(), key.name.clone(), role, feeds, symbols + &most, sessions]
}

fn all() -> String {
    "all".to_owned()
}

fn joined(words: &[impl Display]) -> String {
    let words: Vec<_> = words.iter().map(ToString::to_string).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(",") }
}
