//! Installs Debian packages that a test or a benchmark needs.

use std::fs::File;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail};

use crate::{shell, target};

/// Installs a package with apt-get.
///
/// # Errors
/// Fails if apt-get is missing or fails, or this user is neither root nor able to become root
/// without a password.
pub(crate) fn install(package: &str) -> Result<()> {
    if shell::find_program("apt-get").is_none() {
        bail!("{package} is missing, and so is apt-get to install it with");
    }
    let as_root = as_root().with_context(|| format!("installing {package}"))?;
    // Steps run at the same time, and apt-get fails where another one is running.
    let lock = File::create(target::folder()?.join("apt.lock")).context("cannot make apt.lock")?;
    lock.lock().context("cannot lock apt.lock")?;
    shell::run(&mut apt_get(as_root, &["update"]))?;
    shell::run(&mut apt_get(as_root, &["install", "-y", "--no-install-recommends", package]))
}

/// Returns the words in front of a command that needs root: none for root, otherwise `sudo` without
/// a prompt.
fn as_root() -> Result<&'static [&'static str]> {
    let Output { stdout, .. } = Command::new("id").arg("-u").output().context("`id -u` failed")?;
    if stdout.trim_ascii() == b"0" {
        return Ok(&[]);
    }
    if !shell::succeeds(Command::new("sudo").args(["-n", "true"])) {
        bail!("apt-get needs root, or sudo without a password");
    }
    Ok(&["sudo", "-n"])
}

/// Returns the command `apt-get ARGS` without prompts. `env` sets the variable because sudo drops
/// the environment.
fn apt_get(as_root: &[&str], args: &[&str]) -> Command {
    let words = [as_root, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"], args].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apt_get_does_not_prompt_under_sudo() {
        let command = apt_get(&["sudo", "-n"], &["install", "x"]);
        assert_eq!(command.get_program(), "sudo");
        let args: Vec<_> = command.get_args().collect();
        assert_eq!(
            args,
            ["-n", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "x"]
        );
    }
}
