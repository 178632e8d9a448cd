//! Measures the memory that a hub spends on clients that begin messages and never end them. Run it
//! with `--release`.
#![expect(clippy::print_stdout, reason = "a command-line tool")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use tempfile::TempDir;
use tickwire_benches::processes::{Hub, tickwire};
use tokio::time::sleep;

const EXAMPLES: &str = "\
Examples:
  cargo build --release -p tickwire -p tickwire-benches && target/release/incomplete header";

/// Opens sessions that begin a message and never end it, and prints the memory of the hub.
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES)]
struct Options {
    /// What each session sends
    attack: Attack,

    /// Number of sessions
    #[arg(long, default_value_t = 8_000)]
    sessions: usize,

    /// The tickwire program [default: the one next to this program]
    #[arg(long)]
    tickwire: Option<PathBuf>,
}

/// Size of the message that is announced, in bytes: the largest that a hub accepts by default.
const MESSAGE_BYTES: usize = 1 << 20;
/// How often the sessions are counted until all of them are open.
const POLLS_MAX: usize = 100;
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Files of this process and the hub besides those of the sessions.
const OTHER_FILES: u64 = 200;

/// What a session sends.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Attack {
    /// The header of a large frame.
    Header,
    /// A first fragment with one byte.
    Fragment,
    /// A large message without its last byte.
    Message,
}

impl Attack {
    fn bytes(self) -> Vec<u8> {
        let header = [&[0x81, 0xff][..], &(MESSAGE_BYTES as u64).to_be_bytes(), &[0; 4]].concat();
        match self {
            Self::Header => header,
            Self::Fragment => vec![0x01, 0x81, 0, 0, 0, 0, b' '],
            Self::Message => [header, vec![b' '; MESSAGE_BYTES - 1]].concat(),
        }
    }

    /// Opens a session and sends the bytes.
    fn open(self, hub: SocketAddr) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(hub)?;
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {hub}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = [0; 1_024];
        let count = stream.read(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer[..count]);
        ensure!(answer.starts_with("HTTP/1.1 101"), "the hub refuses a session: {answer}");
        stream.set_nonblocking(true)?;
        let _blocked_or_closed = stream.write(&self.bytes());
        Ok(stream)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Options { attack, sessions, tickwire: program } = Options::parse();
    rlimit::increase_nofile_limit(sessions as u64 + OTHER_FILES)?;
    let folder = TempDir::new()?;
    let program = tickwire(program.as_deref())?;
    let hub = Hub::start(Command::new(program), &[], folder.path().join("hub.log")).await?;
    let before = hub.memory_kib()?;
    let sockets: Vec<_> = (0..sessions).map(|_| attack.open(hub.address)).collect::<Result<_>>()?;
    for _ in 0..POLLS_MAX {
        if hub.metric("tickwire_sessions").await? >= sockets.len() as f64 {
            break;
        }
        sleep(POLL_INTERVAL).await;
    }
    let open = hub.metric("tickwire_sessions").await?;
    let held = hub.metric("tickwire_message_bytes").await?;
    let after = hub.memory_kib()?;
    println!("{attack:?}: {open} of {sessions} sessions open, {held} bytes of messages held");
    println!("memory {before} KiB before, {after} KiB after");
    Ok(())
}
