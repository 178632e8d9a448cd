//! House rules that neither the compiler nor clippy knows, checked over every file of the
//! repository.
//!
//! Each finding says what to do. The rules are functions of a path and a text, so each is tested
//! on a text that breaks it.

mod layers;
mod rules;

use std::fmt;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::shell;
use rules::RULES;

/// A text file of the repository.
struct Source<'a> {
    /// Path from the root of the repository, with `/` as separator.
    path: &'a str,
    text: &'a str,
}

/// A violation of a rule, and where it is.
#[derive(Debug, PartialEq)]
struct Finding {
    path: String,
    /// Number of the line, from 1.
    line: usize,
    /// What is wrong, and what to do.
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Checks every file that git knows or would add.
///
/// # Errors
/// Fails if a rule is broken, or the files cannot be listed or read.
pub(crate) fn check() -> Result<()> {
    let files = list_files()?;
    let mut texts = Vec::new();
    for path in &files {
        let bytes = match fs::read(shell::root().join(path)) {
            Ok(bytes) => bytes,
            // Deleted, and the deletion not committed yet.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("cannot read {path}")),
        };
        // Skip files that are not UTF-8.
        let Ok(text) = String::from_utf8(bytes) else { continue };
        texts.push((path, text));
    }
    let sources: Vec<_> = texts.iter().map(|(path, text)| Source { path, text }).collect();
    let mut findings: Vec<_> = sources.iter().flat_map(apply_rules).collect();
    findings.extend(layers::check(&sources));
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings, listed above", findings.len());
    }
    println!("{} files checked", files.len());
    Ok(())
}

fn apply_rules(source: &Source<'_>) -> Vec<Finding> {
    RULES.iter().flat_map(|rule| rule(source)).collect()
}

/// Returns the paths of all files from the root of the repository, without those that `.gitignore`
/// excludes.
fn list_files() -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(shell::root())
        .output()
        .context("`git ls-files` could not be started: tidy needs git")?;
    if !output.status.success() {
        bail!("tidy needs a git clone: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let names = String::from_utf8(output.stdout).context("a file's name is not UTF-8")?;
    Ok(names.split_terminator('\0').map(str::to_owned).collect())
}
