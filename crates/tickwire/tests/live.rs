//! Hub, feed, watch and load together, each as a process.
#![expect(clippy::unwrap_used, reason = "tests")]

mod kit;

use kit::{Running, tickwire};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

/// Starts a hub on a free port and waits until it listens.
fn hub(arguments: &[&str]) -> (Running, String) {
    hub_at("127.0.0.1:0", arguments)
}

fn hub_at(address: &str, arguments: &[&str]) -> (Running, String) {
    let mut command = tickwire(&["hub", "--listen", address]);
    let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
    (Running(child), format!("ws://{address}"))
}

/// Starts `watch` and waits until its subscription is acknowledged.
fn watch(hub: &str, arguments: &[&str]) -> Running {
    let mut command = tickwire(&["watch", "XXX", "--json", "--hub", hub]);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    let mut lines = BufReader::new(running.0.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("subscribed")), "watch never subscribed");
    std::thread::spawn(move || lines.for_each(drop)); // a full pipe would block it
    running
}

fn excerpt(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../feeder/tests/data").join(name);
    path.to_str().unwrap().to_owned()
}

/// Parses a line and splits off its sequence number, which only the hub assigns.
fn unnumbered(line: &str) -> (Option<u64>, serde_json::Value) {
    let mut tick: serde_json::Value = serde_json::from_str(line).unwrap();
    let seq = tick.as_object_mut().unwrap().remove("seq").map(|seq| seq.as_u64().unwrap());
    (seq, tick)
}

/// Returns the files of a recording, with its trades and quotes.
fn recording() -> ([String; 2], Vec<serde_json::Value>) {
    let files = [excerpt("trades.csv.gz"), excerpt("quotes.csv.gz")];
    let written = tickwire(&["feed", "replay", "--to", "-"]).args(&files).output().unwrap();
    let expected: Vec<_> = String::from_utf8(written.stdout)
        .unwrap()
        .lines()
        .map(|line| unnumbered(line).1)
        .filter(|tick| ["t", "q"].contains(&tick["T"].as_str().unwrap()))
        .collect();
    assert!(expected.len() > 300, "the excerpt has {} trades and quotes", expected.len());
    (files, expected)
}

/// Publishes a recording as fast as the hub takes it.
fn replay(hub: &str, files: &[String]) {
    let replay = ["feed", "replay", "--speed", "max", "--hub", hub];
    let replayed = tickwire(&replay).args(files).output().unwrap();
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
}

#[test]
fn recording_arrives_complete_in_order_and_unchanged() {
    let (files, expected) = recording();
    let (_hub, address) = hub(&[]);
    let mut watching = watch(&address, &["--count", &expected.len().to_string()]);
    replay(&address, &files);

    let lines = BufReader::new(watching.0.stdout.take().unwrap()).lines();
    let received: Vec<_> = lines.map(|line| unnumbered(&line.unwrap())).collect();
    assert_eq!(received.len(), expected.len());
    let mut last = [0, 0];
    for ((seq, tick), expected) in received.iter().zip(&expected) {
        assert_eq!(tick, expected);
        let last = &mut last[usize::from(tick["T"] == "q")];
        *last += 1;
        assert_eq!(seq.unwrap(), *last, "numbers are contiguous from 1");
    }
    assert!(watching.0.wait().unwrap().success());
}

#[test]
fn latest_delivery_skips_ticks_and_ends_with_the_last_values() {
    let (files, expected) = recording();
    let count = |kind: &str| expected.iter().filter(|tick| tick["T"] == kind).count() as u64;
    let newest = [count("t"), count("q")];
    let (_hub, address) = hub(&[]);
    let mut watching = watch(&address, &["--latest", "--max-rate", "2"]);
    replay(&address, &files);

    let lines = BufReader::new(watching.0.stdout.take().unwrap()).lines();
    let mut last = [0, 0];
    let mut received = 0;
    for line in lines {
        let (seq, tick) = unnumbered(&line.unwrap());
        let last_of_kind = &mut last[usize::from(tick["T"] == "q")];
        assert!(seq.unwrap() > *last_of_kind, "{seq:?} after {last_of_kind}");
        *last_of_kind = seq.unwrap();
        received += 1;
        if last == newest {
            break;
        }
    }
    assert_eq!(last, newest);
    assert!(received < expected.len(), "all {received} ticks arrived");
}

#[test]
fn replay_of_history_is_complete_and_continues_live() {
    let (files, expected) = recording();
    let (_hub, address) = hub(&[]);
    replay(&address, &files);
    let all = (2 * expected.len()).to_string();
    let paces: [&[&str]; 2] = [&[], &["--speed", "2"]];
    let watching =
        paces.map(|pace| watch(&address, &[&["--from", "-5m", "--count", &all], pace].concat()));
    replay(&address, &files);
    for mut watching in watching {
        let lines = BufReader::new(watching.0.stdout.take().unwrap()).lines();
        let mut last = [0, 0];
        for (line, expected) in lines.zip(expected.iter().cycle()) {
            let (seq, tick) = unnumbered(&line.unwrap());
            assert_eq!(tick, *expected);
            let last = &mut last[usize::from(tick["T"] == "q")];
            *last += 1;
            assert_eq!(seq.unwrap(), *last, "numbers are contiguous from 1");
        }
        assert_eq!(last.iter().sum::<u64>(), 2 * expected.len() as u64);
        assert!(watching.0.wait().unwrap().success());
    }
}

/// Reads the messages of a running `watch` up to a line with this start.
fn read_until(running: &mut Running, start: &str) -> Vec<String> {
    let mut said = Vec::new();
    for line in BufReader::new(running.0.stderr.as_mut().unwrap()).lines() {
        said.push(line.unwrap());
        if said.last().is_some_and(|line| line.starts_with(start)) {
            return said;
        }
    }
    panic!("watch ended without the message {start:?}: {said:?}")
}

#[test]
fn watch_resumes_without_a_gap_after_a_hub_kill() {
    let data = tempfile::tempdir().unwrap();
    let keep = ["--data-dir", data.path().to_str().unwrap()];
    let (mut killed, address) = hub(&keep);
    let feed = ["feed", "sim", "--symbols", "20", "--rate", "2000", "--duration", "120s"];
    let mut publishing = tickwire(&feed);
    publishing.args(["--hub", &address]).stdout(Stdio::null()).stderr(Stdio::null());
    let _publishing = Running(publishing.spawn().unwrap());
    let mut command = tickwire(&["watch", "*", "--json", "--count", "12000", "--hub", &address]);
    let mut watching =
        Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(watching.0.stdout.take().unwrap()).lines();
    let mut last = std::collections::BTreeMap::new();
    let mut next = || -> bool {
        let Some(line) = lines.next() else { return false };
        let (seq, tick) = unnumbered(&line.unwrap());
        let topic = (tick["T"].to_string(), tick["S"].to_string());
        let seq = seq.unwrap();
        let before = last.insert(topic, seq);
        assert!(before.is_none_or(|before| seq == before + 1), "{tick}: {seq} after {before:?}");
        true
    };
    for _ in 0..3000 {
        assert!(next());
    }
    killed.0.kill().unwrap();
    killed.0.wait().unwrap();
    let _hub = hub_at(address.strip_prefix("ws://").unwrap(), &keep);
    while next() {}
    assert!(watching.0.wait().unwrap().success());
    read_until(&mut watching, "subscribed: trades 1, quotes 1, resumed without a gap");
}

#[test]
fn load_with_latest_finds_no_faults_and_counts_skipped_ticks() {
    let (_hub, address) = hub(&[]);
    let feed = ["feed", "sim", "--symbols", "10", "--rate", "2000", "--duration", "60s"];
    let mut publishing = tickwire(&feed);
    publishing.args(["--hub", &address]).stdout(Stdio::null()).stderr(Stdio::null());
    let _publishing = Running(publishing.spawn().unwrap());
    let load = ["load", "--connections", "5", "--per-connection", "5", "--ramp", "0s"];
    let output = tickwire(&load)
        .args(["--duration", "2s", "--latest", "--max-rate", "5", "--on-lag", "latest"])
        .args(["--json", "-", "--hub", &address])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["delivery"], &report["max_rate"]), (&"latest".into(), &5.0.into()));
    let number = |key: &str| report[key].as_u64().unwrap();
    assert!(number("ticks") > 0 && number("skipped_ticks") > number("ticks"), "{report}");
    assert_eq!((number("gaps"), number("duplicates"), number("named_gaps")), (0, 0, 0));
    assert_eq!(report["latency_ms"]["samples"], report["ticks"], "every value has an age");
}

#[test]
fn publisher_without_the_token_is_rejected_and_with_it_accepted() {
    let (_hub, address) = hub(&["--publish-token", "open-sesame"]);
    let feed = ["feed", "sim", "--ticks", "10", "--rate", "1000", "--hub", &address];
    let refused = tickwire(&feed).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("token"), "{said}");
    let served = tickwire(&feed).args(["--token", "open-sesame"]).output().unwrap();
    assert!(served.status.success(), "{}", String::from_utf8_lossy(&served.stderr));
}

#[test]
fn healthcheck_succeeds_only_for_a_ready_hub() {
    let (running, address) = hub(&[]);
    assert!(tickwire(&["healthcheck", "--hub", &address]).status().unwrap().success());
    drop(running);
    let failed = tickwire(&["healthcheck", "--hub", &address]).output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
}

#[test]
fn errors_name_the_setting_and_the_allowed_values() {
    for (arguments, texts) in [
        (&["hub", "--shards", "999"][..], ["shards is 999", "0 to 256"]),
        (&["hub", "--listen", "here"], ["--listen", "127.0.0.1:8080"]),
        (&["hub", "--feeds", "Main"], ["Main", "a-z 0-9"]),
        (&["demo", "--symbols", "0"], ["--symbols", "1 to 100000"]),
        (&["hub", "--allow-origins", "example.com"], ["example.com", "https://example.com"]),
        (&["hub", "--fsync", "1s"], ["--fsync", "--data-dir"]),
    ] {
        let output = tickwire(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        for text in texts {
            assert!(said.contains(text), "no {text:?} in: {said}");
        }
    }
}

#[test]
fn error_names_the_address_in_use() {
    let (_hub, address) = hub(&[]);
    let address = address.strip_prefix("ws://").unwrap();
    let output = tickwire(&["hub", "--listen", address]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
    assert!(said.contains("choose another address or port with --listen"), "{said}");
}
