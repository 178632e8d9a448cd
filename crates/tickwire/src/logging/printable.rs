//! Makes log lines printable, whatever text of peers they contain.

use std::borrow::Cow;
use std::fmt::{self, Debug};
use std::io::{self, Write};

use tickwire_protocol::{Printable, push_printable_json};
use tracing::field::Field;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FormatFields, MakeWriter, format};

/// Maximum number of characters of one field of a log line, in JSON of one string.
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

/// Writes log lines in JSON, with escapes for characters that are not printable and with long
/// strings cut.
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
        let text = String::from_utf8_lossy(lines);
        let cut = cut_json_strings(&text, FIELD_CHARS_MAX);
        let mut printable = Vec::with_capacity(cut.len());
        push_printable_json(&cut, &mut printable);
        self.0.write_all(&printable)?;
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Returns JSON whose strings are cut to `chars_max` characters. An escape counts as one. A string
/// that was cut ends with its original length, like a cut field in a line of text.
fn cut_json_strings(json: &str, chars_max: usize) -> Cow<'_, str> {
    if json.len() <= chars_max {
        return json.into();
    }
    let mut cut = String::new();
    let mut rest = json;
    while let Some(quote) = rest.find('"') {
        let (before, string) = rest.split_at(quote + 1);
        cut.push_str(before);
        let JsonString { shown, len } = json_string(string, chars_max);
        cut.push_str(&string[..shown]);
        if shown < len {
            cut.push_str(&format!("… ({len} bytes)"));
        }
        let end = string.len().min(len + 1);
        cut.push_str(&string[len..end]); // the closing quote
        rest = &string[end..];
    }
    cut.push_str(rest);
    cut.into()
}

/// The lengths of a JSON string, in bytes.
struct JsonString {
    /// Length of the first characters.
    shown: usize,
    /// Length of the whole string, without its closing quote.
    len: usize,
}

/// Measures a JSON string that follows its opening quote.
fn json_string(text: &str, chars_max: usize) -> JsonString {
    let mut chars = text.char_indices();
    let mut count = 0;
    let mut shown = None;
    while let Some((at, c)) = chars.next() {
        if c == '"' {
            return JsonString { shown: shown.unwrap_or(at), len: at };
        }
        if count == chars_max {
            shown = Some(at);
        }
        count += 1;
        // An escape is a backslash and a character, which `u` and four digits may be.
        if c == '\\' && chars.next().is_some_and(|(_, escaped)| escaped == 'u') {
            chars.by_ref().take(4).for_each(drop);
        }
    }
    JsonString { shown: shown.unwrap_or(text.len()), len: text.len() }
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
        tracing::subscriber::with_default(log, || {
            log_hostile_text();
            tracing::warn!(long = "y".repeat(1 << 20), count = 3, "{}", "\n".repeat(1 << 20));
        });
        let text = written.text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].chars().all(|c| c.is_ascii_graphic() || c == ' '), "{text}");
        assert!(lines[0].contains(r"\u009b2J\u202e"), "{text}");
        assert!(lines[1].len() < 20_000);
        let line: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
        let fields = &line["fields"];
        assert!(fields["long"].as_str().unwrap().ends_with("yyy… (1048576 bytes)"));
        assert!(fields["message"].as_str().unwrap().ends_with("\n\n… (2097152 bytes)"));
        assert_eq!(fields["count"], 3);
    }

    #[test]
    fn long_json_strings_are_cut_between_characters() {
        let cut = |json| cut_json_strings(json, 3).into_owned();
        assert_eq!(cut(r#"{"a":"abc","n":1}"#), r#"{"a":"abc","n":1}"#);
        assert_eq!(cut(r#"{"a":"abcd"}"#), r#"{"a":"abc… (4 bytes)"}"#);
        assert_eq!(cut(r#"{"ä":"äöüß","b":""}"#), r#"{"ä":"äöü… (8 bytes)","b":""}"#);
        assert_eq!(
            cut(r#"["a\"\u001b","a\"\u001bb"]"#),
            r#"["a\"\u001b","a\"\u001b… (10 bytes)"]"#
        );
        assert_eq!(cut(r#"["\\","ab\\d"]"#), r#"["\\","ab\\… (5 bytes)"]"#);
        assert_eq!(cut("\"abcde"), "\"abc… (5 bytes)", "a string without an end");
    }
}
