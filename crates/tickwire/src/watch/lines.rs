//! One line per tick on standard output, everything else on standard error.

use std::io::{ErrorKind, Write};

use tickwire_client::{Client, Event};
use tickwire_protocol::Tick;
use tokio_util::sync::CancellationToken;

use super::{Until, spell};

/// Lines are written in pieces of this size while ticks come without a pause.
const PIECE_BYTES: usize = 64 << 10;

/// How a tick is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// For people.
    Text,
    /// The element of the wire.
    Json,
}

/// What to print, and how long.
#[derive(Debug)]
pub(super) struct Printing {
    pub(super) format: Format,
    /// Whether last values are printed too.
    pub(super) snapshot: bool,
    pub(super) until: Until,
    /// The command whose refusal is the end.
    pub(super) subscription: u64,
}

impl Printing {
    pub(super) async fn run(
        self,
        client: &mut Client,
        signal: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut lines = Lines { format: self.format, pending: Vec::new(), text: String::new() };
        let over = self.until.time_is_over();
        tokio::pin!(over);
        let (mut printed, mut result) = (0, Ok(()));
        loop {
            let event = tokio::select! {
                biased;
                () = signal.cancelled() => break,
                () = &mut over => break,
                event = client.next() => event,
                // Nothing more has come: what is there must be seen now.
                () = std::future::ready(()), if !lines.pending.is_empty() => {
                    result = lines.write();
                    if result.is_err() { break } else { continue }
                }
            };
            if let Some(text) = event.as_ref().and_then(spell::end) {
                lines.write()?;
                anyhow::bail!("{text}");
            }
            match event {
                None => break,
                Some(Event::Tick { tick, snapshot }) if self.snapshot || !snapshot => {
                    result = lines.push(&tick);
                    printed += 1;
                    if result.is_err() || self.until.ticks == Some(printed) {
                        break;
                    }
                }
                Some(Event::Tick { .. }) => {}
                Some(Event::Error { code, detail, id }) if id == Some(self.subscription) => {
                    anyhow::bail!("{}", spell::refusal(code, detail.as_deref()));
                }
                Some(other) => {
                    if let Some(text) = spell::notice(&other) {
                        tell(&text);
                    }
                }
            }
        }
        match result.and_then(|()| lines.write()) {
            // Whoever read the lines has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }
}

#[expect(clippy::print_stderr, reason = "what is no tick must not stand between them")]
fn tell(text: &str) {
    eprintln!("{text}");
}

/// Lines on their way to standard output.
struct Lines {
    format: Format,
    pending: Vec<u8>,
    text: String,
}

impl Lines {
    fn push(&mut self, tick: &Tick) -> std::io::Result<()> {
        match self.format {
            Format::Json => {
                tick.write_json(&mut self.pending);
                self.pending.push(b'\n');
            }
            Format::Text => {
                self.text.clear();
                spell::line(tick, &mut self.text);
                self.pending.extend_from_slice(self.text.as_bytes());
            }
        }
        if self.pending.len() >= PIECE_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(&self.pending)?;
        self.pending.clear();
        out.flush()
    }
}
