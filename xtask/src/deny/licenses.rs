//! Rules about licences: the SPDX expression of every crate must be satisfied by the allowed
//! licences.

use anyhow::{Result, bail};

use super::graph::{Graph, Package};
use super::policy::Licenses;

/// Returns one line for each violation.
pub(super) fn check(licenses: &Licenses, graph: &Graph) -> Vec<String> {
    graph.packages.iter().filter_map(|package| find_violation(licenses, package)).collect()
}

fn find_violation(licenses: &Licenses, package: &Package) -> Option<String> {
    let Some(expression) = &package.license else {
        return Some(format!("{package} has no licence expression in its manifest"));
    };
    let exceptions = licenses.exceptions.iter().filter(|exception| exception.spec.matches(package));
    let allowed: Vec<&String> =
        exceptions.flat_map(|exception| &exception.allow).chain(&licenses.allow).collect();
    let is_allowed = |license: &str| allowed.iter().any(|allowed| *allowed == license);
    match is_satisfied(expression, &is_allowed) {
        Ok(true) => None,
        Ok(false) => Some(format!("{package} has the licence {expression}, which is not allowed")),
        Err(error) => Some(format!("{package} has the licence {expression:?}: {error}")),
    }
}

/// Returns whether the allowed licences satisfy an SPDX expression. Accepts `/` for `OR`, as older
/// crates write it. A licence `WITH` an exception is one licence.
///
/// # Errors
/// Fails if the text is not an SPDX expression.
pub(super) fn is_satisfied(expression: &str, is_allowed: &dyn Fn(&str) -> bool) -> Result<bool> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { words: &words, is_allowed };
    let satisfied = parser.any()?;
    match parser.words {
        [] => Ok(satisfied),
        [word, ..] => bail!("`{word}` is not expected there"),
    }
}

/// A recursive-descent parser that evaluates while it parses.
struct Parser<'a> {
    /// The rest of the expression.
    words: &'a [&'a str],
    is_allowed: &'a dyn Fn(&str) -> bool,
}

impl<'a> Parser<'a> {
    /// `all OR all …`
    fn any(&mut self) -> Result<bool> {
        let mut satisfied = self.all()?;
        while self.skip("OR") {
            satisfied |= self.all()?;
        }
        Ok(satisfied)
    }

    /// `term AND term …`
    fn all(&mut self) -> Result<bool> {
        let mut satisfied = self.term()?;
        while self.skip("AND") {
            satisfied &= self.term()?;
        }
        Ok(satisfied)
    }

    /// `( any )`, `LICENCE` or `LICENCE WITH EXCEPTION`
    fn term(&mut self) -> Result<bool> {
        if self.skip("(") {
            let satisfied = self.any()?;
            if !self.skip(")") {
                bail!("a parenthesis is not closed");
            }
            return Ok(satisfied);
        }
        let license = self.identifier()?;
        if self.skip("WITH") {
            let exception = self.identifier()?;
            return Ok((self.is_allowed)(&format!("{license} WITH {exception}")));
        }
        Ok((self.is_allowed)(license))
    }

    fn identifier(&mut self) -> Result<&'a str> {
        match self.words {
            [word, rest @ ..] if !matches!(*word, "AND" | "OR" | "WITH" | "(" | ")") => {
                self.words = rest;
                Ok(word)
            }
            [word, ..] => bail!("a licence is expected before `{word}`"),
            [] => bail!("a licence is expected at the end"),
        }
    }

    /// Skips the next word if it is this one.
    fn skip(&mut self, word: &str) -> bool {
        let is_next = self.words.first() == Some(&word);
        if is_next {
            self.words = &self.words[1..];
        }
        is_next
    }
}
