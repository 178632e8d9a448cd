//! Connects subscribers that read slowly or not at all, for a given time. Half of them subscribe to
//! every tick, a quarter to `latest`, a quarter to every tick with `on_lag` latest. Readers that
//! the hub disconnects reconnect. Run `tickwire load` at the same time to see whether other
//! subscribers are affected.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use std::{fs, thread};

use clap::Parser;
use tickwire_benches::hub_address::host_and_port;
use tickwire_testkit::frames::{self, OPEN_TEXT};

/// Bytes that a slow reader reads in each [`READ_INTERVAL`]: about 500 ticks a second.
const SLOW_BYTES: usize = 4_096;
const READ_INTERVAL: Duration = Duration::from_millis(100);
const REPORT_INTERVAL_S: u64 = 10;

const EXAMPLES: &str = "\
Examples:
  soak ws://127.0.0.1:8080 100 100 600 $(pidof -s tickwire)

It prints every ten seconds. Readers that the hub disconnects reconnect.";

/// Connects subscribers that read slowly or not at all, and prints the hub's memory.
#[derive(Debug, Parser)]
#[command(name = "soak", after_help = EXAMPLES)]
struct Options {
    /// Address of the hub, without TLS and path prefix
    #[arg(value_name = "URL", value_parser = host_and_port)]
    hub: String,
    /// Number of readers that do not read at all
    stalled: u64,
    /// Number of readers that read 40 KB per second
    slow: u64,
    /// Length of the run in seconds
    seconds: u64,
    /// Process of the hub
    hub_pid: u32,
}

#[derive(Default)]
struct State {
    ended: AtomicBool,
    connected: AtomicU64,
    bytes: AtomicU64,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let state = Arc::new(State::default());
    let readers: Vec<_> = (0..options.stalled + options.slow)
        .map(|number| {
            let address = options.hub.clone();
            let state = Arc::clone(&state);
            let bytes = if number < options.stalled { 0 } else { SLOW_BYTES };
            thread::spawn(move || run_reader(&address, number, bytes, &state))
        })
        .collect();
    let mut elapsed_s = 0;
    while elapsed_s <= options.seconds {
        let memory = memory_mib(options.hub_pid)?;
        let connected = state.connected.load(Ordering::Relaxed);
        let mib = state.bytes.load(Ordering::Relaxed) >> 20;
        println!(
            "{elapsed_s:>5} s  {memory:>7.1} MiB  {connected} connections so far, {mib} MiB read"
        );
        thread::sleep(Duration::from_secs(REPORT_INTERVAL_S));
        elapsed_s += REPORT_INTERVAL_S;
    }
    state.ended.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join().map_err(|_| "a reader panicked")?;
    }
    Ok(())
}

/// Returns the resident memory of a process, in MiB.
fn memory_mib(pid: u32) -> Result<f64, Box<dyn Error>> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    let kib: f64 = line.split_whitespace().nth(1).ok_or("no VmRSS")?.parse()?;
    Ok(kib / 1024.0)
}

/// Connects, subscribes and reads `bytes` in each [`READ_INTERVAL`]. Reconnects when disconnected.
fn run_reader(address: &str, number: u64, bytes: usize, state: &State) {
    let mut buffer = vec![0; bytes.max(1)];
    while !state.ended.load(Ordering::Relaxed) {
        if let Ok(mut stream) = subscribe(address, number) {
            state.connected.fetch_add(1, Ordering::Relaxed);
            while !state.ended.load(Ordering::Relaxed)
                && stream.take_error().is_ok_and(|e| e.is_none())
            {
                thread::sleep(READ_INTERVAL);
                if bytes > 0 {
                    match stream.read(&mut buffer) {
                        Ok(0) | Err(_) => break,
                        Ok(count) => state.bytes.fetch_add(count as u64, Ordering::Relaxed),
                    };
                }
            }
        }
        thread::sleep(READ_INTERVAL);
    }
}

fn subscribe(address: &str, number: u64) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        stream,
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    if !answer.ends_with(b"101") {
        return Err(std::io::ErrorKind::ConnectionRefused.into());
    }
    let options = match number % 4 {
        0 | 1 => "",
        2 => r#","delivery":"latest","max_rate":10"#,
        _ => r#","on_lag":"latest""#,
    };
    let command = format!(r#"{{"action":"subscribe","trades":["*"],"quotes":["*"]{options}}}"#);
    let mut frame = Vec::new();
    frames::write(OPEN_TEXT, command.as_bytes(), &mut frame);
    stream.write_all(&frame)?;
    Ok(stream)
}
