//! Error messages and exit codes of `tickwire load`.

use std::process::Output;

fn load(arguments: &[&str]) -> Output {
    crate::run("load", arguments)
}

fn refused(arguments: &[&str], code: i32, parts: &[&str]) {
    crate::assert_refused("load", arguments, code, parts);
}

/// Returns the address of a port without a listener.
fn unused_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("ws://{}", listener.local_addr().unwrap())
}

#[test]
fn usage_errors_name_the_flag_the_value_and_the_allowed_values() {
    refused(&["--connections", "0"], 2, &["--connections", "'0'", "1.."]);
    refused(&["--per-connection", "0"], 2, &["--per-connection", "'0'", "1.."]);
    refused(&["--threads", "65"], 2, &["--threads", "'65'", "1..=64"]);
    refused(&["--ramp", "x"], 2, &["--ramp", "'x'", "500ms, 30s or 5m"]);
    refused(&["--duration", "0s"], 2, &["--duration", "'0s'", "500ms, 30s or 5m"]);
    refused(&["--symbols", "a"], 2, &["--symbols", "'a'", "did you mean A?"]);
    refused(&["--channels", "x"], 2, &["--channels", "'x'", "trades, quotes"]);
    refused(&["--on-lag", "drop"], 2, &["--on-lag", "'drop'", "close or latest"]);
    refused(&["--latest", "--max-rate", "0"], 2, &["--max-rate", "'0'", "0.1 to 1000"]);
    refused(&["--hub", "h"], 2, &["--hub", "'h'", "the scheme is missing; expected http://"]);
}

#[test]
fn conflicting_flags_are_usage_errors() {
    refused(&["--prefix", "SYM"], 2, &["--universe"]);
    refused(&["--universe", "5"], 2, &["--prefix"]);
    refused(&["--max-rate", "0.5"], 2, &["--max-rate 0.5", "only with --latest"]);
    refused(
        &["--symbols", "A", "--prefix", "SYM", "--universe", "5"],
        2,
        &["--symbols", "--prefix"],
    );
    refused(
        &["--symbols", "A,B,A", "--per-connection", "3"],
        2,
        &["--per-connection 3", "2 symbols", "1 to 2"],
    );
    refused(&["--prefix", "sym", "--universe", "5"], 2, &["--prefix \"sym\"", "A-Z"]);
}

#[test]
fn error_for_too_many_connections_names_the_limit_of_open_files() {
    let most = u32::MAX.to_string();
    let parts = ["--connections", &most, "open files", "hard limit", "at most"];
    refused(&["--connections", &most], 1, &parts);
}

#[test]
fn unreachable_hub_is_an_error() {
    let hub = unused_address();
    refused(&["--hub", &hub], 1, &["cannot reach the hub", "tickwire demo"]);
    let arguments = ["--hub", &hub, "--symbols", "A", "--connections", "3", "--ramp", "0s"];
    refused(&arguments, 1, &["none of 3 connections opened", "connection refused"]);
}

#[test]
fn run_without_a_tick_fails_and_says_so() {
    let hub = crate::hub::start();
    let arguments = ["--hub", &hub.url, "--prefix", "NONE", "--universe", "5"];
    let times = ["--connections", "2", "--ramp", "0s", "--warmup", "0s", "--duration", "1s"];
    let output = load(&[&arguments[..], &times].concat());
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("error: nothing was measured: no tick of the symbols arrived"), "{text}");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(report.contains("2 of 2 opened"), "the report is printed all the same: {report}");
}

#[test]
fn unwritable_report_file_fails_before_the_run() {
    let hub = unused_address();
    for flag in ["--json", "--plot"] {
        let arguments = ["--hub", &hub, flag, "/no/such/folder/report"];
        refused(&arguments, 1, &[flag, "/no/such/folder/report", "cannot create"]);
    }
}

#[test]
fn help_has_examples() {
    let output = load(&["--help"]);
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("tickwire load --connections 1000"), "{text}");
    for explained in
        ["--latest --max-rate 10", "With --latest it is the age", "Skew shows how fair"]
    {
        assert!(text.contains(explained), "{explained:?} is not in {text}");
    }
}
