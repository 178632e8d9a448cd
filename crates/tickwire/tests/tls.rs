//! The commands over TLS, as processes.
#![expect(clippy::unwrap_used, reason = "tests")]

mod kit;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use kit::{Running, tickwire};

/// A file of the hub's tests.
fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hub/tests/tls").join(name);
    path.to_str().unwrap().to_owned()
}

/// Starts a hub with a certificate for `localhost` and returns its address there.
fn hub() -> (Running, String) {
    let mut command = tickwire(&["hub", "--listen", "127.0.0.1:0", "--test-feed", "off"]);
    command.args(["--tls-cert", &file("first.pem"), "--tls-key", &file("first.key")]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("listening on https://127.0.0.1:"), "{line}");
    let port = line.trim().rsplit_once(':').unwrap().1.to_owned();
    (Running(child), format!("wss://localhost:{port}"))
}

#[test]
fn what_is_published_over_tls_is_watched_over_tls() {
    let (_hub, address) = hub();
    let trust = ["--hub", &address, "--tls-ca", &file("ca.pem")];
    let mut watch = tickwire(&["watch", "*", "--json", "--count", "100"]);
    watch.args(trust).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut watch = watch.spawn().unwrap();
    let mut told = BufReader::new(watch.stderr.take().unwrap()).lines();
    assert!(told.any(|line| line.unwrap().starts_with("subscribed")), "never subscribed");
    let feed = tickwire(&["feed", "sim", "--ticks", "200", "--rate", "10000"]).args(trust).output();
    let feed = feed.unwrap();
    assert!(feed.status.success(), "{}", String::from_utf8_lossy(&feed.stderr));
    let watched = watch.wait_with_output().unwrap();
    assert!(watched.status.success());
    assert_eq!(watched.stdout.iter().filter(|byte| **byte == b'\n').count(), 100);
}

#[test]
fn a_hub_whose_certificate_nobody_vouches_for_is_not_talked_to() {
    let (_hub, address) = hub();
    let output = tickwire(&["watch", "AAPL", "--hub", &address]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && told.contains("UnknownIssuer") && told.contains("--tls-ca"),
        "{told}"
    );
}

#[test]
fn what_is_no_file_of_authorities_is_named() {
    for (path, reason) in
        [(file("missing.pem"), "No such file"), (file("first.key"), "holds no certificate")]
    {
        for command in [["watch", "AAPL"], ["feed", "sim"]] {
            let output = tickwire(&command).args(["--tls-ca", &path]).output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{command:?} {path}");
            assert!(told.contains(&path) && told.contains(reason), "{told}");
        }
    }
}

#[test]
fn load_and_healthcheck_speak_tls() {
    let (_hub, address) = hub();
    let https = address.replace("wss://", "https://");
    let trust = ["--hub", &https, "--tls-ca", &file("ca.pem")];
    let health = tickwire(&["healthcheck"]).args(trust).output().unwrap();
    assert!(health.status.success(), "{}", String::from_utf8_lossy(&health.stderr));
    let mut feed = tickwire(&["feed", "sim", "--duration", "60s", "--rate", "2000"]);
    let _feed = Running(feed.args(trust).stderr(Stdio::null()).spawn().unwrap());
    let load = ["load", "--connections", "40", "--threads", "2", "--ramp", "100ms", "--json", "-"];
    let mut command = tickwire(&load);
    command.args(["--warmup", "100ms", "--duration", "500ms"]).args(trust);
    let output = command.output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["connections"]["opened"], 40, "{report}");
    assert!(report["ticks"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn load_and_healthcheck_refuse_an_unknown_authority() {
    let (_hub, address) = hub();
    let load = ["load", "--symbols", "AAPL", "--connections", "2", "--ramp", "0s"];
    for command in [&["healthcheck"][..], &["load"], &load] {
        let output = tickwire(command).args(["--hub", &address]).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {message}");
        assert!(message.contains("UnknownIssuer"), "{command:?}: {message}");
    }
}

#[test]
fn a_certificate_that_cannot_be_used_ends_the_hub_with_the_reason() {
    let cert = file("first.pem");
    for (arguments, code, reason) in [
        (vec!["--tls-cert", &cert], 2, "expected tls_key"),
        (vec!["--tls-cert", &cert, "--tls-key", &file("second.key")], 1, "second.key"),
    ] {
        let mut command = tickwire(&["hub", "--listen", "127.0.0.1:0"]);
        let output = command.args(&arguments).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(told.contains(reason), "{told}");
    }
}
