//! Prints one line per tick on standard output, and everything else on standard error.

use std::io::ErrorKind;

use tickwire_client::{Client, Event};
use tickwire_protocol::{Tick, push_printable_json};
use tokio_util::sync::CancellationToken;

use super::watched::Watched;
use super::{StopCondition, format};
use crate::output;

/// While ticks arrive without a pause, lines are written in pieces of this size, in bytes.
const PIECE_BYTES: usize = 64 << 10;

/// The format of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Aligned columns, for people.
    Text,
    /// The JSON element of the protocol.
    Json,
}

/// Prints ticks until a stop condition holds.
#[derive(Debug)]
pub(super) struct LinePrinter {
    pub(super) format: Format,
    /// Whether the last values of a snapshot are printed.
    pub(super) snapshot: bool,
    pub(super) watched: Watched,
    pub(super) stop: StopCondition,
    /// The request whose rejection ends the command.
    pub(super) subscription: u64,
}

impl LinePrinter {
    pub(super) async fn run(
        self,
        client: &mut Client,
        signal: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut lines = LineBuffer::new(self.format);
        let over = self.stop.time_is_over();
        tokio::pin!(over);
        let mut printed = 0;
        let mut result = Ok(());
        loop {
            let event = tokio::select! {
                biased;
                () = signal.cancelled() => break,
                () = &mut over => break,
                event = client.next() => event,
                // No event is ready: write what is pending at once.
                () = std::future::ready(()), if !lines.pending.is_empty() => {
                    result = lines.write();
                    if result.is_err() { break } else { continue }
                }
            };
            if let Some(text) = event.as_ref().and_then(format::fatal) {
                lines.write()?;
                anyhow::bail!("{text}");
            }
            match event {
                None => break,
                Some(event) if !self.watched.covers(&event) => {}
                Some(Event::Tick { tick, snapshot }) if self.snapshot || !snapshot => {
                    result = lines.push(&tick);
                    printed += 1;
                    if result.is_err() || self.stop.ticks == Some(printed) {
                        break;
                    }
                }
                Some(Event::Tick { .. }) => {}
                Some(Event::Error { code, detail, id }) if id == Some(self.subscription) => {
                    anyhow::bail!("{}", format::rejection(code, detail.as_deref()));
                }
                Some(other) => {
                    if let Some(text) = format::notice(&other) {
                        output::notice(&text);
                    }
                }
            }
        }
        match result.and_then(|()| lines.write()) {
            // The reader of the lines has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }
}

/// Lines that are not written to standard output yet.
struct LineBuffer {
    format: Format,
    pending: Vec<u8>,
    text: String,
    json: Vec<u8>,
}

impl LineBuffer {
    const fn new(format: Format) -> Self {
        Self { format, pending: Vec::new(), text: String::new(), json: Vec::new() }
    }

    fn push(&mut self, tick: &Tick) -> std::io::Result<()> {
        match self.format {
            Format::Json => {
                self.json.clear();
                tick.write_json(&mut self.json);
                push_printable_json(&String::from_utf8_lossy(&self.json), &mut self.pending);
                self.pending.push(b'\n');
            }
            Format::Text => {
                self.text.clear();
                format::line(tick, &mut self.text);
                self.pending.extend_from_slice(self.text.as_bytes());
            }
        }
        if self.pending.len() >= PIECE_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> std::io::Result<()> {
        output::print_bytes(&self.pending)?;
        self.pending.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_lines_escape_what_a_terminal_would_obey() {
        let json = "{\"T\":\"t\",\"S\":\"A\",\"i\":1,\"x\":\"\u{9b}2J\u{202e}\",\"p\":1,\"s\":1,\
                    \"c\":[\"é\"],\"t\":\"2026-01-02T14:30:00Z\",\"z\":\"C\"}";
        let tick = Tick::from_json(json.as_bytes()).unwrap();
        let mut lines = LineBuffer::new(Format::Json);
        lines.push(&tick).unwrap();
        let line = String::from_utf8(lines.pending).unwrap();
        assert!(
            line.contains(r#""x":"\u009b2J\u202e""#) && line.contains(r#""c":["é"]"#),
            "{line}"
        );
        assert_eq!(Tick::from_json(line.trim_end().as_bytes()).unwrap(), tick);
    }
}
