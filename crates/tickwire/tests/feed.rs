//! `tickwire feed` from the outside: output, messages, exit codes.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Address of a stream that the tests never connect to.
const STREAM: &str = "ws://127.0.0.1:1/v2/sip";

/// Runs `tickwire feed` in a folder, without its environment variables.
fn feed(folder: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire"));
    command.arg("feed").args(arguments).current_dir(folder.path());
    for (name, _) in std::env::vars().filter(|(name, _)| is_setting(name)) {
        command.env_remove(name);
    }
    command.output().unwrap()
}

fn is_setting(name: &str) -> bool {
    name.starts_with("TICKWIRE_") || name.starts_with("APCA_")
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn messages(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Asserts the exit code, and that standard error contains each text.
fn assert_fails(output: &Output, code: i32, texts: &[&str]) {
    let said = messages(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for text in texts {
        assert!(said.contains(text), "no {text:?} in:\n{said}");
    }
}

fn excerpt(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../feeder/tests/data").join(name);
    path.to_str().unwrap().to_owned()
}

#[test]
fn equal_seeds_give_identical_bytes_and_other_seeds_do_not() {
    let folder = folder();
    let lines = |seed: &str| {
        let output = feed(&folder, &["sim", "--ticks", "5000", "--seed", seed, "--to", "-"]);
        assert!(output.status.success(), "{}", messages(&output));
        output.stdout
    };
    let first = lines("42");
    assert_eq!(first.iter().filter(|&&byte| byte == b'\n').count(), 5_000);
    assert!(first == lines("42"));
    assert!(first != lines("43"));
}

#[test]
fn file_and_standard_output_have_the_same_content() {
    let folder = folder();
    let written = feed(&folder, &["sim", "--duration", "1s", "--to", "out.ndjson"]);
    assert!(written.status.success());
    assert!(written.stdout.is_empty());
    let printed = feed(&folder, &["sim", "--duration", "1s", "--to", "-"]);
    let file = std::fs::read(folder.path().join("out.ndjson")).unwrap();
    assert!(file == printed.stdout);
    let said = messages(&written);
    assert!(said.contains("seed 42") && said.contains("wrote "), "{said}");
}

#[test]
fn market_opens_at_the_given_start() {
    let arguments = ["sim", "--ticks", "1", "--start", "2030-05-06T07:08:09Z", "--to", "-"];
    let output = feed(&folder(), &arguments);
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(line.contains("\"t\":\"2030-05-06T07:08:09."), "{line}");
}

#[test]
fn recorded_excerpt_is_written_completely_and_reads_back_unchanged() {
    let folder = folder();
    let trades = excerpt("trades.csv.gz");
    let quotes = excerpt("quotes.csv.gz");
    let output = feed(&folder, &["replay", &quotes, &trades, "--to", "all.ndjson"]);
    assert!(output.status.success(), "{}", messages(&output));
    assert!(messages(&output).contains("wrote 503 ticks"), "{}", messages(&output));
    let text = std::fs::read_to_string(folder.path().join("all.ndjson")).unwrap();
    let count = |kind: &str| text.lines().filter(|line| line.starts_with(kind)).count();
    let kinds = ["{\"T\":\"t\",", "{\"T\":\"q\",", "{\"T\":\"x\","].map(count);
    assert_eq!(kinds, [239, 263, 1]);
    let again = feed(&folder, &["replay", "all.ndjson", "--to", "-"]);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), text);
}

#[test]
fn usage_errors_name_the_flag_the_value_and_the_allowed_values() {
    let folder = folder();
    for (arguments, texts) in [
        (&["sim", "--rate", "0"][..], ["'0' for '--rate", "expected ticks per second"]),
        (&["sim", "--symbols", "100001"], ["'100001' for '--symbols", "from 1 to 100000"]),
        (&["sim", "--seed", "-1"], ["'-1' for '--seed", "expected a whole number from 0"]),
        (&["sim", "--ticks", "0"], ["'0' for '--ticks", "expected a whole number from 1"]),
        (&["sim", "--duration", "soon"], ["'soon' for '--duration", "such as 500ms, 30s or 5m"]),
        (&["sim", "--start", "noon"], ["'noon' for '--start", "expected RFC 3339"]),
        (&["sim", "--hub", "hub:1"], ["'hub:1' for '--hub", "such as http://127.0.0.1:8080"]),
        (&["sim", "--feed", "A B"], ["'A B' for '--feed", "expected 1 to 24 of a-z"]),
        (&["sim", "--publisher", ""], ["for '--publisher", "expected 1 to 64"]),
        (&["sim", "--when-behind", "x"], ["'x' for '--when-behind", "wait, drop"]),
        (&["sim", "--behind-max", "2s"], ["--behind-max 2s", "only with --when-behind drop"]),
        (
            &["replay", "a.csv", "--speed", "max", "--when-behind", "drop"],
            ["--when-behind drop", "not with --speed max"],
        ),
        (
            &["alpaca", "--url", "https://host/v2/sip", "--on-demand"],
            ["'https://host/v2/sip' for '--url", "wss://stream.data.alpaca.markets/v2/sip"],
        ),
        (&["alpaca", "--url", STREAM], ["required", "--symbols <SYMBOL,…|*>|--on-demand"]),
        (
            &["alpaca", "--url", STREAM, "--on-demand"],
            ["--key: expected the stream's key", "APCA_API_KEY_ID"],
        ),
        (&["alpaca", "--url", STREAM, "--symbols", "a"], ["'a' for '--symbols", "did you mean A?"]),
        (
            &["alpaca", "--url", STREAM, "--channels", "corrections"],
            ["'corrections' for '--channels", "come with trades"],
        ),
        (
            &["alpaca", "--url", STREAM, "--market-hours", "16:00-09:30"],
            ["'16:00-09:30' for '--market-hours", "such as 09:30-16:00"],
        ),
        (
            &["alpaca", "--url", STREAM, "--buffer", "1KiB"],
            ["'1KiB' for '--buffer", "at least 1MiB"],
        ),
        (
            &["alpaca", "--url", STREAM, "--data-timeout", "0s"],
            ["'0s' for '--data-timeout", "more than zero, such as 500ms, 30s or 5m, or off"],
        ),
        (&["sim", "--to", "x"], ["required", "--duration <TIME>|--ticks <N>"]),
        (&["replay"], ["required", "<FILE>..."]),
        (&["replay", "a.csv", "--speed", "-1"], ["'-1' for '--speed", "or max"]),
        (&["replay", "a.csv", "--on-error", "x"], ["'x' for '--on-error", "stop, skip"]),
        (&["replay", "a.csv", "--loop", "--to", "x"], ["--loop", "cannot be used with"]),
    ] {
        assert_fails(&feed(&folder, arguments), 2, &texts);
    }
}

#[test]
fn bad_files_fail_with_file_line_and_column() {
    let folder = folder();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let header = "time,symbol,exchange,price,size,conditions,correction\n";
    let good = "2026-01-02T14:30:00Z,A,N,1.5,1,,0\n";
    write("bad.csv", &format!("{header}{good}2026-01-02T14:30:01Z,A,N,x,1,,0\n{good}"));
    write("head.csv", "a,b\n");
    for (arguments, texts) in [
        (
            &["replay", "bad.csv", "--to", "-"][..],
            ["error: bad.csv, line 3, column 26 (price): price \"x\": expected", "wrote 1 ticks"],
        ),
        (&["replay", "head.csv", "--to", "-"], ["head.csv, line 1: header \"a,b\": expected", ""]),
        (&["replay", "none.csv", "--to", "-"], ["cannot open none.csv: No such file", ""]),
        (&["replay", "a.txt", "--to", "-"], ["a.txt: unknown kind of file: expected", ".csv.gz"]),
        (&["replay", "bad.csv", "--to", "bad.csv"], ["--to bad.csv", "one of the files to read"]),
        (&["sim", "--ticks", "1", "--to", "no/where"], ["--to no/where: cannot create", ""]),
    ] {
        assert_fails(&feed(&folder, arguments), 1, &texts);
    }
    let output = feed(&folder, &["replay", "bad.csv", "--on-error", "skip", "--to", "-"]);
    assert!(output.status.success());
    let said = messages(&output);
    assert!(
        said.contains("wrote 2 ticks") && said.contains("malformed lines skipped: 1"),
        "{said}"
    );
}

#[test]
fn examples_in_the_help_work() {
    let folder = folder();
    // Runs, in order, the examples that need neither a hub nor files of the user.
    let mut tried = 0;
    for command in ["sim", "replay"] {
        let help = feed(&folder, &[command, "--help"]);
        let help = String::from_utf8(help.stdout).unwrap();
        for line in help.lines().filter(|line| line.starts_with("  tickwire feed sim")) {
            let arguments = line.trim().strip_prefix("tickwire feed ").unwrap();
            let arguments = arguments.split("  ").next().unwrap();
            if arguments.contains("--to") {
                let output = feed(&folder, &arguments.split(' ').collect::<Vec<_>>());
                assert!(output.status.success(), "{line}\n{}", messages(&output));
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 3);
    let recorded = feed(&folder, &["replay", "day.ndjson", "--to", "-"]);
    assert_eq!(recorded.stdout.iter().filter(|&&byte| byte == b'\n').count(), 1_000);
}
