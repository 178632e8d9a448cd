//! `cargo xtask bench instructions`: counts the instructions of the fan-out core with callgrind.
//! Load on the machine does not change a count, so a count shows a regression of some percent that
//! noise would hide in a time.

mod figures;
mod valgrind;

use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, bail};

use crate::{shell, target};
use figures::{Difference, Figures, MARGIN_PERCENT, Platform, Row};

/// The file with the expected figures, relative to the root of the repository.
const EXPECTED: &str = "benches/instructions/expected.toml";
const ACCEPT: &str = "cargo xtask bench instructions --accept";

/// Arguments of `cargo xtask bench instructions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Compares the counts with benches/instructions/expected.toml. Installs valgrind with apt-get where \
it is missing.

Examples:
  cargo xtask bench instructions
  cargo xtask bench instructions --accept")]
pub(crate) struct Args {
    /// Write the counts to the file of expected figures
    #[arg(long)]
    accept: bool,
}

/// Runs `cargo xtask bench instructions`.
///
/// # Errors
/// Fails if [`check`] fails; with `--accept` only if a case cannot be counted.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.accept { accept() } else { check() }
}

/// Counts all cases and compares the counts with the expected figures.
///
/// # Errors
/// Fails if a case cannot be counted, exceeds its figure by more than the margin, or has no figure,
/// or if a figure has no case. On a platform other than that of the figures, fails only if a case
/// cannot be counted.
pub(crate) fn check() -> Result<()> {
    let path = shell::root().join(EXPECTED);
    let text = fs::read_to_string(&path)
        .with_context(|| format!("cannot read {EXPECTED}; `{ACCEPT}` writes it"))?;
    let expected = Figures::parse(&text).with_context(|| format!("cannot read {EXPECTED}"))?;
    let counted = count(Some(&expected))?;
    if counted.platform != expected.platform {
        println!(
            "\nThe expected figures were counted on {}, these on {}: differences are not errors.",
            expected.platform, counted.platform
        );
        return Ok(());
    }
    judge(&expected.compare(&counted))
}

/// Prints the differences that exceed the margin. Returns an error if one is a regression.
fn judge(differences: &[(String, Difference)]) -> Result<()> {
    println!();
    for (case, difference) in differences {
        println!("{case}: {difference}");
    }
    if differences.is_empty() {
        println!("all cases are within {MARGIN_PERCENT} % of the expected figures");
        return Ok(());
    }
    let faults = differences.iter().filter(|(_, difference)| difference.is_fault()).count();
    if faults > 0 {
        bail!(
            "{faults} cases differ; if that is intended, run `{ACCEPT}` and say why in the commit"
        );
    }
    println!("Keep the gain: `{ACCEPT}`");
    Ok(())
}

/// Counts all cases and writes the expected figures.
fn accept() -> Result<()> {
    let counted = count(None)?;
    fs::write(shell::root().join(EXPECTED), counted.to_text()?)
        .with_context(|| format!("cannot write {EXPECTED}"))?;
    println!("\nwrote {EXPECTED}");
    Ok(())
}

/// Builds the cases and counts them one after the other. Prints a row for each.
fn count(expected: Option<&Figures>) -> Result<Figures> {
    let valgrind = valgrind::find_or_install()?;
    let build =
        ["build", "--release", "--locked", "-p", "tickwire-benches", "--bin", "instructions"];
    shell::run(&mut cargo(&build))?;
    let binary = target::program("release", "instructions")?;
    let cases = shell::output(&mut Command::new(&binary))?;
    let mut counted = Figures::empty(platform()?);
    println!("\n{}", Row::HEADER);
    for case in cases.lines() {
        let (instructions, unit) = valgrind::count(&valgrind, &binary, case)?;
        let expected = expected.and_then(|figures| figures.get(case));
        println!("{}", Row { case, unit: &unit, instructions, expected });
        counted.insert(case, instructions);
    }
    Ok(counted)
}

/// Returns the command `cargo ARGS` without this machine's `RUSTFLAGS`, which would change the
/// generated code.
fn cargo(args: &[&str]) -> Command {
    let mut command = shell::cargo(args);
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}

/// Returns the version and the target of the compiler that cargo uses.
fn platform() -> Result<Platform> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = shell::output(Command::new(rustc).arg("-vV").current_dir(shell::root()))?;
    Platform::parse(&version).context("`rustc -vV` names no host and release")
}
