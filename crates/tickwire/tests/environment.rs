//! Environment variables of the commands: spellings of booleans, empty values, lists.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::process::{Command, Output, Stdio};

/// The error of a hub whose environment is in order.
const IN_ORDER: &str = "--backlog-ticks-max is 10000000";

/// Returns a command without the `TICKWIRE_` variables of the environment that runs the tests.
fn tickwire(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TICKWIRE_")) {
        command.env_remove(name);
    }
    command
}

/// Runs a hub that cannot start, since its last check fails.
fn hub(variables: &[(&str, &str)]) -> String {
    let arguments = ["hub", "--listen", "0.0.0.0:0", "--backlog-ticks-max", "10000000"];
    refusal(tickwire(&arguments).envs(variables.iter().copied()).output().unwrap())
}

fn refusal(output: Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn unknown_variable_is_warned_about() {
    let output =
        tickwire(&["feed", "replay", "missing.csv"]).env("TICKWIRE_TOKN", "x").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let warning = "warning: unknown variable TICKWIRE_TOKN, did you mean TICKWIRE_TOKEN?";
    assert!(said.lines().any(|line| line == warning), "{said}");
}

#[test]
fn switch_is_set_by_every_spelling_of_true_and_of_no_other_value() {
    for text in ["1", "yes", "on", "true", "TRUE"] {
        let message = hub(&[("TICKWIRE_OPEN", text)]);
        assert!(message.contains(IN_ORDER), "{text}: {message}");
    }
    for text in ["0", "no", "off", "false", ""] {
        let message = hub(&[("TICKWIRE_OPEN", text)]);
        assert!(message.contains("--listen is 0.0.0.0:0"), "{text}: {message}");
    }
    let message = hub(&[("TICKWIRE_OPEN", "maybe")]);
    assert!(message.contains("--open") && message.contains("on, true, yes or 1"), "{message}");
    let demo = tickwire(&["demo", "--listen", "0.0.0.0:0"]).env("TICKWIRE_OPEN", "no").output();
    assert!(refusal(demo.unwrap()).contains("--listen 0.0.0.0:0"));
}

#[test]
fn setting_that_is_on_or_off_accepts_every_spelling() {
    for text in ["1", "yes", "on", "TRUE", "0", "no", "off", "false", ""] {
        let variables =
            [("TICKWIRE_OPEN", "1"), ("TICKWIRE_BARS", text), ("TICKWIRE_TEST_FEED", text)];
        let message = hub(&variables);
        assert!(message.contains(IN_ORDER), "{text}: {message}");
    }
}

#[test]
fn empty_variable_counts_as_unset_in_every_command() {
    let empty = [
        "CONFIG",
        "LISTEN",
        "SHARDS",
        "ALLOW_ORIGINS",
        "TLS_CERT",
        "TLS_KEY",
        "KEYS",
        "OPEN",
        "PUBLISH_TOKEN",
        "ADMIN_TOKEN",
        "FEEDS",
        "VIEWS",
        "TEST_FEED",
        "BARS",
        "LOG",
        "LOG_SIZE",
        "LOG_AGE",
        "LOG_FORMAT",
        "DATA_DIR",
        "FSYNC",
        "DISK_SIZE",
        "DISK_AGE",
        "SESSIONS_MAX",
        "BACKLOG_TICKS_MAX",
        "DRAIN_DURATION",
        "HUB",
        "FEED",
        "TOKEN",
        "TOKEN_FILE",
        "TLS_CA",
        "PUBLISHER",
        "WHEN_BEHIND",
        "BEHIND_MAX",
        "SYMBOLS",
        "RATE",
        "SEED",
    ]
    .map(|name| (format!("TICKWIRE_{name}"), ""));
    let message = hub(&empty.each_ref().map(|(name, value)| (name.as_str(), *value)));
    assert!(message.contains("--listen is 0.0.0.0:0"), "{message}");
    let sim = ["feed", "sim", "--ticks", "3", "--to", "-"];
    let output = tickwire(&sim).envs(empty.iter().cloned()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 3);
    let folder = tempfile::tempdir().unwrap();
    let mut command = tickwire(&["keys", "add", "ann"]);
    let output = command.current_dir(folder.path()).env("TICKWIRE_KEYS", "").output().unwrap();
    assert!(output.status.success() && folder.path().join("keys.toml").exists(), "{output:?}");
}

#[test]
fn list_may_have_blanks_around_its_commas_but_no_empty_item() {
    let origins = |list| hub(&[("TICKWIRE_OPEN", "1"), ("TICKWIRE_ALLOW_ORIGINS", list)]);
    let message = origins(" https://a.example , https://b.example ");
    assert!(message.contains(IN_ORDER), "{message}");
    let message = origins("https://a.example,");
    assert!(message.contains("--allow-origins") && message.contains("no empty item"), "{message}");
    let message = origins("https://a.example https://b.example");
    assert!(
        message.contains("--allow-origins is ") && message.contains("without blanks"),
        "{message}"
    );
    let names = [
        ("TICKWIRE_OPEN", "1"),
        ("TICKWIRE_FEEDS", "main, crypto"),
        ("TICKWIRE_VIEWS", "a=main+5m, b=crypto"),
    ];
    let message = hub(&names);
    assert!(message.contains(IN_ORDER), "{message}");
}
