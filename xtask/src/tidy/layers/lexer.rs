//! Splits Rust source into tokens, without comments and literals.

/// A token, and the line it stands in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    /// Number of the line, from 1.
    pub(super) line: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind<'a> {
    /// An identifier or a keyword.
    Ident(&'a str),
    /// `::`
    PathSeparator,
    /// Any other character that is neither space, comment nor part of a literal.
    Punct(char),
}

impl Token<'_> {
    pub(super) fn is_ident(&self, name: &str) -> bool {
        self.kind == Kind::Ident(name)
    }
}

/// Returns the tokens of a file, which must be valid Rust. Numbers are returned as identifiers.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { rest: text, line: 1 };
    std::iter::from_fn(|| lexer.next()).collect()
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let line = self.line;
            let first = self.rest.chars().next()?;
            if self.skip_blank(first) || self.skip_literal(first) {
                continue;
            }
            let kind = if is_word(first) {
                let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
                Kind::Ident(self.take(end))
            } else if self.rest.starts_with("::") {
                self.take(2);
                Kind::PathSeparator
            } else {
                self.take(first.len_utf8());
                Kind::Punct(first)
            };
            return Some(Token { kind, line });
        }
    }

    /// Skips a space or a comment, if one is next. Returns whether it did.
    fn skip_blank(&mut self, first: char) -> bool {
        let len = if first.is_whitespace() {
            first.len_utf8()
        } else if self.rest.starts_with("//") {
            self.rest.find('\n').unwrap_or(self.rest.len())
        } else if self.rest.starts_with("/*") {
            block_comment_len(self.rest)
        } else {
            return false;
        };
        self.take(len);
        true
    }

    /// Skips a string or character literal, or the quote of a lifetime, if one is next. Returns
    /// whether it did.
    fn skip_literal(&mut self, first: char) -> bool {
        let prefix = ["br", "cr", "b", "c", "r"].into_iter().find(|prefix| {
            let after = self.rest.strip_prefix(prefix).map(|after| after.trim_start_matches('#'));
            after.is_some_and(|after| after.starts_with('"'))
        });
        let len = match (prefix, first) {
            (Some(prefix), _) if prefix.ends_with('r') => raw_string_len(self.rest, prefix.len()),
            (Some(prefix), _) => prefix.len() + quoted_len(&self.rest[prefix.len()..], '"'),
            (None, '"') => quoted_len(self.rest, '"'),
            (None, 'b') if self.rest.starts_with("b'") => 1 + quoted_len(&self.rest[1..], '\''),
            (None, '\'') if is_char_literal(self.rest) => quoted_len(self.rest, '\''),
            (None, '\'') => 1,
            _ => return false,
        };
        self.take(len);
        true
    }

    fn take(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(len);
        self.line += taken.bytes().filter(|byte| *byte == b'\n').count();
        self.rest = rest;
        taken
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns the length of a comment that starts with `/*`, in bytes; such comments nest.
fn block_comment_len(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += next.len_utf8();
        }
    }
    text.len()
}

/// Returns the length of a raw string, in bytes. Its prefix (`r`, `br`, `cr`) has `prefix` bytes.
fn raw_string_len(text: &str, prefix: usize) -> usize {
    let hashes = text[prefix..].bytes().take_while(|byte| *byte == b'#').count();
    let start = prefix + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    text[start..].find(&end).map_or(text.len(), |at| start + at + end.len())
}

/// Returns the length of a literal in quotes, in bytes, both quotes included.
fn quoted_len(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Returns whether the quote at the start of `text` starts a character literal rather than a
/// lifetime.
fn is_char_literal(text: &str) -> bool {
    let mut after = text.chars().skip(1);
    after.next() == Some('\\') || after.next() == Some('\'')
}
