//! Counting the instructions of one function of a program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::apt;
use crate::shell;

/// The function whose instructions are counted, as callgrind's pattern: neither the hash behind a name
/// nor the types in it are ours to know.
const REGION: &str = "*instructions::measured*";

/// Which of its ways to copy memory the C library takes depends on the processor, and one of them counts
/// an instruction for every byte. These are there on each that is 64 bits wide.
const TUNABLES: &str = "glibc.cpu.hwcaps=-ERMS,-AVX_Fast_Unaligned_Load";

/// The path of valgrind: one on `PATH`, or one installed now by apt-get.
///
/// # Errors
/// There is none and it cannot be installed.
pub(super) fn find_or_install() -> Result<PathBuf> {
    if let Some(path) = shell::find_program("valgrind") {
        return Ok(path);
    }
    println!("no valgrind on PATH: installing Debian's");
    apt::install("valgrind").context("no valgrind, which counts the instructions")?;
    shell::find_program("valgrind")
        .context("the package valgrind is installed, yet there is no valgrind on PATH")
}

/// Runs a case and says how many instructions a unit of it takes, and what a unit is. What callgrind
/// found stays in `target/instructions`, for `callgrind_annotate`.
///
/// # Errors
/// It cannot be run, or the function was never entered.
pub(super) fn count(valgrind: &Path, binary: &Path, case: &str) -> Result<(f64, String)> {
    let folder = binary.with_file_name("..").join("instructions");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let found = folder.join(format!("{case}.callgrind"));
    let mut command = Command::new(valgrind);
    command.args(["--tool=callgrind", "--quiet", "--collect-atstart=no"]);
    command.arg(format!("--toggle-collect={REGION}"));
    command.arg(format!("--callgrind-out-file={}", found.display()));
    command.arg(binary).arg(case).env("GLIBC_TUNABLES", TUNABLES);
    let printed = output(&mut command)?;
    let text =
        fs::read_to_string(&found).with_context(|| format!("cannot read {}", found.display()))?;
    let (units, unit) = printed.trim().split_once(' ').context("a case prints `UNITS UNIT`")?;
    let units: f64 = units.parse().context("a case prints `UNITS UNIT`")?;
    Ok((total(&text)? / units, unit.to_owned()))
}

/// The instructions in a file of callgrind's.
fn total(text: &str) -> Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("summary: "));
    let total: f64 = line.context("callgrind wrote no summary")?.trim().parse()?;
    if total == 0.0 {
        bail!("callgrind saw no function {REGION}: was it inlined, or the binary stripped?");
    }
    Ok(total)
}

/// What a command prints.
///
/// # Errors
/// It does not start, or ends with anything but success.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().display().to_string();
    let Output { status, stdout, stderr } = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("`{program}` could not be started"))?;
    if !status.success() {
        bail!("`{program}` ended with {status}: {}", String::from_utf8_lossy(&stderr).trim());
    }
    String::from_utf8(stdout).with_context(|| format!("`{program}` printed what is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_the_total_and_zero_is_an_error() {
        let file = |sum| format!("events: Ir\nsummary: {sum}\ntotals: 7\n");
        assert_eq!(total(&file(3_946_086)).unwrap(), 3_946_086.0);
        let problem = total(&file(0)).unwrap_err().to_string();
        assert!(problem.contains("*instructions::measured*"), "{problem}");
        assert!(total("events: Ir\n").is_err());
    }
}
