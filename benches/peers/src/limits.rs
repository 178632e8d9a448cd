//! The limit of open files, which bounds the number of connections.

use anyhow::{Context as _, Result, bail};

use crate::workload::Workload;

/// Open files besides the connections, in a server or in this program.
const OTHER_FILES: u64 = 200;

/// Raises the limit of this process, which its servers inherit, as far as allowed.
///
/// # Errors
/// The limit is too low for one of the workloads.
pub(crate) fn raise_for(workloads: &[&Workload]) -> Result<()> {
    let limit = rlimit::increase_nofile_limit(u64::MAX).context("cannot raise the file limit")?;
    check(workloads, limit)
}

fn check(workloads: &[&Workload], limit: u64) -> Result<()> {
    let Some(largest) = workloads.iter().max_by_key(|workload| workload.connections) else {
        return Ok(());
    };
    let needed = largest.connections as u64 + OTHER_FILES;
    if limit < needed {
        bail!(
            "workload {} opens {} connections and needs {needed} open files, but the limit is {limit}; \
             raise the hard limit (`ulimit -Hn`), or leave the workload out with --workloads",
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
    fn limit_that_is_too_low_names_the_workload_and_its_needs() {
        let workload = |name| Workload::find(name).unwrap();
        let workloads = [workload("board"), workload("idle")];
        check(&workloads, 20_000).unwrap();
        check(&workloads[..1], 4_096).unwrap();
        let error = check(&workloads, 4_096).unwrap_err().to_string();
        assert!(
            error.starts_with("workload idle opens 10000 connections and needs 10200"),
            "{error}"
        );
    }
}
