//! Rules about sources: crates come from paths, or from the registries and git repositories
//! allowed.

use super::graph::{Graph, Package};
use super::policy::Sources;

/// Returns one line of text for each crate from a source that is not allowed.
pub(super) fn check(sources: &Sources, graph: &Graph) -> Vec<String> {
    graph.packages.iter().filter_map(|package| find_violation(sources, package)).collect()
}

fn find_violation(sources: &Sources, package: &Package) -> Option<String> {
    let source = package.source.as_ref()?;
    let (kind, address) = source.split_once('+').unwrap_or(("", source));
    // A git source ends in the branch, if one is named, and the commit.
    let address = address.split(['?', '#']).next().unwrap_or(address);
    let allowed = if kind == "git" { &sources.allow_git } else { &sources.allow_registry };
    let is_allowed = allowed.iter().any(|allowed| allowed == address);
    (!is_allowed).then(|| format!("{package} comes from {source}, which is not an allowed source"))
}
