//! `cargo xtask demo`: the demo with its page, from a fresh clone, with one command.

use std::process::ExitCode;

use anyhow::Result;

use crate::{npm, page, shell};

/// Arguments of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Where Node.js is missing, the demo runs without the page. Ctrl-C ends it.

Examples:
  cargo xtask demo
  cargo xtask demo --symbols 2000 --rate 20000
  cargo run --release -- demo --help")]
pub(crate) struct Args {
    /// Arguments of `tickwire demo`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    arguments: Vec<String>,
}

/// Builds the page where that is possible, and becomes the demo.
///
/// # Errors
/// Fails if cargo cannot be started.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if !npm::is_present() {
        println!(
            "Node.js was not found, so the page is not built. To build it, install Node.js 20.19 \
             or later (https://nodejs.org) and run `cargo xtask demo` again."
        );
    } else if let Err(error) = page::build() {
        println!("The page is not built: {error:#}");
    }
    let mut cargo = shell::cargo(&["run", "--release", "--locked", "--package", "tickwire", "--"]);
    shell::replace_process(cargo.arg("demo").args(&args.arguments))
}
