//! The browser of the page test.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail};

use crate::shell;

/// Names a Chromium goes by, the most specific first.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The path of a Chromium: the one in `$CHROMIUM`, one on `PATH`, or one installed now by apt-get.
///
/// # Errors
/// There is none and it cannot be installed.
pub(crate) fn find_or_install() -> Result<PathBuf> {
    if let Some(path) = env::var_os("CHROMIUM").map(PathBuf::from) {
        if !path.is_file() {
            bail!("CHROMIUM={} is no file; it must be the path of a Chromium", path.display());
        }
        return Ok(path);
    }
    if let Some(path) = find() {
        return Ok(path);
    }
    println!("no Chromium on PATH: installing Debian's");
    install().context("no Chromium (install one, or set CHROMIUM to the path of one)")?;
    find().context("the package chromium is installed, yet there is no chromium on PATH")
}

fn find() -> Option<PathBuf> {
    NAMES.into_iter().find_map(shell::find_program)
}

fn install() -> Result<()> {
    if shell::find_program("apt-get").is_none() {
        bail!("there is no apt-get here to install Chromium with");
    }
    let as_root = as_root()?;
    shell::run(&mut apt_get(as_root, &["update"]))?;
    shell::run(&mut apt_get(as_root, &["install", "-y", "--no-install-recommends", "chromium"]))
}

/// What goes before a command that needs root: nothing for root, else sudo that asks nothing.
fn as_root() -> Result<&'static [&'static str]> {
    let Output { stdout, .. } = Command::new("id").arg("-u").output().context("`id -u` failed")?;
    if stdout.trim_ascii() == b"0" {
        return Ok(&[]);
    }
    if !shell::succeeds(Command::new("sudo").args(["-n", "true"])) {
        bail!("installing Chromium needs root, or sudo without a password");
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
        let command = apt_get(&["sudo", "-n"], &["update"]);
        assert_eq!(command.get_program(), "sudo");
        let args: Vec<_> = command.get_args().collect();
        assert_eq!(args, ["-n", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "update"]);
    }
}
