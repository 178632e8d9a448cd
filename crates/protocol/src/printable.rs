//! Text of peers, made safe for terminals and logs.

use std::fmt::{self, Write as _};

/// Maximum number of characters of a peer's text in one line of a log or terminal, unless the
/// caller sets another limit.
const CHARS_MAX: usize = 400;

/// Displays a peer's text so that it can neither control a terminal nor forge a line of a log:
///
/// - Control characters (C0, DEL and C1), line separators, bidirectional and zero-width format
///   characters, combining marks, and private and unassigned code points appear as escapes such as
///   `\n` and `\u{202e}`.
/// - A text that is too long is cut and ends with a mark: `… (1048576 bytes)`.
///
/// Applying it to its own output changes nothing, unless the text was cut.
///
/// ```
/// use tickwire_protocol::Printable;
///
/// let reason = "full\n2026-01-02 INFO all is well\u{9b}2J";
/// assert_eq!(Printable(reason).to_string(), r"full\n2026-01-02 INFO all is well\u{9b}2J");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Printable<'a>(pub &'a str);

impl<'a> Printable<'a> {
    /// Displays at most `chars_max` characters of the text.
    #[must_use]
    pub const fn cut(self, chars_max: usize) -> Cut<'a> {
        Cut { text: self.0, chars_max }
    }
}

/// A [`Printable`] text with a limit of its own.
#[derive(Debug, Clone, Copy)]
pub struct Cut<'a> {
    text: &'a str,
    chars_max: usize,
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cut(CHARS_MAX).fmt(f)
    }
}

impl fmt::Display for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = match self.text.char_indices().nth(self.chars_max) {
            Some((end, _)) => &self.text[..end],
            None => self.text,
        };
        let is_whole = shown.len() == self.text.len();
        if is_whole && shown.chars().all(is_printable) {
            return f.pad(shown);
        }
        for c in shown.chars() {
            if is_printable(c) {
                f.write_char(c)?;
            } else {
                fmt::Display::fmt(&c.escape_debug(), f)?;
            }
        }
        if is_whole { Ok(()) } else { write!(f, "… ({} bytes)", self.text.len()) }
    }
}

/// Appends JSON in which characters that are not [`Printable`] are replaced by JSON's escapes, such
/// as `\u202e`, except line breaks between its tokens. The JSON has the same value, and may be
/// written to a terminal.
pub fn push_printable_json(json: &str, out: &mut Vec<u8>) {
    if json.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n')) {
        return out.extend_from_slice(json.as_bytes());
    }
    let mut units = [0; 2];
    for c in json.chars() {
        // A line break can only stand between tokens.
        if c == '\n' || is_printable(c) {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            // Outside of strings JSON has ASCII only, so the character is part of a string.
            for unit in c.encode_utf16(&mut units) {
                out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
            }
        }
    }
}

/// Returns whether a character shows as itself and changes nothing around it.
fn is_printable(c: char) -> bool {
    // The standard library escapes exactly the others, and three that are only special in literals.
    matches!(c, ' '..='~') || c.escape_debug().len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_is_unchanged() {
        for text in ["", "all is well", r#"C:\ "it's" {}"#, "126,55 € – Zürich 東京 ✓"] {
            assert_eq!(Printable(text).to_string(), text);
            let mut json = Vec::new();
            push_printable_json(text, &mut json);
            assert_eq!(json, text.as_bytes());
        }
    }

    #[test]
    fn controls_separators_and_format_characters_are_escaped() {
        let hidden = [
            '\0',
            '\t',
            '\n',
            '\r',
            '\u{1b}',
            '\u{7f}',
            '\u{80}',
            '\u{85}',
            '\u{9b}',
            '\u{9f}',
            '\u{ad}',
            '\u{300}',
            '\u{61c}',
            '\u{180e}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{fff9}',
            '\u{e000}',
            '\u{e0041}',
            '\u{e0100}',
        ];
        for c in hidden {
            let text = Printable(&format!("a{c}b")).to_string();
            assert!(text.starts_with("a\\") && text.ends_with('b'), "{text:?}");
            assert!(text.chars().all(|c| c.is_ascii_graphic()), "{text:?}");
            assert_eq!(Printable(&text).to_string(), text, "escaping twice changes nothing");
        }
    }

    #[test]
    fn no_character_reaches_the_output_that_would_be_escaped() {
        for c in '\0'..=char::MAX {
            let text = Printable(c.encode_utf8(&mut [0; 4])).to_string();
            let is_safe = |c: char| !c.is_control() && is_printable(c);
            assert!(text.chars().all(is_safe), "{:x}", u32::from(c));
        }
    }

    #[test]
    fn long_text_is_cut_with_a_mark() {
        let text = "é".repeat(10 << 20);
        let shown = Printable(&text).to_string();
        assert_eq!(shown, format!("{}… (20971520 bytes)", "é".repeat(CHARS_MAX)));
        assert_eq!(Printable("abc").cut(3).to_string(), "abc");
        assert_eq!(Printable("abcd").cut(3).to_string(), "abc… (4 bytes)");
    }

    #[test]
    fn short_text_is_padded() {
        assert_eq!(format!("{:<3}|{:>3}", Printable("V"), Printable("Q")), "V  |  Q");
    }

    #[test]
    fn printable_json_has_the_same_value() {
        let text = "a\u{9b}b\u{202e}c\u{e0041}d\u{7f}é\"\\\n";
        let json = serde_json::to_string(text).unwrap();
        let mut printable = Vec::new();
        push_printable_json(&json, &mut printable);
        let printable = String::from_utf8(printable).unwrap();
        assert_eq!(printable, r#""a\u009bb\u202ec\udb40\udc41d\u007fé\"\\\n""#);
        assert_eq!(serde_json::from_str::<String>(&printable).unwrap(), text);
    }
}
