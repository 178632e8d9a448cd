//! Counts the instructions of one function of a program with valgrind's callgrind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::apt;
use crate::shell;

/// The counted function, as a pattern for callgrind: the compiler adds a hash and types to its
/// name.
const COUNTED_FUNCTION: &str = "*instructions::measured*";

/// Makes the C library choose the same `memcpy` on every 64-bit x86 processor. Some processors
/// offer one that callgrind counts as an instruction per byte.
const TUNABLES: &str = "glibc.cpu.hwcaps=-ERMS,-AVX_Fast_Unaligned_Load";

/// Returns the path of valgrind on `PATH`. Installs Debian's package where there is none.
///
/// # Errors
/// Fails if valgrind is missing and cannot be installed.
pub(super) fn find_or_install() -> Result<PathBuf> {
    if let Some(path) = shell::find_program("valgrind") {
        return Ok(path);
    }
    println!("no valgrind on PATH: installing Debian's");
    apt::install("valgrind").context("valgrind is missing; it counts the instructions")?;
    shell::find_program("valgrind")
        .context("the package valgrind is installed, but there is no valgrind on PATH")
}

/// Runs a case of the benchmark under callgrind. Returns its instructions per unit of work, such as
/// a tick, and the unit's name. Leaves callgrind's file in `target/instructions` for
/// `callgrind_annotate`.
///
/// # Errors
/// Fails if the case cannot be run, or never calls the counted function.
pub(super) fn count(valgrind: &Path, binary: &Path, case: &str) -> Result<(f64, String)> {
    let folder = binary.with_file_name("..").join("instructions");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let profile = folder.join(format!("{case}.callgrind"));
    let mut command = Command::new(valgrind);
    command.args(["--tool=callgrind", "--quiet", "--collect-atstart=no"]);
    command.arg(format!("--toggle-collect={COUNTED_FUNCTION}"));
    command.arg(format!("--callgrind-out-file={}", profile.display()));
    command.arg(binary).arg(case).env("GLIBC_TUNABLES", TUNABLES);
    let printed = shell::output(&mut command)?;
    let text = fs::read_to_string(&profile)
        .with_context(|| format!("cannot read {}", profile.display()))?;
    let (units, unit) = printed.trim().split_once(' ').context("a case prints `UNITS UNIT`")?;
    let units: f64 = units.parse().context("a case prints `UNITS UNIT`")?;
    Ok((total(&text)? / units, unit.to_owned()))
}

/// Returns the total number of instructions in a file that callgrind wrote.
fn total(text: &str) -> Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("summary: "));
    let total: f64 = line.context("callgrind wrote no summary")?.trim().parse()?;
    if total == 0.0 {
        bail!(
            "callgrind saw no function {COUNTED_FUNCTION}: was it inlined, or the binary stripped?"
        );
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_is_the_summary_and_zero_is_an_error() {
        let file = |sum| format!("events: Ir\nsummary: {sum}\ntotals: 7\n");
        assert_eq!(total(&file(3_946_086)).unwrap(), 3_946_086.0);
        let problem = total(&file(0)).unwrap_err().to_string();
        assert!(problem.contains("*instructions::measured*"), "{problem}");
        assert!(total("events: Ir\n").is_err());
    }
}
