//! A supervised program ends when the supervisor's standard input ends.
#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Starts a supervised program; returns the supervisor and the program's process id.
fn supervise(command: &[&str]) -> (Child, String) {
    let mut supervisor = Command::new(env!("CARGO_BIN_EXE_tickwire-peers"))
        .arg("supervise")
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("cargo has built it");
    let mut pid = String::new();
    let output = supervisor.stdout.take().expect("it is piped");
    BufReader::new(output).read_line(&mut pid).expect("a line of digits");
    (supervisor, pid.trim().to_owned())
}

#[test]
fn end_of_standard_input_kills_the_program() {
    let (mut supervisor, pid) = supervise(&["sleep", "600"]);
    let process = Path::new("/proc").join(pid);
    assert!(process.join("stat").is_file());
    drop(supervisor.stdin.take());
    assert!(supervisor.wait().unwrap().success());
    assert!(!process.exists());
}

#[test]
fn supervisor_fails_when_the_program_exits_by_itself() {
    let (mut supervisor, _) = supervise(&["true"]);
    let _open_stdin = supervisor.stdin.take();
    assert!(!supervisor.wait().unwrap().success());
}

#[test]
fn error_names_a_program_that_does_not_start() {
    let output = Command::new(env!("CARGO_BIN_EXE_tickwire-peers"))
        .args(["supervise", "no-such-program"])
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("`no-such-program` could not be started"), "{error}");
    assert!(output.stdout.is_empty());
}
