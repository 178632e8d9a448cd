//! Runs other programs. Prints each command line first; a program that fails is an error.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Output, Stdio};

use anyhow::{Context as _, Result, bail};

/// Returns the root of the repository.
pub(crate) fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask is a folder of the repository")
}

/// Returns the command `cargo ARGS`, with the cargo that started this program.
///
/// It does not inherit the variables that `cargo run` sets for this program. Build scripts of
/// dependencies depend on them, so a cargo that a user starts would build these again.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    for (name, _) in env::vars_os().filter(|(name, _)| is_of_package(name)) {
        command.env_remove(name);
    }
    command
}

/// Returns whether `cargo run` sets a variable to a property of the package that it runs.
fn is_of_package(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b"CARGO_PKG_") || name.starts_with(b"CARGO_MANIFEST_")
}

/// Runs a command and waits for its end. The command inherits standard output and standard error.
///
/// # Errors
/// Fails if the command cannot be started, or its exit status is not success.
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

/// Runs a command and returns what it prints to standard output.
///
/// # Errors
/// The command cannot be started, fails, or prints text that is not UTF-8.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().display().to_string();
    let Output { status, stdout, stderr } = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("`{program}` could not be started"))?;
    if !status.success() {
        bail!("`{program}` ended with {status}: {}", String::from_utf8_lossy(&stderr).trim());
    }
    String::from_utf8(stdout).with_context(|| format!("`{program}` printed text that is not UTF-8"))
}

/// Replaces this process with the command, so that a signal such as Ctrl-C reaches only the
/// command. On systems without `exec`, waits for the command's end and returns its exit code.
///
/// # Errors
/// Fails if the command cannot be started.
pub(crate) fn replace_process(command: &mut Command) -> Result<ExitCode> {
    let line = command_line(command);
    println!("$ {line}");
    #[cfg(unix)]
    let status: std::io::Result<ExitStatus> =
        Err(std::os::unix::process::CommandExt::exec(command));
    #[cfg(not(unix))]
    let status = command.status();
    Ok(exit_code(status.with_context(|| format!("`{line}` could not be started"))?))
}

/// Returns the exit code of a program that has ended; [`ExitCode::FAILURE`] if a signal ended it.
pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Returns whether a command can be started and succeeds. Drops its output.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Returns the path of the first program called `name` on `PATH`; `None` if there is none.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let file = format!("{name}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&path).map(|folder| folder.join(&file)).find(|program| program.is_file())
}

/// Returns the command as a user would type it at the root of the repository.
fn command_line(command: &Command) -> String {
    let mut words = Vec::new();
    let folder = command.get_current_dir().and_then(|folder| folder.strip_prefix(root()).ok());
    if let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) {
        words.push(format!("cd {} &&", folder.display()));
    }
    for (name, value) in command.get_envs() {
        words.extend(value.map(|value| format!("{}={}", name.display(), quoted(value))));
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
    fn command_is_shown_as_a_user_would_type_it() {
        let mut command = Command::new("/usr/bin/npm");
        command.args(["run", "test:page"]).current_dir(root().join("web"));
        command.env("FLAGS", "-D warnings");
        assert_eq!(command_line(&command), "cd web && FLAGS='-D warnings' npm run test:page");
        assert_eq!(command_line(&cargo(&["doc"])), "cargo doc");
    }

    #[test]
    fn error_names_the_command_that_failed() {
        let error = run(&mut Command::new("false")).unwrap_err().to_string();
        assert_eq!(error, "`false` ended with exit status: 1");
        let error = run(&mut Command::new("no-such-program")).unwrap_err().to_string();
        assert_eq!(error, "`no-such-program` could not be started");
    }
}
