//! Recorded files become ticks, in order and exactly. Malformed lines are refused with their
//! position.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tempfile::TempDir;
use tickwire_feeder::{OnError, Replay, ReplayConfig, Source, SourceError};
use tickwire_protocol::{Tick, TickData};

const TRADES: &str = "time,symbol,exchange,price,size,conditions,correction\n";
const QUOTES: &str = "time,symbol,exchange,bid,bid_size,ask,ask_size\n";

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Opens a table of trades and reads it to its end.
    fn trades(&self, rows: &str) -> Result<Vec<Tick>, SourceError> {
        read(&[self.file("t.csv", format!("{TRADES}{rows}"))], OnError::Stop).map(|read| read.0)
    }
}

fn excerpt(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn gunzip(path: &Path) -> String {
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

/// Returns all ticks of some files, and the number of skipped lines.
fn read(files: &[PathBuf], on_error: OnError) -> Result<(Vec<Tick>, u64), SourceError> {
    let config = ReplayConfig { files: files.to_vec(), repeat: false, on_error };
    let mut replay = Replay::open(config)?;
    let mut ticks = Vec::new();
    while let Some(tick) = replay.next_tick()? {
        ticks.push(tick);
    }
    Ok((ticks, replay.skipped()))
}

fn json(tick: &Tick) -> String {
    let mut out = Vec::new();
    tick.write_json(&mut out);
    String::from_utf8(out).unwrap()
}

/// Formats a tick as a row of the table, with numbers and times in their shortest form.
fn row(tick: &Tick) -> String {
    let time = tick.time;
    let symbol = tick.symbol;
    match &tick.data {
        TickData::Trade(trade) => {
            let conditions: String = trade.conditions.iter().collect();
            format!(
                "{time},{symbol},{},{},{},{conditions}",
                trade.exchange, trade.price, trade.size
            )
        }
        TickData::Quote(quote) => {
            assert_eq!(quote.bid_exchange, quote.ask_exchange);
            format!(
                "{time},{symbol},{},{},{},{},{}",
                quote.bid_exchange, quote.bid, quote.bid_size, quote.ask, quote.ask_size
            )
        }
        other => panic!("{other:?} has no row"),
    }
}

/// Returns the rows of a real table, shortened by text operations alone.
fn rows_of(name: &str) -> Vec<String> {
    let shorten = |field: &str| match field.strip_suffix('Z') {
        Some(time) => format!("{}Z", time.trim_end_matches('0').trim_end_matches('.')),
        None if field.contains('.') => field.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => field.replace(' ', ""),
    };
    let text = gunzip(&excerpt(name));
    text.lines()
        .skip(1)
        .map(|line| {
            let mut fields: Vec<String> = line.split(',').map(shorten).collect();
            if name.starts_with("trades") {
                fields.pop();
            }
            fields.join(",")
        })
        .collect()
}

#[test]
fn real_trades_match_their_file() {
    let (ticks, skipped) = read(&[excerpt("trades.csv.gz")], OnError::Stop).unwrap();
    let trades: Vec<_> =
        ticks.iter().filter(|tick| matches!(tick.data, TickData::Trade(_))).map(row).collect();
    assert_eq!(trades, rows_of("trades.csv.gz"));
    assert_eq!((trades.len(), ticks.len(), skipped), (239, 240, 0));
}

#[test]
fn real_quotes_match_their_file() {
    let (ticks, _) = read(&[excerpt("quotes.csv.gz")], OnError::Stop).unwrap();
    assert_eq!(ticks.iter().map(row).collect::<Vec<_>>(), rows_of("quotes.csv.gz"));
    assert_eq!(ticks.len(), 263);
}

#[test]
fn real_cancel_record_names_the_trade_it_cancels() {
    let (ticks, _) = read(&[excerpt("trades.csv.gz")], OnError::Stop).unwrap();
    let place = ticks.iter().position(|tick| matches!(tick.data, TickData::CancelError(_)));
    let record = &ticks[place.unwrap() - 1];
    let cancel = &ticks[place.unwrap()];
    let TickData::CancelError(data) = &cancel.data else { unreachable!() };
    let cancelled = ticks
        .iter()
        .find(|tick| matches!(&tick.data, TickData::Trade(trade) if trade.id == data.id));
    let TickData::Trade(trade) = &cancelled.unwrap().data else { unreachable!() };
    assert_eq!((trade.price, trade.size), (data.price, data.size));
    assert_eq!((data.action.as_str(), record.time), ("C", cancel.time));
    assert!(cancelled.unwrap().time < record.time);
}

#[test]
fn files_merge_by_time_then_argument_and_keep_their_own_order() {
    let files = [excerpt("quotes.csv.gz"), excerpt("trades.csv.gz")];
    let (merged, _) = read(&files, OnError::Stop).unwrap();
    let mut expected: Vec<Tick> = Vec::new();
    for file in &files {
        expected.extend(read(std::slice::from_ref(file), OnError::Stop).unwrap().0);
    }
    // A stable sort of the files one after the other is the definition.
    expected.sort_by_key(|tick| tick.time);
    assert_eq!(merged, expected);
    let swapped = [files[1].clone(), files[0].clone()];
    assert_ne!(read(&swapped, OnError::Stop).unwrap().0, merged);
}

#[test]
fn file_with_decreasing_times_keeps_its_order() {
    let folder = Folder::new();
    let line = |second: u32, id: u32| format!("2026-01-02T14:30:0{second}Z,A,N,{id},1,,0\n");
    let one = folder.file("1.csv", format!("{TRADES}{}{}{}", line(5, 1), line(2, 2), line(6, 3)));
    let two = folder.file("2.csv", format!("{TRADES}{}{}", line(4, 4), line(5, 5)));
    let (ticks, _) = read(&[one, two], OnError::Stop).unwrap();
    let prices = ticks.iter().map(|tick| match &tick.data {
        TickData::Trade(trade) => trade.price.to_string(),
        _ => panic!("only trades"),
    });
    assert_eq!(prices.collect::<Vec<_>>().join(" "), "4 1 2 5 3");
}

#[test]
fn each_correction_code_is_followed_by_its_element() {
    let folder = Folder::new();
    let ticks = folder.trades(
        "2026-01-02T14:30:00Z,A,N,10.6,200,@ I,7\n\
         2026-01-02T14:30:01Z,A,N,10.6,200,,8\n\
         2026-01-02T14:30:02Z,A,N,10.7,300,F,1\n\
         2026-01-02T14:30:03Z,A,N,10.6,200,,10\n\
         2026-01-02T14:30:04Z,A,N,10.6,200,@ I,11\n\
         2026-01-02T14:30:05Z,A,N,10.8,400,,12\n\
         2026-01-02T14:30:06Z,A,,10.9,500,,10\n\
         2026-01-02T14:30:07Z,A,N,11,600,T,12\n",
    );
    let followers: Vec<_> = ticks
        .unwrap()
        .iter()
        .filter(|tick| !matches!(tick.data, TickData::Trade(_)))
        .map(json)
        .collect();
    assert_eq!(
        followers,
        [
            r#"{"T":"x","S":"A","t":"2026-01-02T14:30:03Z","i":2,"x":"N","p":10.6,"s":200,"a":"C","z":""}"#,
            r#"{"T":"x","S":"A","t":"2026-01-02T14:30:04Z","i":1,"x":"N","p":10.6,"s":200,"a":"E","z":""}"#,
            r#"{"T":"c","S":"A","t":"2026-01-02T14:30:05Z","x":"N","oi":6,"op":10.8,"os":400,"oc":[],"ci":3,"cp":10.7,"cs":300,"cc":["F"],"z":""}"#,
            r#"{"T":"x","S":"A","t":"2026-01-02T14:30:06Z","i":7,"x":"","p":10.9,"s":500,"a":"C","z":""}"#,
            r#"{"T":"c","S":"A","t":"2026-01-02T14:30:07Z","x":"N","oi":8,"op":11,"os":600,"oc":["T"],"ci":8,"cp":11,"cs":600,"cc":["T"],"z":""}"#,
        ]
    );
}

#[test]
fn correction_directly_follows_its_row_across_files() {
    let folder = Folder::new();
    let time = "2026-01-02T14:30:00Z";
    let quotes = folder.file("q.csv", format!("{QUOTES}{time},A,N,1,1,2,1\n{time},A,N,1,2,2,2\n"));
    let trades = folder.file("t.csv", format!("{TRADES}{time},A,N,1,1,,10\n{time},A,N,1,1,,0\n"));
    let kinds = |files: &[PathBuf]| -> String {
        let (ticks, _) = read(files, OnError::Stop).unwrap();
        ticks.iter().map(|tick| tick.channel().letter()).collect()
    };
    assert_eq!(kinds(&[trades.clone(), quotes.clone()]), "txtqq");
    assert_eq!(kinds(&[quotes, trades]), "qqtxt");
}

#[test]
fn prices_are_read_as_decimals() {
    let folder = Folder::new();
    let ticks = folder.trades("2026-01-02T14:30:00Z,A,N,3999999.999999999,1,,0\n").unwrap();
    let TickData::Trade(trade) = &ticks[0].data else { panic!("a trade") };
    assert_eq!(trade.price.nanos(), 3_999_999_999_999_999);
}

#[test]
fn elements_round_trip_through_lines_of_json() {
    let folder = Folder::new();
    let files = [excerpt("quotes.csv.gz"), excerpt("trades.csv.gz")];
    let (ticks, _) = read(&files, OnError::Stop).unwrap();
    let text: String = ticks.iter().map(|tick| json(tick) + "\n").collect();
    let plain = folder.file("all.ndjson", &text);
    let packed = folder.file("all.ndjson.gz", gzip(&text));
    assert_eq!(read(&[plain], OnError::Stop).unwrap().0, ticks);
    assert_eq!(read(&[packed], OnError::Stop).unwrap().0, ticks);
    let numbered = json(&ticks[0]).replacen("\"S\"", "\"seq\":7,\"S\"", 1);
    let again = folder.file("seq.ndjson", numbered);
    assert_eq!(read(&[again], OnError::Stop).unwrap().0, ticks[..1]);
}

#[test]
fn quoted_fields_line_ends_and_byte_order_marks_are_accepted() {
    let folder = Folder::new();
    let table = "\u{feff}\"time\",symbol,exchange,price,size,conditions,correction\r\n\
                 \"2026-01-02T14:30:00Z\",\"A\",\"N\",1.5,1,\"@ I\",0\r\n\r\n\
                 2026-01-02T14:30:01Z,A,N,1.5,2,,0";
    let (ticks, _) = read(&[folder.file("t.csv", table)], OnError::Stop).unwrap();
    let rows: Vec<_> = ticks.iter().map(row).collect();
    assert_eq!(rows, ["2026-01-02T14:30:00Z,A,N,1.5,1,@I", "2026-01-02T14:30:01Z,A,N,1.5,2,"]);
}

/// Returns the error of reading a table of trades with this third line.
fn third_line(line: &str) -> String {
    let folder = Folder::new();
    let good = "2026-01-02T14:30:00Z,A,N,1.5,1,,0";
    let error = folder.trades(&format!("{good}\n{line}\n{good}\n")).unwrap_err();
    let text = error.to_string();
    text.split_once("t.csv, ").unwrap_or_else(|| panic!("no file in {text}")).1.to_owned()
}

#[test]
fn malformed_row_is_refused_with_line_column_field_and_what_is_allowed() {
    for (line, expected) in [
        (
            "2026-01-02T14:30:00Z,A,N,1.5",
            "line 3, column 29 (size): 4 fields: expected 7, as in the header",
        ),
        (
            "2026-01-02T14:30:00Z,A,N,1.5,1,,0,x",
            "line 3, column 35: 8 fields: expected 7, as in the header",
        ),
        (
            "2026-01-02T14:30:00Z,A,N,abc,1,,0",
            "line 3, column 26 (price): price \"abc\": expected a decimal such as 126.55",
        ),
        (
            "yesterday,A,N,1.5,1,,0",
            "line 3, column 1 (time): time \"yesterday\": expected RFC 3339 such as \
             2026-01-02T14:30:00.5Z, 1970 to 2262",
        ),
        (
            "2026-01-02T14:30:00Z,a,N,1.5,1,,0",
            "line 3, column 22 (symbol): symbol \"a\": expected 1 to 24 of A-Z 0-9 . _ / -",
        ),
        (
            "2026-01-02T14:30:00Z,A,N,1.5,-1,,0",
            "line 3, column 30 (size): \"-1\": expected a whole number of shares",
        ),
        (
            "2026-01-02T14:30:00Z,A,N,1.5,1,,x",
            "line 3, column 33 (correction): \"x\": expected a correction code, 0 to 255",
        ),
    ] {
        assert_eq!(third_line(line), expected);
    }
    let long = third_line(&"x".repeat(70_000));
    assert_eq!(long, "line 3, column 65537: a line of 70000 bytes: expected at most 65536");
}

#[test]
fn malformed_element_is_refused_with_line_and_column() {
    let folder = Folder::new();
    let good = r#"{"T":"t","S":"A","i":1,"x":"D","p":1.5,"s":1,"c":[],"t":"2026-01-02T14:30:00Z","z":"C"}"#;
    for (bad, place) in [
        (good.replace("1.5", "\"x\""), "line 2, column 32 (p): expected a number"),
        (good.replace(",\"s\":1", ""), "line 2, column 1 (s): missing"),
        (good.replace("\"D\"", "D"), "line 2, column 28: "),
        (good.replace("\"t\",\"S\"", "\"?\",\"S\""), "line 2, column 2 (T): unknown element"),
    ] {
        let file = folder.file("t.ndjson", format!("{good}\n{bad}\n"));
        let error = read(&[file], OnError::Stop).unwrap_err().to_string();
        assert!(error.contains(place), "{error}");
    }
}

#[test]
fn bad_header_and_unknown_kind_of_file_are_refused_when_opened() {
    let folder = Folder::new();
    for (name, content, expected) in [
        (
            "t.csv",
            "when,what\n",
            "line 1: header \"when,what\": expected time,symbol,exchange,price",
        ),
        ("empty.csv", "", "line 1: header \"\": expected"),
        ("t.parquet", "", "unknown kind of file: expected a name ending in .csv, .csv.gz"),
    ] {
        let error = read(&[folder.file(name, content)], OnError::Stop).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(name), "{error}");
    }
    let missing = read(&[folder.0.path().join("none.csv")], OnError::Stop).unwrap_err();
    assert!(matches!(missing, SourceError::Open { .. }), "{missing}");
}

#[test]
fn truncated_gzip_is_an_error_after_its_readable_part() {
    let folder = Folder::new();
    // Random-looking sizes keep the compressed data from fitting one block's worth of nothing.
    let rows: String = (1..5_000_u64)
        .map(|id| format!("2026-01-02T14:30:00Z,A,N,1.5,{},,0\n", id * 7_919 % 104_729))
        .collect();
    let packed = gzip(&format!("{TRADES}{rows}"));
    let file = folder.file("t.csv.gz", &packed[..packed.len() / 2]);
    let error = read(std::slice::from_ref(&file), OnError::Stop).unwrap_err();
    let SourceError::Truncated { line, .. } = error else { panic!("{error}") };
    assert!((1_000..4_999).contains(&line), "{line}");
    assert!(error.to_string().contains("t.csv.gz is cut off"), "{error}");
    let (ticks, skipped) = read(&[file], OnError::Skip).unwrap();
    assert_eq!((ticks.len() as u64, skipped), (line - 1, 1));
}

#[test]
fn malformed_lines_are_skipped_and_counted_when_asked() {
    let folder = Folder::new();
    let good = "2026-01-02T14:30:00Z,A,N,1.5,1,,0\n";
    let table = format!("{TRADES}bad\n{good},,\n{}\n{good}", "x".repeat(70_000));
    let (ticks, skipped) = read(&[folder.file("t.csv", table)], OnError::Skip).unwrap();
    let ids = ticks.iter().map(|tick| match &tick.data {
        TickData::Trade(trade) => trade.id,
        _ => panic!("only trades"),
    });
    assert_eq!((ids.collect(), skipped), (vec![2, 5], 3));
}

#[test]
fn repeated_rounds_continue_in_time() {
    let config = ReplayConfig {
        files: vec![excerpt("quotes.csv.gz"), excerpt("trades.csv.gz")],
        repeat: true,
        on_error: OnError::Stop,
    };
    let mut replay = Replay::open(config).unwrap();
    let mut next = || replay.next_tick().unwrap().unwrap();
    let rounds: [Vec<Tick>; 3] = std::array::from_fn(|_| (0..503).map(|_| next()).collect());
    for pair in rounds.windows(2) {
        let shift = pair[1][0].time.since(pair[0][0].time);
        for (before, after) in pair[0].iter().zip(&pair[1]) {
            assert_eq!((before.time + shift, &before.data), (after.time, &after.data));
        }
        assert!(pair[1][0].time > pair[0][502].time);
    }
}

#[test]
fn replay_of_empty_files_ends() {
    let folder = Folder::new();
    let files = vec![folder.file("t.csv", TRADES)];
    let mut replay =
        Replay::open(ReplayConfig { files, repeat: true, on_error: OnError::Stop }).unwrap();
    assert!(replay.next_tick().unwrap().is_none());
}

#[test]
fn rewound_files_yield_the_same_ticks() {
    let files = [excerpt("trades.csv.gz"), excerpt("quotes.csv.gz")];
    let config = ReplayConfig { files: files.to_vec(), repeat: true, on_error: OnError::Stop };
    let mut replay = Replay::open(config).unwrap();
    let mut take = || -> Vec<_> {
        assert!(replay.rewind().unwrap());
        (0..800).map(|_| replay.next_tick().unwrap().unwrap()).collect()
    };
    // 503 ticks a round, so it is in the second one.
    let first = take();
    assert!(take() == first);
}

#[test]
fn source_identity_covers_names_and_beginnings_of_files() {
    let identity = |files: &[&PathBuf]| {
        let files = files.iter().map(|&path| path.clone()).collect();
        Replay::open(ReplayConfig { files, ..ReplayConfig::default() }).unwrap().identity()
    };
    let here = Folder::new();
    let there = Folder::new();
    let long = format!("{TRADES}{}", "2026-01-02T14:30:00Z,A,N,1.5,1,,0\n".repeat(100));
    let file = here.file("a.csv", &long);
    let known = identity(&[&file]);
    assert_eq!(identity(&[&there.file("a.csv", &long)]), known, "it may move");
    here.file("a.csv", format!("{long}2026-01-02T14:30:00Z,A,N,1.5,1,,0\n"));
    assert_eq!(identity(&[&file]), known, "it may grow");
    let other = there.file("a.csv", long.replace(",A,", ",B,"));
    let renamed = there.file("b.csv", &long);
    for files in [&[&other][..], &[&renamed], &[&file, &renamed], &[]] {
        assert_ne!(identity(files), known, "{files:?}");
    }
}
