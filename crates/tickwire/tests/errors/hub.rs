//! Errors in the settings of `tickwire hub`, and the commands that describe its flags.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::{assert_refused, run};

/// A running hub, killed when dropped.
pub(crate) struct Running {
    process: Child,
    pub(crate) url: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _ended_already = self.process.wait();
    }
}

/// Starts a hub on a free port.
pub(crate) fn start() -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire"));
    command.args(["hub", "--listen", "127.0.0.1:0", "--test-feed", "off"]);
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    Running { process, url }
}

/// Asserts that a hub with this config file fails with a message that contains all `parts`.
fn assert_file_refused(text: &str, code: i32, parts: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tickwire.toml");
    std::fs::write(&path, text).unwrap();
    assert_refused("hub", &["--config", path.to_str().unwrap()], code, parts);
}

#[test]
fn config_file_errors_name_the_line_the_setting_and_the_allowed_values() {
    for (text, parts) in [
        ("sesions_max = 3", ["line 1: unknown setting sesions_max", "did you mean sessions_max?"]),
        (
            "bars = true\nping_interval = 10",
            ["line 2: ping_interval: ", "such as \"500ms\", \"10s\""],
        ),
        ("disk_size = 1024", ["line 1: disk_size: ", "\"8GiB\""]),
    ] {
        assert_file_refused(text, 1, &parts);
    }
    let parts = ["setting ping_interval is 1ms: expected 100ms to 1d"];
    assert_file_refused("ping_interval = \"1ms\"", 2, &parts);
}

#[test]
fn flag_out_of_range_is_named_with_the_allowed_range() {
    let parts = ["--log-size is 1KiB: expected 1MiB to 1TiB"];
    assert_refused("hub", &["--log-size", "1KiB"], 2, &parts);
    assert_refused("hub", &["--log-size", "1024"], 2, &["--log-size", "such as 64KiB, 512MiB"]);
    assert_refused("hub", &["--drain-duration", "5"], 2, &["--drain-duration", "such as 500ms"]);
    assert_refused("hub", &["--disk-age", "7d"], 2, &["--disk-age", "--data-dir"]);
}

#[test]
fn completions_of_every_shell_know_commands_and_flags() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run("completions", &[shell]);
        let script = String::from_utf8(output.stdout).unwrap();
        for word in ["watch", "disk-size"] {
            assert!(script.contains(word), "{shell} does not complete {word}");
        }
    }
    assert_refused("completions", &["csh"], 2, &["csh", "bash", "zsh", "fish"]);
}

#[test]
fn man_pages_are_written_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let output = run("man", &[folder.path().to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    for page in ["tickwire.1", "tickwire-hub.1", "tickwire-feed-sim.1"] {
        let text = std::fs::read_to_string(folder.path().join(page)).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{page}");
    }
    let page = String::from_utf8(run("man", &[]).stdout).unwrap();
    assert!(page.contains(".TH tickwire 1"), "{page}");
}

#[test]
fn printed_config_file_has_every_setting_commented_out() {
    let output = run("config", &[]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, tickwire_hub::Config::template());
    assert!(text.contains("\n#listen = \"127.0.0.1:8080\"\n"), "{text}");
    assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')), "{text}");
}
