//! A program on the leash lives as long as somebody holds the other end.
#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Starts a program on the leash; returns the leash and the program's process id.
fn leash(command: &[&str]) -> (Child, String) {
    let mut leash = Command::new(env!("CARGO_BIN_EXE_tickwire-peers"))
        .arg("leash")
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("cargo has built it");
    let mut pid = String::new();
    let output = leash.stdout.take().expect("it is piped");
    BufReader::new(output).read_line(&mut pid).expect("a line of digits");
    (leash, pid.trim().to_owned())
}

#[test]
fn letting_go_of_the_leash_ends_the_program() {
    let (mut leash, pid) = leash(&["sleep", "600"]);
    let process = Path::new("/proc").join(pid);
    assert!(process.join("stat").is_file());
    drop(leash.stdin.take());
    assert!(leash.wait().unwrap().success());
    assert!(!process.exists());
}

#[test]
fn a_program_that_ends_by_itself_ends_its_leash() {
    let (mut leash, _) = leash(&["true"]);
    let _held = leash.stdin.take();
    assert!(!leash.wait().unwrap().success());
}

#[test]
fn a_program_that_does_not_start_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_tickwire-peers"))
        .args(["leash", "no-such-program"])
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("`no-such-program` could not be started"), "{error}");
    assert!(output.stdout.is_empty());
}
