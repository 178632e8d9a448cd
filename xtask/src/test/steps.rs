//! The steps of `cargo xtask test`.

use anyhow::{Context as _, Result};

use crate::npm::{self, npm};
use crate::shell::{self, cargo, run};
use crate::{chromium, page, target};

/// One check that a change must pass.
pub(super) struct Step {
    /// The name for `--only`.
    pub(super) name: &'static str,
    /// What is true if the step passes, in one line.
    pub(super) what: &'static str,
    /// Runs the step. An error says what failed.
    pub(super) run: fn() -> Result<Done>,
}

/// How a step ended, unless it failed.
pub(super) enum Done {
    Passed,
    /// This machine cannot run the step, for this reason.
    Skipped(&'static str),
}

/// The steps of a normal run: the cheapest first, but the page before the hub, which embeds it.
pub(super) const STEPS: [Step; 12] = [
    Step { name: "fmt", what: "the Rust code is formatted", run: fmt },
    Step { name: "tidy", what: "house rules that no compiler checks", run: tidy },
    Step { name: "deny", what: "licences, duplicates and sources of dependencies", run: deny },
    Step { name: "web", what: "the page builds and its unit tests pass", run: web },
    Step { name: "clippy", what: "no warning in any target", run: clippy },
    Step { name: "test", what: "unit, integration and doc tests", run: test },
    Step { name: "doc", what: "the documentation builds without a warning", run: doc },
    Step {
        name: "conformance",
        what: "the hub's WebSocket conforms to RFC 6455",
        run: conformance,
    },
    Step { name: "sdks", what: "Alpaca's SDKs receive all they subscribe to", run: sdks },
    Step { name: "chaos", what: "a minute of faults, and no tick lost or repeated", run: chaos },
    Step { name: "instructions", what: "the fan-out core is as fast as before", run: instructions },
    Step {
        name: "page",
        what: "the page in a headless Chromium, against a real hub",
        run: page_test,
    },
];

/// The steps of `--deep`, which take many minutes.
pub(super) const DEEP_STEPS: [Step; 5] = [
    Step {
        name: "test",
        what: "unit, integration and doc tests, with random seeds",
        run: deep_test,
    },
    Step { name: "instructions", what: "the fan-out core is as fast as before", run: instructions },
    Step {
        name: "simulation",
        what: "the hub on virtual time, with thousands of random seeds",
        run: simulation,
    },
    Step { name: "chaos", what: "ten minutes of faults, different each time", run: deep_chaos },
    Step { name: "fuzz", what: "every fuzz target for minutes", run: fuzz },
];

fn fmt() -> Result<Done> {
    run(&mut cargo(&["fmt", "--all", "--check"])).context("`cargo fmt --all` formats it")?;
    Ok(Done::Passed)
}

fn tidy() -> Result<Done> {
    crate::tidy::check()?;
    Ok(Done::Passed)
}

fn deny() -> Result<Done> {
    if shell::succeeds(&mut cargo(&["deny", "--version"])) {
        run(&mut cargo(&["deny", "--locked", "check", "bans", "licenses", "sources"]))?;
    } else {
        crate::deny::check()?;
    }
    Ok(Done::Passed)
}

fn web() -> Result<Done> {
    page::build()?;
    npm::install_packages("web", &[])?;
    run(&mut npm("web", &["test"])?)?;
    Ok(Done::Passed)
}

fn clippy() -> Result<Done> {
    let args = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    run(&mut cargo(&args))?;
    Ok(Done::Passed)
}

fn test() -> Result<Done> {
    run(&mut cargo(&["test", "--workspace", "--locked"]))?;
    Ok(Done::Passed)
}

/// Runs all tests with random seeds. Random tests try ten times as many seeds as in a normal run.
fn deep_test() -> Result<Done> {
    let mut command = cargo(&["test", "--workspace", "--locked"]);
    run(command.env("TICKWIRE_TEST_SEED", "random").env("TICKWIRE_TEST_SCALE", "10"))?;
    Ok(Done::Passed)
}

fn doc() -> Result<Done> {
    let mut command = cargo(&["doc", "--no-deps", "--workspace", "--locked"]);
    run(command.env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Done::Passed)
}

fn conformance() -> Result<Done> {
    crate::conformance::check()?;
    Ok(Done::Passed)
}

fn sdks() -> Result<Done> {
    crate::sdks::check()?;
    Ok(Done::Passed)
}

/// Runs the chaos test with a fixed seed, so that it injects the same faults in every run.
fn chaos() -> Result<Done> {
    inject_faults(&["--seed", "1", "--minutes", "1"])
}

fn deep_chaos() -> Result<Done> {
    inject_faults(&["--minutes", "10"])
}

fn inject_faults(args: &[&str]) -> Result<Done> {
    if !cfg!(target_os = "linux") {
        return Ok(Done::Skipped("it reads memory and disks from /proc, which only Linux has"));
    }
    crate::chaos::run(args)?;
    Ok(Done::Passed)
}

fn instructions() -> Result<Done> {
    if !cfg!(target_os = "linux") {
        return Ok(Done::Skipped("callgrind, which counts the instructions, needs Linux"));
    }
    crate::instructions::check()?;
    Ok(Done::Passed)
}

fn simulation() -> Result<Done> {
    let args = ["test", "--release", "--locked", "-p", "tickwire-hub", "--test", "simulation"];
    run(cargo(&args).env("TICKWIRE_TEST_SEED", "random").env("TICKWIRE_TEST_SCALE", "30"))?;
    Ok(Done::Passed)
}

fn fuzz() -> Result<Done> {
    if !crate::fuzz::is_possible() {
        return Ok(Done::Skipped(
            "it needs `rustup toolchain install nightly` and `cargo install --locked cargo-fuzz`",
        ));
    }
    crate::fuzz::run()?;
    Ok(Done::Passed)
}

fn page_test() -> Result<Done> {
    let chromium = chromium::find_or_install()?;
    page::build()?;
    npm::install_packages("web", &[])?;
    run(&mut cargo(&["build", "--package", "tickwire", "--locked"]))?;
    let mut command = npm("web", &["run", "test:page"])?;
    run(command
        .env("CHROMIUM", chromium)
        .env("TICKWIRE_BIN", target::program("debug", "tickwire")?))?;
    Ok(Done::Passed)
}
