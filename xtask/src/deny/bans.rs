//! Rules about versions: no duplicates, no wildcards, no banned crates.

use std::collections::BTreeMap;

use super::graph::{Graph, Package};
use super::policy::Bans;

/// Returns one line of text for each violation of the rules about versions.
pub(super) fn check(bans: &Bans, graph: &Graph) -> Vec<String> {
    let mut findings = find_duplicates(bans, graph);
    for package in &graph.packages {
        findings.extend(find_wildcards(bans, package));
        let rules = bans.deny.iter().filter(|rule| rule.spec.matches(package));
        findings.extend(rules.map(|rule| {
            let dependents = graph.dependents(package);
            format!("{package} is banned ({}); dependents: {dependents}", rule.reason)
        }));
    }
    findings
}

fn find_duplicates(bans: &Bans, graph: &Graph) -> Vec<String> {
    let mut versions: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
    for package in &graph.packages {
        if !bans.skip.iter().any(|rule| rule.spec.matches(package)) {
            versions.entry(&package.name).or_default().push(package);
        }
    }
    let duplicates = versions.into_iter().filter(|(_, packages)| packages.len() > 1);
    let mut findings: Vec<String> = duplicates
        .map(|(name, packages)| {
            let uses: Vec<String> = packages
                .iter()
                .map(|package| format!("{} (for {})", package.version, graph.dependents(package)))
                .collect();
            let uses = uses.join(", ");
            format!("{name} has several versions: {uses}; update a dependent, or skip one version")
        })
        .collect();
    let is_used = |spec: &super::policy::CrateSpec| graph.packages.iter().any(|p| spec.matches(p));
    let unused = bans.skip.iter().filter(|rule| !is_used(&rule.spec));
    findings.extend(unused.map(|rule| {
        format!("the skip of {} ({}) matches no crate; remove it", rule.spec, rule.reason)
    }));
    findings
}

fn find_wildcards(bans: &Bans, package: &Package) -> Vec<String> {
    let wildcards = package.dependencies.iter().filter(|dependency| dependency.req == "*");
    let forbidden = wildcards.filter(|dependency| {
        !(bans.allow_wildcard_paths && dependency.path.is_some() && package.is_private())
    });
    forbidden
        .map(|dependency| {
            format!("{package} accepts any version of {}; name a version", dependency.name)
        })
        .collect()
}
