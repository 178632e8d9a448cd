//! The steps themselves.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::{chaos, chromium, conformance, fuzz, instructions, sdks, shell, tidy};
use shell::{cargo, npm, run};

/// One thing a change must pass.
pub(super) struct Step {
    /// What `--only` takes.
    pub(super) name: &'static str,
    /// One line for people.
    pub(super) what: &'static str,
    /// Runs it; an error says what failed.
    pub(super) run: fn() -> Result<Done>,
}

/// How a step ended that did not fail.
pub(super) enum Done {
    Passed,
    /// It could not be run here, and why.
    Skipped(&'static str),
}

/// Cheapest first, but the page before the Rust code: it is embedded in the hub.
pub(super) const STEPS: [Step; 12] = [
    Step { name: "fmt", what: "the Rust code is formatted", run: fmt },
    Step { name: "tidy", what: "house rules that no compiler knows", run: check_tidiness },
    Step { name: "deny", what: "licences, duplicates and sources of dependencies", run: deny },
    Step { name: "web", what: "the page builds and its unit tests pass", run: web },
    Step { name: "clippy", what: "no warning in any target", run: clippy },
    Step { name: "test", what: "unit, integration and doc tests", run: test },
    Step { name: "doc", what: "the documentation builds without a warning", run: doc },
    Step { name: "conformance", what: "the hub's WebSocket is that of RFC 6455", run: conform },
    Step { name: "sdks", what: "Alpaca's SDKs get all they subscribe to", run: serve_sdks },
    Step {
        name: "chaos",
        what: "a minute of faults, and no tick lost or repeated",
        run: withstand,
    },
    Step { name: "instructions", what: "the fan-out core is as fast as it was", run: count },
    Step { name: "page", what: "the page in a headless Chromium, against a real hub", run: page },
];

/// What takes many minutes: `--deep`.
pub(super) const DEEP_STEPS: [Step; 4] = [
    Step { name: "instructions", what: "the fan-out core is as fast as it was", run: count },
    Step { name: "simulation", what: "the hub on virtual time, for minutes", run: simulate },
    Step {
        name: "chaos",
        what: "ten minutes of faults, other ones each time",
        run: withstand_long,
    },
    Step { name: "fuzz", what: "every fuzz target for minutes", run: run_fuzz },
];

fn fmt() -> Result<Done> {
    run(&mut cargo(&["fmt", "--all", "--check"])).context("run `cargo fmt --all` to mend it")?;
    Ok(Done::Passed)
}

fn check_tidiness() -> Result<Done> {
    tidy::check()?;
    Ok(Done::Passed)
}

/// Not installed here when it is missing: building it takes longer than all other steps.
fn deny() -> Result<Done> {
    if !shell::succeeds(&mut cargo(&["deny", "--version"])) {
        return Ok(Done::Skipped("to run it, `cargo install --locked cargo-deny` (some minutes)"));
    }
    run(&mut cargo(&["deny", "--locked", "check", "bans", "licenses", "sources"]))?;
    Ok(Done::Passed)
}

fn web() -> Result<Done> {
    install_packages()?;
    run(&mut npm("web", &["run", "build"])?)?;
    run(&mut npm("web", &["test"])?)?;
    Ok(Done::Passed)
}

fn clippy() -> Result<Done> {
    let args = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    run(&mut cargo(&args))?;
    Ok(Done::Passed)
}

/// How long the simulation looks for a seed that fails, in seconds: within all tests, and in depth.
const SIMULATION_SECONDS: &str = "60";
const DEEP_SIMULATION_SECONDS: &str = "300";

fn test() -> Result<Done> {
    let mut command = cargo(&["test", "--workspace", "--locked"]);
    run(command.env("TICKWIRE_SIM_SECONDS", SIMULATION_SECONDS))?;
    Ok(Done::Passed)
}

fn doc() -> Result<Done> {
    let mut command = cargo(&["doc", "--no-deps", "--workspace", "--locked"]);
    run(command.env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Done::Passed)
}

fn conform() -> Result<Done> {
    conformance::check()?;
    Ok(Done::Passed)
}

fn serve_sdks() -> Result<Done> {
    sdks::check()?;
    Ok(Done::Passed)
}

/// Always the same faults, so that a change that fails here failed because of the change.
fn withstand() -> Result<Done> {
    under_faults(&["--seed", "1", "--minutes", "1"])
}

fn withstand_long() -> Result<Done> {
    under_faults(&["--minutes", "10"])
}

fn under_faults(args: &[&str]) -> Result<Done> {
    if !cfg!(target_os = "linux") {
        return Ok(Done::Skipped("disks and memory are watched in the way of Linux"));
    }
    chaos::check(args)?;
    Ok(Done::Passed)
}

fn count() -> Result<Done> {
    if !cfg!(target_os = "linux") {
        return Ok(Done::Skipped("callgrind counts the instructions, and is at home on Linux"));
    }
    instructions::check()?;
    Ok(Done::Passed)
}

fn simulate() -> Result<Done> {
    let args = ["test", "--release", "--locked", "-p", "tickwire-hub", "--test", "simulation"];
    run(cargo(&args).env("TICKWIRE_SIM_SECONDS", DEEP_SIMULATION_SECONDS))?;
    Ok(Done::Passed)
}

fn run_fuzz() -> Result<Done> {
    if !fuzz::is_possible() {
        return Ok(Done::Skipped(
            "to run it, `rustup toolchain install nightly` and `cargo install --locked cargo-fuzz`",
        ));
    }
    fuzz::run()?;
    Ok(Done::Passed)
}

fn page() -> Result<Done> {
    let chromium = chromium::find_or_install()?;
    if !shell::root().join("web/node_modules").is_dir() {
        install_packages()?;
    }
    run(&mut cargo(&["build", "--package", "tickwire", "--locked"]))?;
    let mut command = npm("web", &["run", "test:page"])?;
    run(command.env("CHROMIUM", chromium).env("TICKWIRE_BIN", tickwire_binary()?))?;
    Ok(Done::Passed)
}

fn install_packages() -> Result<()> {
    run(&mut npm("web", &["ci", "--no-audit", "--no-fund"])?)
}

/// The binary that cargo builds beside this one.
fn tickwire_binary() -> Result<PathBuf> {
    let xtask = env::current_exe().context("where is the running program?")?;
    Ok(xtask.with_file_name(format!("tickwire{}", env::consts::EXE_SUFFIX)))
}
