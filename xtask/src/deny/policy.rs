//! The rules of `deny.toml`. <https://embarkstudios.github.io/cargo-deny> documents the format.

use anyhow::Result;
use serde::Deserialize;

use super::graph::Package;

/// All tables of `deny.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Policy {
    pub(super) graph: GraphOptions,
    pub(super) licenses: Licenses,
    pub(super) bans: Bans,
    pub(super) sources: Sources,
    /// Rules for `cargo deny check advisories`, which is not done here: that needs a database.
    #[serde(rename = "advisories")]
    _advisories: Option<toml::Table>,
}

/// Which part of the dependency graph the rules cover.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct GraphOptions {
    /// Target triples. A dependency that no target needs is not checked.
    pub(super) targets: Vec<String>,
    pub(super) all_features: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Licenses {
    /// SPDX identifiers that every crate may use.
    pub(super) allow: Vec<String>,
    #[serde(default)]
    pub(super) exceptions: Vec<LicenseException>,
    /// How well a licence text must match its original. Texts are not compared here.
    #[serde(rename = "confidence-threshold")]
    _confidence_threshold: Option<f64>,
}

/// Licences that one crate may use beside [`Licenses::allow`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LicenseException {
    #[serde(rename = "crate")]
    pub(super) spec: CrateSpec,
    pub(super) allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Bans {
    #[serde(rename = "multiple-versions")]
    _multiple_versions: Deny,
    #[serde(rename = "wildcards")]
    _wildcards: Deny,
    /// Whether a crate that is not published may depend on a path without a version.
    #[serde(default)]
    pub(super) allow_wildcard_paths: bool,
    /// Versions that do not count as duplicates.
    #[serde(default)]
    pub(super) skip: Vec<CrateRule>,
    /// Crates that must not be in the graph.
    #[serde(default)]
    pub(super) deny: Vec<CrateRule>,
}

/// A rule for one crate, with the reason for the rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CrateRule {
    #[serde(rename = "crate")]
    pub(super) spec: CrateSpec,
    pub(super) reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Sources {
    #[serde(rename = "unknown-registry")]
    _unknown_registry: Deny,
    #[serde(rename = "unknown-git")]
    _unknown_git: Deny,
    pub(super) allow_registry: Vec<String>,
    #[serde(default)]
    pub(super) allow_git: Vec<String>,
}

/// The only level supported for a rule: a violation fails the check.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Deny {
    Deny,
}

/// Names a crate, and optionally a version: `syn` or `syn@2`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(from = "String")]
pub(super) struct CrateSpec {
    name: String,
    /// A whole version or its first numbers: `2` stands for every 2.x.y.
    version: Option<String>,
}

impl Policy {
    pub(super) fn parse(text: &str) -> Result<Self> {
        Ok(toml::from_str(text)?)
    }
}

impl CrateSpec {
    pub(super) fn matches(&self, package: &Package) -> bool {
        let matches_version = |version: &String| {
            let rest = package.version.strip_prefix(version.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.name == package.name && self.version.as_ref().is_none_or(matches_version)
    }
}

impl From<String> for CrateSpec {
    fn from(text: String) -> Self {
        match text.split_once('@') {
            Some((name, version)) => {
                Self { name: name.to_owned(), version: Some(version.to_owned()) }
            }
            None => Self { name: text, version: None },
        }
    }
}

impl std::fmt::Display for CrateSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => f.write_str(&self.name),
        }
    }
}
