//! The paths that a file names: its `use` trees, and paths in its code.

use super::lexer::{Kind, Token, tokens};

/// The paths and names that a file uses, test code excepted.
#[derive(Debug, Default, PartialEq)]
pub(super) struct FileImports<'a> {
    /// Paths in `use` trees and in code. Those in code start with `crate`, `self` or `super`.
    pub(super) paths: Vec<PathUse<'a>>,
    /// Names that `use` brings into the file's module, with the paths they stand for.
    pub(super) bindings: Vec<(&'a str, Vec<&'a str>)>,
    /// Child modules that exist in tests only.
    pub(super) test_modules: Vec<&'a str>,
}

/// A path, and where it stands.
#[derive(Debug, PartialEq)]
pub(super) struct PathUse<'a> {
    /// Number of the line, from 1.
    pub(super) line: usize,
    pub(super) segments: Vec<&'a str>,
}

/// Reads the imports of a file, which must be valid Rust.
pub(super) fn read(text: &str) -> FileImports<'_> {
    let mut reader = Reader { tokens: tokens(text), at: 0, out: FileImports::default() };
    while reader.at < reader.tokens.len() {
        reader.step();
    }
    reader.out
}

struct Reader<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    out: FileImports<'a>,
}

impl<'a> Reader<'a> {
    fn step(&mut self) {
        if self.punct_at(0) == Some('#') {
            if self.skip_attribute() {
                self.skip_test_item();
            }
            return;
        }
        match self.ident_at(0) {
            Some("pub") if self.punct_at(1) == Some('(') => {
                self.at += 1;
                self.skip_group();
            }
            Some("use") => {
                self.at += 1;
                self.use_tree(&mut Vec::new());
            }
            Some("crate" | "super" | "self") => {
                let line = self.tokens[self.at].line;
                let segments = self.path();
                if segments.len() > 1 {
                    self.out.paths.push(PathUse { line, segments });
                }
            }
            _ => self.at += 1,
        }
    }

    /// Skips an attribute. Returns whether it is `#[cfg(test)]`.
    fn skip_attribute(&mut self) -> bool {
        self.at += 1;
        if self.punct_at(0) == Some('!') {
            self.at += 1;
        }
        let start = self.at;
        self.skip_group();
        let inner: Vec<_> = self.tokens[start..self.at].iter().map(|token| token.kind).collect();
        let cfg_test = tokens("[cfg(test)]");
        inner == cfg_test.iter().map(|token| token.kind).collect::<Vec<_>>()
    }

    /// Skips an item of test code, after its attribute `#[cfg(test)]`. Notes the item if it is a
    /// module in a file of its own.
    fn skip_test_item(&mut self) {
        while self.punct_at(0) == Some('#') {
            self.skip_attribute();
        }
        if let (Some("mod"), Some(name), Some(';')) =
            (self.ident_at(0), self.ident_at(1), self.punct_at(2))
        {
            self.out.test_modules.push(name);
        }
        while self.at < self.tokens.len() {
            match self.punct_at(0) {
                Some(';') => {
                    self.at += 1;
                    return;
                }
                Some('{') => return self.skip_group(),
                Some('(' | '[') => self.skip_group(),
                _ => self.at += 1,
            }
        }
    }

    /// Skips a group in brackets that starts here.
    fn skip_group(&mut self) {
        let mut depth = 0;
        while self.at < self.tokens.len() {
            match self.punct_at(0) {
                Some('(' | '[' | '{') => depth += 1,
                Some(')' | ']' | '}') => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    /// Reads one tree of a `use`, whose paths begin with `prefix`. Does not read the token that
    /// ends the tree.
    fn use_tree(&mut self, prefix: &mut Vec<&'a str>) {
        let len = prefix.len();
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        loop {
            match (self.ident_at(0), self.punct_at(0)) {
                (Some(name), _) => {
                    prefix.push(name);
                    self.at += 1;
                    if self.is_separator() {
                        self.at += 1;
                        continue;
                    }
                    self.end_of_path(line, prefix);
                }
                (_, Some('{')) => {
                    self.at += 1;
                    while !matches!(self.punct_at(0), Some('}') | None)
                        || self.ident_at(0).is_some()
                    {
                        if self.punct_at(0) == Some(',') {
                            self.at += 1;
                        } else {
                            self.use_tree(prefix);
                        }
                    }
                    self.at += 1;
                }
                (_, Some('*')) => {
                    self.at += 1;
                    self.out.paths.push(PathUse { line, segments: prefix.clone() });
                }
                _ if self.is_separator() => {
                    self.at += 1; // a path that starts with `::`
                    continue;
                }
                _ => self.at += 1,
            }
            prefix.truncate(len);
            return;
        }
    }

    /// Records a path of a `use` and the name to which it is bound.
    fn end_of_path(&mut self, line: usize, path: &[&'a str]) {
        let is_self = path.len() > 1 && path.last() == Some(&"self");
        let segments = if is_self { &path[..path.len() - 1] } else { path };
        let mut name = segments.last().copied();
        if self.ident_at(0) == Some("as") {
            name = self.ident_at(1);
            self.at += 2;
        }
        self.out.paths.push(PathUse { line, segments: segments.to_vec() });
        self.out.bindings.extend(name.map(|name| (name, segments.to_vec())));
    }

    /// Reads a path in code and returns its segments.
    fn path(&mut self) -> Vec<&'a str> {
        let mut segments = Vec::new();
        while let Some(name) = self.ident_at(0) {
            segments.push(name);
            self.at += 1;
            if !self.is_separator() {
                break;
            }
            self.at += 1;
        }
        segments
    }

    fn is_separator(&self) -> bool {
        self.tokens.get(self.at).is_some_and(|token| token.kind == Kind::PathSeparator)
    }

    fn ident_at(&self, ahead: usize) -> Option<&'a str> {
        match self.tokens.get(self.at + ahead)?.kind {
            Kind::Ident(name) => Some(name),
            _ => None,
        }
    }

    fn punct_at(&self, ahead: usize) -> Option<char> {
        match self.tokens.get(self.at + ahead)?.kind {
            Kind::Punct(punct) => Some(punct),
            _ => None,
        }
    }
}
