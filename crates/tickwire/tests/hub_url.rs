//! Every command accepts every form of a hub's address.
#![expect(clippy::unwrap_used, reason = "tests")]

mod kit;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;

use kit::{Running, tickwire};

/// Starts a hub and returns the address it prints, without the scheme.
fn hub() -> (Running, String) {
    let mut command = tickwire(&["hub", "--listen", "127.0.0.1:0"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
    (Running(child), address)
}

/// Starts a reverse proxy that serves a hub under `/market`, and returns its address.
fn reverse_proxy(hub: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let hub = TcpStream::connect(&hub).unwrap();
            thread::spawn(move || proxy(client, hub));
        }
    });
    address
}

fn proxy(mut client: TcpStream, mut hub: TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if client.read_exact(&mut byte).is_err() {
            return; // the client left before it asked for anything
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let stripped = head.strip_prefix("GET /market/").expect("the request has the prefix");
    hub.write_all(format!("GET /{stripped}").as_bytes()).unwrap();
    let mut from = client.try_clone().unwrap();
    let mut to = hub.try_clone().unwrap();
    let upwards = thread::spawn(move || {
        let _cut = std::io::copy(&mut from, &mut to);
        let _closed_already = to.shutdown(Shutdown::Write);
    });
    let _cut = std::io::copy(&mut hub, &mut client);
    let _closed_already = client.shutdown(Shutdown::Both);
    upwards.join().unwrap();
}

fn assert_success(mut command: std::process::Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Publishes through every command that takes a hub's address, and reads what was published.
fn assert_commands_take(hub: &str) {
    assert_success(tickwire(&["healthcheck", "--hub", hub]));
    let mut watch = tickwire(&["watch", "*", "--json", "--count", "10", "--hub", hub]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut messages = BufReader::new(watch.stderr.take().unwrap()).lines();
    let subscribed = messages.any(|line| line.unwrap().starts_with("subscribed"));
    assert!(subscribed, "{hub}: watch never subscribed");
    let mut feed = tickwire(&["feed", "sim", "--symbols", "2", "--rate", "1000", "--hub", hub]);
    let _feed = Running(feed.stderr(Stdio::null()).spawn().unwrap());
    assert!(watch.wait().unwrap().success(), "{hub}");
    let load = ["load", "--connections", "2", "--ramp", "0s", "--warmup", "0s"];
    let mut command = tickwire(&load);
    command.args(["--duration", "2s", "--per-connection", "1", "--hub", hub]);
    assert_success(command);
}

#[test]
fn address_that_the_hub_prints_is_taken_with_either_scheme() {
    let (_hub, address) = hub();
    assert_commands_take(&format!("http://{address}"));
    assert_commands_take(&format!("ws://{address}/ws"));
}

#[test]
fn hub_behind_a_path_prefix_is_taken_with_or_without_a_slash() {
    let (_hub, address) = hub();
    let proxied = reverse_proxy(address);
    assert_commands_take(&format!("http://{proxied}/market"));
    assert_commands_take(&format!("ws://{proxied}/market/"));
}
