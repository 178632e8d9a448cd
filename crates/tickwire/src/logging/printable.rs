//! Makes log lines printable, whatever text of peers they contain.

use std::fmt::{self, Debug};
use std::io::{self, Write};

use tickwire_protocol::{Printable, push_printable_json};
use tracing::field::Field;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FormatFields, MakeWriter, format};

/// Maximum number of characters of one field of a log line.
const FIELD_CHARS_MAX: usize = 4_000;

/// Formats the fields of a log line. Text of peers can neither control a terminal nor forge a line,
/// whether or not the code that logs it made it printable.
pub(crate) fn printable_fields() -> impl for<'w> FormatFields<'w> + Send + Sync {
    format::debug_fn(write_field).delimited(" ")
}

fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let value = format!("{value:?}");
    let value = Printable(&value).cut(FIELD_CHARS_MAX);
    match field.name() {
        "message" => write!(writer, "{value}"),
        name if writer.has_ansi_escapes() => {
            write!(writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{value}")
        }
        name => write!(writer, "{name}={value}"),
    }
}

/// Writes log lines in JSON with escapes for characters that are not printable.
pub(super) struct PrintableJson<M>(pub(super) M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for PrintableJson<M> {
    type Writer = PrintableJsonWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        PrintableJsonWriter(self.0.make_writer())
    }
}

pub(super) struct PrintableJsonWriter<W>(W);

impl<W: Write> Write for PrintableJsonWriter<W> {
    /// Writes one or more whole lines.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let mut printable = Vec::with_capacity(lines.len());
        push_printable_json(&String::from_utf8_lossy(lines), &mut printable);
        self.0.write_all(&printable)?;
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What a peer may send to forge a line, to hide text and to fill the disk.
    const HOSTILE: &str = "full\nINFO all is well\u{9b}2J\u{202e}\u{1b}[2J";

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn log_hostile_text() {
        tracing::warn!(text = HOSTILE, shown = %HOSTILE, debug = ?HOSTILE, "{HOSTILE}");
    }

    #[test]
    fn text_log_lines_are_printable_and_cut() {
        let written = Written::default();
        let writer = written.clone();
        let log = tracing_subscriber::fmt()
            .without_time()
            .with_ansi(false)
            .fmt_fields(printable_fields())
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(log, || {
            log_hostile_text();
            tracing::warn!(count = 3, "{}", "x".repeat(10 << 20));
        });
        let text = written.text();
        let lines: Vec<_> = text.lines().collect();
        let escaped = r"full\nINFO all is well\u{9b}2J\u{202e}\u{1b}[2J";
        assert!(
            lines[0].contains(&format!(": {escaped} text=\"{escaped}\" shown={escaped}")),
            "{text}"
        );
        assert!(lines[0].chars().all(|c| c.is_ascii_graphic() || c == ' '), "{text}");
        assert!(lines[1].ends_with("xxx… (10485760 bytes) count=3") && lines[1].len() < 5_000);
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn json_log_lines_are_printable() {
        let written = Written::default();
        let writer = written.clone();
        let log = tracing_subscriber::fmt()
            .json()
            .with_writer(move || writer.clone())
            .map_writer(PrintableJson)
            .finish();
        tracing::subscriber::with_default(log, log_hostile_text);
        let text = written.text();
        assert_eq!(text.lines().count(), 1);
        assert!(text.trim_end().chars().all(|c| c.is_ascii_graphic() || c == ' '), "{text}");
        assert!(text.contains(r"\u009b2J\u202e"), "{text}");
    }
}
