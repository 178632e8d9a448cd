//! Debian's packages, for programs that a test or a measurement needs.

use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail};

use crate::shell;

/// Installs a package.
///
/// # Errors
/// There is no apt-get, no right to use it, or no such package.
pub(crate) fn install(package: &str) -> Result<()> {
    if shell::find_program("apt-get").is_none() {
        bail!("there is no apt-get here to install {package} with");
    }
    let as_root = as_root().with_context(|| format!("installing {package}"))?;
    shell::run(&mut apt_get(as_root, &["update"]))?;
    shell::run(&mut apt_get(as_root, &["install", "-y", "--no-install-recommends", package]))
}

/// What goes before a command that needs root: nothing for root, else sudo that asks nothing.
fn as_root() -> Result<&'static [&'static str]> {
    let Output { stdout, .. } = Command::new("id").arg("-u").output().context("`id -u` failed")?;
    if stdout.trim_ascii() == b"0" {
        return Ok(&[]);
    }
    if !shell::succeeds(Command::new("sudo").args(["-n", "true"])) {
        bail!("that needs root, or sudo without a password");
    }
    Ok(&["sudo", "-n"])
}

/// `apt-get ARGS` that never asks; through `env`, since sudo drops the environment.
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
    fn apt_get_asks_nothing_under_sudo() {
        let command = apt_get(&["sudo", "-n"], &["install", "x"]);
        assert_eq!(command.get_program(), "sudo");
        let args: Vec<_> = command.get_args().collect();
        assert_eq!(
            args,
            ["-n", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "x"]
        );
    }
}
