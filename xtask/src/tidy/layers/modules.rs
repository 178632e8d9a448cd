//! The modules of a crate by file, and which file each import leads to.

use std::collections::{BTreeMap, VecDeque};

use super::imports::{self, FileImports};

/// The modules of a crate, test modules excepted. A module is known by its index; 0 is the root.
#[derive(Debug)]
pub(super) struct ModuleTree<'a> {
    modules: Vec<Module<'a>>,
    by_path: BTreeMap<Vec<&'a str>, usize>,
}

#[derive(Debug)]
struct Module<'a> {
    /// Names of the modules from the root to this one.
    path: Vec<&'a str>,
    /// Path of the file from the root of the repository.
    file: String,
    imports: FileImports<'a>,
}

/// An import of an item that another file of the crate defines. `from` and `to` are the indices of
/// the modules.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Import {
    pub(super) from: usize,
    pub(super) to: usize,
    /// Line of the import, from 1.
    pub(super) line: usize,
}

/// The most re-exports to follow for one path. More of them form a cycle.
const REEXPORTS_MAX: usize = 16;

impl<'a> ModuleTree<'a> {
    /// Builds the tree from files, each given as its path below the crate's source folder and its
    /// text.
    pub(super) fn new(files: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut modules: Vec<_> = files
            .map(|(file, text)| Module {
                path: module_path(file),
                file: format!("{}{file}", super::ROOT),
                imports: imports::read(text),
            })
            .collect();
        let tests: Vec<Vec<&str>> = modules
            .iter()
            .flat_map(|module| {
                let child = |name| module.path.iter().copied().chain([name]).collect();
                module.imports.test_modules.iter().copied().map(child)
            })
            .collect();
        modules.retain(|module| !tests.iter().any(|test| module.path.starts_with(test)));
        modules.sort_by(|a, b| a.path.cmp(&b.path));
        let by_path = (0..).zip(&modules).map(|(index, module)| (module.path.clone(), index));
        Self { by_path: by_path.collect(), modules }
    }

    pub(super) fn modules(&self) -> impl Iterator<Item = usize> {
        0..self.modules.len()
    }

    /// Returns the names of the modules from the root to this one; empty for the root.
    pub(super) fn path(&self, module: usize) -> &[&'a str] {
        &self.modules[module].path
    }

    /// Returns the path of the module's file from the root of the repository.
    pub(super) fn file(&self, module: usize) -> &str {
        &self.modules[module].file
    }

    /// Returns all imports from one file of the crate to another.
    pub(super) fn imports(&self) -> Vec<Import> {
        let mut found = Vec::new();
        for from in self.modules() {
            for path in &self.modules[from].imports.paths {
                match self.resolve(from, &path.segments, REEXPORTS_MAX) {
                    Some(to) if to != from => found.push(Import { from, to, line: path.line }),
                    _ => {}
                }
            }
        }
        found
    }

    /// Returns the module that defines the item to which a path in `module` leads; `None` for an
    /// item of another crate.
    fn resolve(&self, module: usize, segments: &[&'a str], reexports_max: usize) -> Option<usize> {
        let (first, rest) = segments.split_first()?;
        match *first {
            "crate" => self.walk(self.child(&[])?, rest, reexports_max),
            "self" => self.walk(module, rest, reexports_max),
            "super" => {
                let (_, parent) = self.path(module).split_last()?;
                let parent = self.child(parent)?;
                match rest.first() {
                    Some(&"super") => self.resolve(parent, rest, reexports_max),
                    _ => self.walk(parent, rest, reexports_max),
                }
            }
            first if self.child_of(module, first).is_some() => {
                self.walk(module, segments, reexports_max)
            }
            first => {
                let bound = self.binding(module, first).filter(|bound| bound[0] != first)?;
                self.follow(module, bound, rest, reexports_max)
            }
        }
    }

    /// Follows a path from a module down, through re-exports, and returns the module that defines
    /// the item.
    fn walk(&self, module: usize, segments: &[&'a str], reexports_max: usize) -> Option<usize> {
        let Some((first, rest)) = segments.split_first() else { return Some(module) };
        if let Some(child) = self.child_of(module, first) {
            return self.walk(child, rest, reexports_max);
        }
        match self.binding(module, first) {
            // Another crate's item, re-exported here, is not the business of this check.
            Some(bound) => self.follow(module, bound, rest, reexports_max).or(Some(module)),
            None => Some(module),
        }
    }

    fn follow(
        &self,
        module: usize,
        bound: &[&'a str],
        rest: &[&'a str],
        reexports_max: usize,
    ) -> Option<usize> {
        let whole: Vec<_> = bound.iter().chain(rest).copied().collect();
        self.resolve(module, &whole, reexports_max.checked_sub(1)?)
    }

    fn binding(&self, module: usize, name: &str) -> Option<&[&'a str]> {
        let mut bindings = self.modules[module].imports.bindings.iter();
        bindings.find(|(bound, _)| *bound == name).map(|(_, path)| path.as_slice())
    }

    fn child(&self, path: &[&str]) -> Option<usize> {
        self.by_path.get(path).copied()
    }

    fn child_of(&self, module: usize, name: &str) -> Option<usize> {
        let path: Vec<_> = self.path(module).iter().copied().chain([name]).collect();
        self.child(&path)
    }

    /// Returns the lowest common ancestor of two modules, and the children of the ancestor that
    /// contain them. Returns `None` if one module contains the other.
    pub(super) fn siblings(&self, one: usize, other: usize) -> Option<(usize, usize, usize)> {
        let one = self.path(one);
        let other = self.path(other);
        let common = one.iter().zip(other).take_while(|(a, b)| a == b).count();
        let child = |path: &[&str]| self.child(path.get(..=common)?);
        Some((self.child(&one[..common])?, child(one)?, child(other)?))
    }
}

/// Returns the path of the module in a file: `a::b` for `a/b.rs`, empty for `lib.rs`.
fn module_path(file: &str) -> Vec<&str> {
    match file.trim_end_matches(".rs") {
        "lib" => Vec::new(),
        path => path.split('/').collect(),
    }
}

/// Returns the shortest cycle from `start` back to `start`, if there is one. `targets` returns the
/// nodes that a node leads to.
pub(super) fn shortest_cycle<T: Iterator<Item = usize>>(
    start: usize,
    targets: impl Fn(usize) -> T,
) -> Option<Vec<usize>> {
    let mut came_from = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for target in targets(at) {
            if target == start {
                let mut cycle = vec![at];
                while let Some(before) = came_from.get(&cycle[cycle.len() - 1]) {
                    cycle.push(*before);
                }
                cycle.reverse();
                return Some(cycle);
            }
            came_from.entry(target).or_insert_with(|| {
                queue.push_back(target);
                at
            });
        }
    }
    None
}
