//! Environments of Python packages, below the build folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{apt, shell};

/// The Python of an environment in that folder which has the packages of that requirements file, given as text; made
/// now if there is none.
///
/// # Errors
/// There is no Python 3 with venv and pip and none to be had, or a package cannot be installed.
pub(crate) fn environment(folder: &Path, requirements: &str) -> Result<PathBuf> {
    let (python, installed) = (folder.join("bin/python"), folder.join("installed.txt"));
    if fs::read_to_string(&installed).is_ok_and(|text| text == requirements) {
        return Ok(python);
    }
    let make = || {
        let mut command = Command::new("python3");
        command.args(["-m", "venv", "--clear"]).arg(folder);
        command
    };
    if !shell::succeeds(&mut make()) {
        println!("python3 makes no virtual environment: installing what it needs");
        apt::install("python3-venv").context("it takes Python 3.10 with venv and pip")?;
        shell::run(&mut make())?;
    }
    let wanted = folder.join("requirements.txt");
    fs::write(&wanted, requirements)?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(wanted);
    shell::run(&mut pip)?;
    fs::write(installed, requirements)?;
    Ok(python)
}
