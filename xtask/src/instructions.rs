//! `cargo xtask bench instructions`: how many instructions a turn of the fan-out core takes, counted by
//! callgrind. A count is the same on a busy machine as on an idle one, so a regression of some percent
//! shows where a time would drown in noise.

mod figures;
mod valgrind;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::{env, fs};

use anyhow::{Context as _, Result, bail};

use crate::{shell, usage_error};
use figures::{Difference, Figures, MARGIN_PERCENT, Platform, Row};

/// The committed figures, from the root of the repository.
const EXPECTED: &str = "benches/instructions/expected.toml";
const ACCEPT: &str = "cargo xtask bench instructions --accept";

const USAGE: &str = "\
Counts the instructions of the fan-out core per tick or delivery and compares them with those in
benches/instructions/expected.toml. valgrind is installed by apt-get where there is none.

Usage: cargo xtask bench instructions [--accept]

Options:
  --accept   Make what is counted now the expected figures
";

/// Runs `cargo xtask bench instructions ARGS`.
pub(crate) fn main(args: &[&str]) -> ExitCode {
    let done = match args {
        [] => check(),
        ["--accept"] => accept(),
        ["--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => return usage_error(&format!("not understood: {}", args.join(" ")), USAGE),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Counts all cases and compares them with the committed figures.
///
/// # Errors
/// A case takes more than the margin allows, or has no figure, or a figure no case; or they could not be
/// counted. On another platform than that of the figures only the last.
pub(crate) fn check() -> Result<()> {
    let path = shell::root().join(EXPECTED);
    let text = fs::read_to_string(&path)
        .with_context(|| format!("cannot read {EXPECTED}; `{ACCEPT}` writes it"))?;
    let expected = Figures::parse(&text).with_context(|| format!("cannot read {EXPECTED}"))?;
    let counted = count(Some(&expected))?;
    if counted.platform != expected.platform {
        println!(
            "\nThe figures are those of {}, this is {}: they are not compared in earnest.",
            expected.platform, counted.platform
        );
        return Ok(());
    }
    judge(&expected.compare(&counted))
}

/// Says what differs by more than the margin; an error if that is for the worse.
fn judge(differences: &[(String, Difference)]) -> Result<()> {
    println!();
    for (case, difference) in differences {
        println!("{case}: {difference}");
    }
    if differences.is_empty() {
        println!("all within {MARGIN_PERCENT} % of what is expected");
        return Ok(());
    }
    let faults = differences.iter().filter(|(_, difference)| difference.is_fault()).count();
    if faults > 0 {
        bail!("{faults} figures to mend, or to accept: `{ACCEPT}`, and say why in the commit");
    }
    println!("Keep what was gained: `{ACCEPT}`");
    Ok(())
}

/// Counts all cases and commits them to the file.
fn accept() -> Result<()> {
    let counted = count(None)?;
    fs::write(shell::root().join(EXPECTED), counted.to_text()?)
        .with_context(|| format!("cannot write {EXPECTED}"))?;
    println!("\nwritten to {EXPECTED}");
    Ok(())
}

/// Builds the cases and counts one after the other, each a row as it comes.
fn count(expected: Option<&Figures>) -> Result<Figures> {
    let valgrind = valgrind::find_or_install()?;
    let build =
        ["build", "--release", "--locked", "-p", "tickwire-benches", "--bin", "instructions"];
    shell::run(&mut cargo(&build))?;
    let binary = release_binary()?;
    let cases = valgrind::output(&mut Command::new(&binary))?;
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

/// Cargo, without flags of this machine that would change the code.
fn cargo(args: &[&str]) -> Command {
    let mut command = shell::cargo(args);
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}

/// What cargo builds for release, in the folder beside that of this program.
fn release_binary() -> Result<PathBuf> {
    let xtask = env::current_exe().context("where is the running program?")?;
    let target = xtask.ancestors().nth(2).context("xtask does not run from a target folder")?;
    Ok(target.join("release").join("instructions"))
}

/// The compiler that cargo uses here, and what it compiles for.
fn platform() -> Result<Platform> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = valgrind::output(Command::new(rustc).arg("-vV").current_dir(shell::root()))?;
    Platform::parse(&version).context("`rustc -vV` names no host and release")
}
