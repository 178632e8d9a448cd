//! The limit of open files.

use anyhow::{Context as _, Result, bail};

use crate::plan::Row;

/// Files that are open besides the connections, in the server or here.
const OTHER_FILES: u64 = 200;

/// Raises this process's limit, which its servers inherit, as far as it may be, and says so when
/// that is not enough for the rows.
pub(crate) fn raise_for(rows: &[&Row]) -> Result<()> {
    let limit = rlimit::increase_nofile_limit(u64::MAX).context("cannot raise the file limit")?;
    check(rows, limit)
}

fn check(rows: &[&Row], limit: u64) -> Result<()> {
    let Some(largest) = rows.iter().max_by_key(|row| row.connections) else { return Ok(()) };
    let needed = largest.connections as u64 + OTHER_FILES;
    if limit < needed {
        bail!(
            "row {} opens {} connections: it needs {needed} open files, {limit} are allowed here \
             (raise the hard limit: `ulimit -Hn`), or leave it out with --rows",
            largest.name,
            largest.connections,
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_low_a_limit_names_the_row_and_what_it_needs() {
        let row = |name| Row::named(name).unwrap();
        let rows = [row("board"), row("idle")];
        check(&rows, 20_000).unwrap();
        check(&rows[..1], 4_096).unwrap();
        let error = check(&rows, 4_096).unwrap_err().to_string();
        assert!(error.starts_with("row idle opens 10000 connections: it needs 10200"), "{error}");
    }
}
