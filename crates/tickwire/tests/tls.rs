//! The commands over TLS.
#![expect(clippy::unwrap_used, reason = "tests")]

mod kit;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use kit::{Running, tickwire};

/// Returns the path of a file of the hub's TLS tests.
fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hub/tests/tls").join(name);
    path.to_str().unwrap().to_owned()
}

/// Starts a hub with a certificate for `localhost` and returns its `wss://` address.
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
fn feed_and_watch_work_over_tls() {
    let (_hub, address) = hub();
    let trust = ["--hub", &address, "--tls-ca", &file("ca.pem")];
    let mut watch = tickwire(&["watch", "*", "--json", "--count", "100"]);
    watch.args(trust).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut watch = watch.spawn().unwrap();
    let mut messages = BufReader::new(watch.stderr.take().unwrap()).lines();
    assert!(messages.any(|line| line.unwrap().starts_with("subscribed")), "never subscribed");
    let feed = tickwire(&["feed", "sim", "--ticks", "200", "--rate", "10000"]).args(trust).output();
    let feed = feed.unwrap();
    assert!(feed.status.success(), "{}", String::from_utf8_lossy(&feed.stderr));
    let watched = watch.wait_with_output().unwrap();
    assert!(watched.status.success());
    assert_eq!(watched.stdout.iter().filter(|byte| **byte == b'\n').count(), 100);
}

#[test]
fn certificate_of_an_unknown_authority_is_rejected() {
    let (_hub, address) = hub();
    let output = tickwire(&["watch", "AAPL", "--hub", &address]).output().unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success()
            && messages.contains("UnknownIssuer")
            && messages.contains("--tls-ca"),
        "{messages}"
    );
}

#[test]
fn error_names_an_unusable_file_of_authorities() {
    for (path, reason) in
        [(file("missing.pem"), "No such file"), (file("first.key"), "holds no certificate")]
    {
        for command in [["watch", "AAPL"], ["feed", "sim"]] {
            let output = tickwire(&command).args(["--tls-ca", &path]).output().unwrap();
            let messages = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{command:?} {path}");
            assert!(messages.contains(&path) && messages.contains(reason), "{messages}");
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
fn unusable_certificate_ends_the_hub_with_the_reason() {
    let cert = file("first.pem");
    for (arguments, code, reason) in [
        (vec!["--tls-cert", &cert], 2, "expected tls_key"),
        (vec!["--tls-cert", &cert, "--tls-key", &file("second.key")], 1, "second.key"),
    ] {
        let mut command = tickwire(&["hub", "--listen", "127.0.0.1:0"]);
        let output = command.args(&arguments).output().unwrap();
        let messages = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{messages}");
        assert!(messages.contains(reason), "{messages}");
    }
}
