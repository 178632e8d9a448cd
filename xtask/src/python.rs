//! Virtual environments of Python packages in the target folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{apt, shell};

/// Returns the path of the Python in a virtual environment with the packages in `requirements`, the
/// text of a requirements file. Makes the environment in `folder`, unless it is there with the same
/// requirements.
///
/// # Errors
/// Fails if Python 3 with venv and pip is missing and cannot be installed, or a package cannot be
/// installed.
pub(crate) fn environment(folder: &Path, requirements: &str) -> Result<PathBuf> {
    let python = folder.join("bin/python");
    let installed = folder.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|text| text == requirements) {
        return Ok(python);
    }
    let make = || {
        let mut command = Command::new("python3");
        command.args(["-m", "venv", "--clear"]).arg(folder);
        command
    };
    if !shell::succeeds(&mut make()) {
        println!("python3 cannot make a virtual environment: installing python3-venv");
        apt::install("python3-venv")
            .context("this needs Python 3.10 or later with venv and pip")?;
        shell::run(&mut make())?;
    }
    let file = folder.join("requirements.txt");
    fs::write(&file, requirements)?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(file);
    shell::run(&mut pip)?;
    fs::write(installed, requirements)?;
    Ok(python)
}
