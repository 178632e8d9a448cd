//! The layers of the hub: which module may import from which.
//!
//! The check reads the imports of every file of `crates/hub/src`, test code excepted, and follows
//! re-exports to the file that defines the item. It reports three kinds of findings:
//!
//! - an import from a higher layer of [`LAYERS`];
//! - an import cycle between sibling modules, where each module counts with everything below it. A
//!   module and its own descendants may import from each other;
//! - the state of the whole hub (`HubState`) named outside of `server`.

mod imports;
mod lexer;
mod modules;

use std::collections::BTreeMap;

use super::{Finding, Source};
use modules::{Import, ModuleTree};

/// The top-level modules of the hub, from the lowest layer to the highest. A module imports only
/// from modules that stand before it.
const LAYERS: &[&str] = &[
    "clock",          // the only access to the system's clocks
    "suspension",     // whether the process did not run for a while, pure
    "fanout",         // the pure core
    "websocket",      // frames and messages of clients
    "bars",           // bars made of trades, pure
    "config",         // settings and their limits
    "retry",          // delays announced at shutdown
    "log_rate_limit", // limits repeated log lines
    "metrics",        // counters
    "durable",        // the log on disk
    "state",          // state shared by ingest and serving
    "access",         // admission, authentication, keys
    "ingest",         // publishers and the router
    "serving",        // timelines, shard loops and their helpers
    "http",           // the front
    "server",         // start and stop
];

/// Sources of the crate whose layers are checked.
const ROOT: &str = "crates/hub/src/";

/// The state of the whole hub, which only [`STATE_OWNER`] may name.
const STATE: &str = concat!("Hub", "State");

/// The one module that may name [`STATE`].
const STATE_OWNER: &str = "server";

/// Checks the hub's modules among `sources`.
pub(super) fn check(sources: &[Source<'_>]) -> Vec<Finding> {
    let files = sources
        .iter()
        .filter(|source| source.path.strip_prefix(ROOT).is_some_and(|path| path.ends_with(".rs")));
    let tree = ModuleTree::new(files.clone().map(|file| (&file.path[ROOT.len()..], file.text)));
    let imports = tree.imports();
    let mut findings = find_unlisted(&tree);
    findings.extend(imports.iter().filter_map(|import| find_upward(&tree, import)));
    findings.extend(find_cycles(&tree, &imports));
    findings.extend(files.flat_map(find_state));
    findings
}

/// Returns a finding for each top-level module that has no layer.
fn find_unlisted(tree: &ModuleTree<'_>) -> Vec<Finding> {
    let unlisted = tree.modules().filter_map(|module| {
        let [name] = tree.path(module) else { return None };
        (!LAYERS.contains(name)).then(|| {
            finding(tree.file(module), 1, format!("`{name}` has no layer; add it to LAYERS"))
        })
    });
    unlisted.collect()
}

/// Returns a finding if the import is from a higher layer.
fn find_upward(tree: &ModuleTree<'_>, import: &Import) -> Option<Finding> {
    let from = tree.path(import.from).first()?;
    let to = tree.path(import.to).first()?;
    let layer = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    (layer(to)? > layer(from)?).then(|| {
        let message = format!(
            "`{from}` imports from `{to}`, a higher layer; move the item down, or hand it in as an \
             argument"
        );
        finding(tree.file(import.from), import.line, message)
    })
}

/// Returns a finding for each import cycle between sibling modules.
fn find_cycles(tree: &ModuleTree<'_>, imports: &[Import]) -> Vec<Finding> {
    // By parent, the imports between the subtrees of two of its children.
    let mut levels: BTreeMap<usize, BTreeMap<(usize, usize), &Import>> = BTreeMap::new();
    for import in imports {
        if let Some((parent, from, to)) = tree.siblings(import.from, import.to) {
            levels.entry(parent).or_default().entry((from, to)).or_insert(import);
        }
    }
    let mut findings = Vec::new();
    // A cycle between top-level modules contains an import from a higher layer, which is reported.
    levels.retain(|parent, _| !tree.path(*parent).is_empty());
    for edges in levels.into_values() {
        let targets =
            |of: usize| edges.keys().filter(move |(from, _)| *from == of).map(|(_, to)| *to);
        let mut reported = Vec::new();
        for start in tree.modules() {
            let Some(cycle) = modules::shortest_cycle(start, targets) else { continue };
            if cycle.iter().any(|module| reported.contains(module)) {
                continue;
            }
            reported.extend(&cycle);
            findings.push(describe_cycle(tree, &cycle, &edges));
        }
    }
    findings
}

fn describe_cycle(
    tree: &ModuleTree<'_>,
    cycle: &[usize],
    edges: &BTreeMap<(usize, usize), &Import>,
) -> Finding {
    let next = cycle.iter().cycle().skip(1);
    let steps: Vec<_> = cycle.iter().zip(next).map(|(from, to)| edges[&(*from, *to)]).collect();
    let shown: Vec<_> = steps
        .iter()
        .map(|step| {
            let from = tree.file(step.from);
            let to = tree.file(step.to);
            format!("{}:{} imports {}", &from[ROOT.len()..], step.line, &to[ROOT.len()..])
        })
        .collect();
    let message =
        format!("import cycle: {}; move what both need into a file below", shown.join(", "));
    finding(tree.file(steps[0].from), steps[0].line, message)
}

/// Returns a finding for each mention of [`STATE`] outside of [`STATE_OWNER`].
fn find_state(source: &Source<'_>) -> Vec<Finding> {
    let path = &source.path[ROOT.len()..];
    if path == format!("{STATE_OWNER}.rs") || path.starts_with(&format!("{STATE_OWNER}/")) {
        return Vec::new();
    }
    let mentions = lexer::tokens(source.text).into_iter().filter(|token| token.is_ident(STATE));
    let message = format!("`{STATE}` outside of `{STATE_OWNER}`; take the parts that are used");
    mentions.map(|token| finding(source.path, token.line, message.clone())).collect()
}

fn finding(path: impl Into<String>, line: usize, message: String) -> Finding {
    Finding { path: path.into(), line, message }
}

#[cfg(test)]
mod tests;
