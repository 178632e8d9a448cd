//! Running other programs: shown before they start, an error unless they succeed.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask is a folder of the repository")
}

/// `cargo ARGS`, with the cargo that started this program.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command
}

/// `npm ARGS` in a folder of the repository.
///
/// # Errors
/// There is no npm.
pub(crate) fn npm(folder: &str, args: &[&str]) -> Result<Command> {
    let program = find_program("npm")
        .context("npm was not found: this needs Node.js 20 or newer (https://nodejs.org)")?;
    let mut command = Command::new(program);
    command.args(args).current_dir(root().join(folder));
    Ok(command)
}

/// Runs a command to its end, with its output going where ours goes.
///
/// # Errors
/// It does not start, or ends with anything but success.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = command_line(command);
    println!("$ {line}");
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("`{line}` could not be started"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// Whether a command runs and succeeds; its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The first program of that name on `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let file = format!("{name}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&path).map(|folder| folder.join(&file)).find(|program| program.is_file())
}

/// The command as one would type it at the root of the repository.
fn command_line(command: &Command) -> String {
    let mut words = Vec::new();
    let folder = command.get_current_dir().and_then(|folder| folder.strip_prefix(root()).ok());
    if let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) {
        words.push(format!("cd {} &&", folder.display()));
    }
    for (name, value) in command.get_envs() {
        words.push(format!("{}={}", name.display(), quoted(value.unwrap_or_default())));
    }
    let program = Path::new(command.get_program());
    words.push(quoted(program.file_stem().unwrap_or(program.as_os_str())));
    words.extend(command.get_args().map(quoted));
    words.join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.display().to_string();
    if word.contains(' ') { format!("'{word}'") } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut command = Command::new("/usr/bin/npm");
        command.args(["run", "test:page"]).current_dir(root().join("web"));
        command.env("FLAGS", "-D warnings");
        assert_eq!(command_line(&command), "cd web && FLAGS='-D warnings' npm run test:page");
        assert_eq!(command_line(&cargo(&["doc"])), "cargo doc");
    }

    #[test]
    fn a_failing_command_is_named_in_the_error() {
        let error = run(&mut Command::new("false")).unwrap_err().to_string();
        assert_eq!(error, "`false` ended with exit status: 1");
        let error = run(&mut Command::new("no-such-program")).unwrap_err().to_string();
        assert_eq!(error, "`no-such-program` could not be started");
    }
}
