//! Error messages and exit codes of `tickwire watch`.

use std::process::Output;

fn watch(arguments: &[&str]) -> Output {
    crate::run("watch", arguments)
}

fn refused(arguments: &[&str], code: i32, parts: &[&str]) {
    crate::assert_refused("watch", arguments, code, parts);
}

#[test]
fn usage_errors_name_the_flag_the_value_and_the_allowed_values() {
    refused(&[], 2, &["<SYMBOL>"]);
    refused(&["aapl"], 2, &["'aapl'", "did you mean AAPL?"]);
    refused(&["A B"], 2, &["<SYMBOL>", "A B", "A-Z 0-9"]);
    refused(&["A", "--channels", "trade"], 2, &["--channels", "'trade'", "trades, quotes, bars"]);
    refused(&["A", "--feed", "Main"], 2, &["--feed", "'Main'", "a-z 0-9"]);
    refused(&["A", "--count", "0"], 2, &["--count", "'0'"]);
    refused(&["A", "--duration", "0s"], 2, &["--duration", "'0s'", "500ms, 30s or 5m"]);
    refused(&["A", "--duration", "soon"], 2, &["--duration", "'soon'", "500ms, 30s or 5m"]);
}

#[test]
fn max_rate_must_be_in_range_and_needs_latest() {
    let alone = ["--max-rate 4", "only with --latest"];
    refused(&["A", "--max-rate", "4"], 2, &alone);
    for rate in ["0", "-4", "1000.5", "NaN"] {
        refused(&["A", "--latest", "--max-rate", rate], 2, &["--max-rate", rate, "0.1 to 1000"]);
    }
    refused(&["A", "--latest", "--max-rate", "x"], 2, &["--max-rate", "'x'", "0.1 to 1000"]);
}

#[test]
fn replay_flags_must_be_valid_and_exclude_latest() {
    let allowed = ["2026-01-02T14:30:00Z", "-5m", "h, m, s, ms"];
    for from in ["5m", "yesterday", "-5", "2026-01-02"] {
        refused(&["A", "--from", from], 2, &[&["--from", from][..], &allowed].concat());
    }
    refused(&["A", "--from", "-5m", "--latest"], 2, &["--from -5m", "not allowed with --latest"]);
    refused(&["A", "--speed", "20"], 2, &["--speed 20", "only with --from"]);
    for speed in ["0", "-1", "100001", "fast"] {
        let parts = ["--speed", speed, "\"max\"", "0.01 to 100000"];
        refused(&["A", "--from", "-5m", "--speed", speed], 2, &parts);
    }
}

#[test]
fn invalid_hub_address_is_an_error_with_problem_and_format() {
    let allowed = "expected http://, https://, ws:// or wss:// and HOST[:PORT][/PREFIX]";
    for (hub, problem) in [
        ("127.0.0.1:8080", "the scheme is missing"),
        ("ftp://h", "the scheme is not one of"),
        ("wss://", "the host is missing"),
        ("http://h/?feed=main", "a query is not allowed"),
    ] {
        refused(&["A", "--hub", hub], 2, &["--hub", &format!("'{hub}'"), problem, allowed]);
    }
}

#[test]
fn unreachable_hub_is_an_error_with_a_hint() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let hub = format!("ws://{address}");
    refused(&["A", "--hub", &hub], 1, &["error: cannot reach the hub", &address, "tickwire demo"]);
}

#[test]
fn help_has_examples() {
    let output = watch(&["--help"]);
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("tickwire watch AAPL MSFT"), "{text}");
    assert!(text.contains("--latest --max-rate 4"), "{text}");
    assert!(text.contains("--from -5m --speed 20"), "{text}");
}
