//! The dependency graph, as `cargo metadata` prints it.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::policy::GraphOptions;
use crate::shell;

/// Every crate that a target needs, with the dependencies between them.
#[derive(Debug, Deserialize)]
pub(super) struct Graph {
    pub(super) packages: Vec<Package>,
    resolve: Resolve,
}

/// One version of a crate.
#[derive(Debug, Deserialize)]
pub(super) struct Package {
    id: String,
    pub(super) name: String,
    pub(super) version: String,
    /// An SPDX expression.
    pub(super) license: Option<String>,
    /// Where the crate comes from, such as `registry+https://…`; `None` for a path.
    pub(super) source: Option<String>,
    pub(super) dependencies: Vec<Requirement>,
    /// The registries to which the crate may be published; `None` for all.
    publish: Option<Vec<String>>,
}

/// A dependency in a crate's manifest.
#[derive(Debug, Deserialize)]
pub(super) struct Requirement {
    pub(super) name: String,
    /// The accepted versions, such as `^1.2`; `*` for all.
    pub(super) req: String,
    pub(super) path: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

/// The dependencies of one crate in the graph.
#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    /// The identifiers of the crates that it depends on.
    dependencies: Vec<String>,
}

impl Graph {
    /// Returns the graph that `cargo metadata` prints.
    ///
    /// # Errors
    /// Fails if cargo fails: `Cargo.lock` is not up to date, or a crate cannot be downloaded.
    pub(super) fn load(options: &GraphOptions) -> Result<Self> {
        let mut command = shell::cargo(&["metadata", "--format-version", "1", "--locked"]);
        if options.all_features {
            command.arg("--all-features");
        }
        for target in &options.targets {
            command.args(["--filter-platform", target]);
        }
        let output = command
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("`cargo metadata` could not be started")?;
        if !output.status.success() {
            bail!("`cargo metadata` ended with {}", output.status);
        }
        let text = String::from_utf8(output.stdout).context("`cargo metadata` is not UTF-8")?;
        Self::parse(&text)
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).context("`cargo metadata` printed something unexpected")
    }

    /// Returns the crates that depend directly on a crate, as text: `axum 0.8.9, hyper 1.12.0`.
    pub(super) fn dependents(&self, package: &Package) -> String {
        let is_dependent = |node: &&Node| node.dependencies.contains(&package.id);
        let ids: Vec<&str> =
            self.resolve.nodes.iter().filter(is_dependent).map(|node| node.id.as_str()).collect();
        let dependents = self.packages.iter().filter(|package| ids.contains(&package.id.as_str()));
        dependents.map(Package::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl Package {
    /// Returns whether the crate must not be published to any registry.
    pub(super) fn is_private(&self) -> bool {
        self.publish.as_ref().is_some_and(Vec::is_empty)
    }
}

impl std::fmt::Display for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}
