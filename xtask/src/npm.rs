//! npm, and the packages that it installs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result};

use crate::shell;

/// The file that npm writes last when it installs packages.
const INSTALLED: &str = "node_modules/.package-lock.json";

/// Returns whether npm is on `PATH`.
pub(crate) fn is_present() -> bool {
    shell::find_program("npm").is_some()
}

/// Returns the command `npm ARGS`, to be run in a folder of the repository.
///
/// # Errors
/// Fails if npm is not on `PATH`.
pub(crate) fn npm(folder: &str, args: &[&str]) -> Result<Command> {
    let program = shell::find_program("npm")
        .context("npm was not found: this needs Node.js 20.19 or later (https://nodejs.org)")?;
    let mut command = Command::new(program);
    command.args(args).current_dir(shell::root().join(folder));
    Ok(command)
}

/// Installs the packages in a folder's lock file with `npm ci OPTIONS`, unless they are installed.
///
/// # Errors
/// Fails if npm is missing, or a package cannot be installed.
pub(crate) fn install_packages(folder: &str, options: &[&str]) -> Result<()> {
    let path = shell::root().join(folder);
    let sources = ["package.json", "package-lock.json"].map(|name| path.join(name));
    if is_newer(&path.join(INSTALLED), &sources) {
        return Ok(());
    }
    let args = [&["ci", "--no-audit", "--no-fund"], options].concat();
    shell::run(&mut npm(folder, &args)?)
        .with_context(|| format!("the packages of {folder} could not be installed"))
}

/// Returns whether a file exists and is newer than all sources, which are files, or folders with
/// all that they contain.
pub(crate) fn is_newer(file: &Path, sources: &[PathBuf]) -> bool {
    let Some(built) = modified(file) else { return false };
    let mut sources = sources.to_vec();
    while let Some(path) = sources.pop() {
        if modified(&path).is_some_and(|time| time >= built) {
            return false;
        }
        if let Ok(entries) = fs::read_dir(&path) {
            sources.extend(entries.flatten().map(|entry| entry.path()));
        }
    }
    true
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Sets the modification time of a file or folder, in seconds since the Unix epoch.
    fn set_modified(path: &Path, seconds: u64) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        fs::File::open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn built_file_is_up_to_date_until_a_source_changes() {
        let folder = tempfile::tempdir().unwrap();
        let built = folder.path().join("index.html");
        let source = folder.path().join("src");
        let file = source.join("main.ts");
        let sources = [source.clone(), folder.path().join("missing")];
        fs::create_dir(&source).unwrap();
        fs::write(&file, "").unwrap();
        set_modified(&file, 1);
        set_modified(&source, 1);
        assert!(!is_newer(&built, &sources), "nothing is built yet");

        fs::write(&built, "").unwrap();
        set_modified(&built, 2);
        assert!(is_newer(&built, &sources));

        set_modified(&file, 3);
        assert!(!is_newer(&built, &sources), "a file was changed");

        set_modified(&file, 1);
        set_modified(&source, 3);
        assert!(!is_newer(&built, &sources), "a file was removed from the folder");
    }
}
