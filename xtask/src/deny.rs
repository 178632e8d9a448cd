//! Checks the dependencies against `deny.toml`, for machines without cargo-deny.
//!
//! Supports the part of cargo-deny that this repository uses: the bans, licences and sources of the
//! crates in `cargo metadata`. A key of `deny.toml` that is not supported here is an error, so that
//! no rule is ignored silently.

mod bans;
mod graph;
mod licenses;
mod policy;
mod sources;

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::shell;
use graph::Graph;
use policy::Policy;

/// The file with the rules, relative to the root of the repository.
const POLICY: &str = "deny.toml";

/// Checks every crate in the dependency graph, including build and dev dependencies.
///
/// # Errors
/// Fails if a crate breaks a rule, `deny.toml` has a key that is not supported, or `cargo metadata`
/// fails.
pub(crate) fn check() -> Result<()> {
    let text = fs::read_to_string(shell::root().join(POLICY))
        .with_context(|| format!("cannot read {POLICY}"))?;
    let policy = Policy::parse(&text).with_context(|| format!("cannot read {POLICY}"))?;
    let graph = Graph::load(&policy.graph)?;
    let findings = find_violations(&policy, &graph);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} violations of {POLICY}, listed above", findings.len());
    }
    println!("{} crates conform to {POLICY}", graph.packages.len());
    Ok(())
}

/// Returns one line of text for each violation of a rule.
fn find_violations(policy: &Policy, graph: &Graph) -> Vec<String> {
    let mut findings = bans::check(&policy.bans, graph);
    findings.extend(licenses::check(&policy.licenses, graph));
    findings.extend(sources::check(&policy.sources, graph));
    findings
}

#[cfg(test)]
mod tests;
