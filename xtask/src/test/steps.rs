//! The steps of `cargo xtask test`.

use anyhow::{Context as _, Result};

use super::binaries;
use crate::npm::{self, npm};
use crate::shell::{self, cargo, run};
use crate::{chromium, page, programs};

/// One check that a change must pass.
pub(super) struct Step {
    /// The name for `--only`.
    pub(super) name: &'static str,
    /// What is true if the step passes, in one line.
    pub(super) what: &'static str,
    /// The names of steps that must have passed. They come earlier in the list.
    pub(super) needs: &'static [&'static str],
    /// Runs the step. An error says what failed.
    pub(super) run: fn() -> Result<Done>,
}

/// How a step ended, unless it failed.
pub(super) enum Done {
    Passed,
    /// This machine cannot run the step, for this reason.
    Skipped(&'static str),
}

/// The steps of a normal run, in the order in which they start. The hub embeds the page, so the
/// page comes before everything that compiles the hub.
pub(super) const STEPS: [Step; 13] = [
    Step { name: "fmt", what: "the Rust code is formatted", needs: &[], run: fmt },
    Step { name: "tidy", what: "house rules that no compiler checks", needs: &[], run: tidy },
    Step {
        name: "deny",
        what: "licences, duplicates and sources of dependencies",
        needs: &[],
        run: deny,
    },
    Step { name: "web", what: "the page builds and its unit tests pass", needs: &[], run: web },
    Step { name: "clippy", what: "no warning in any target", needs: &["web"], run: clippy },
    Step { name: "build", what: "tests and programs compile", needs: &["clippy"], run: build },
    Step { name: "test", what: "unit, integration and doc tests", needs: &["build"], run: test },
    Step {
        name: "doc",
        what: "the documentation builds without a warning",
        needs: &["build"],
        run: doc,
    },
    Step {
        name: "sdks",
        what: "Alpaca's SDKs receive all they subscribe to",
        needs: &["build"],
        run: sdks,
    },
    Step {
        name: "instructions",
        what: "the fan-out core is as fast as before",
        needs: &["build"],
        run: instructions,
    },
    Step {
        name: "chaos",
        what: "a minute of faults, and no tick lost or repeated",
        // After the steps that keep all cores busy: chaos starts some forty processes.
        needs: &["build", "test", "sdks", "instructions"],
        run: chaos,
    },
    Step {
        name: "conformance",
        what: "the hub's WebSocket conforms to RFC 6455",
        needs: &["build"],
        run: conformance,
    },
    Step {
        name: "page",
        what: "the page in a headless Chromium, against a real hub",
        needs: &["build"],
        run: page_test,
    },
];

/// The steps of `--deep`, which take many minutes.
pub(super) const DEEP_STEPS: [Step; 5] = [
    Step {
        name: "test",
        what: "unit, integration and doc tests, with random seeds",
        needs: &[],
        run: deep_test,
    },
    Step {
        name: "instructions",
        what: "the fan-out core is as fast as before",
        needs: &[],
        run: instructions,
    },
    Step {
        name: "simulation",
        what: "the hub on virtual time, with thousands of random seeds",
        needs: &[],
        run: simulation,
    },
    Step {
        name: "chaos",
        what: "ten minutes of faults, different each time",
        needs: &[],
        run: deep_chaos,
    },
    Step { name: "fuzz", what: "every fuzz target for minutes", needs: &[], run: fuzz },
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

fn build() -> Result<Done> {
    run(&mut cargo(&["test", "--workspace", "--locked", "--no-run", "--quiet"]))?;
    programs::build()?;
    Ok(Done::Passed)
}

fn test() -> Result<Done> {
    binaries::run(&[])?;
    Ok(Done::Passed)
}

/// Runs all tests with random seeds. Random tests try ten times as many seeds as in a normal run.
fn deep_test() -> Result<Done> {
    binaries::run(&[("TICKWIRE_TEST_SEED", "random"), ("TICKWIRE_TEST_SCALE", "10")])?;
    Ok(Done::Passed)
}

/// Documents an example too: that gives the dependencies the same features as in `clippy`, so that
/// cargo does not check them a second time.
fn doc() -> Result<Done> {
    let targets = ["--lib", "--bins", "--examples"];
    let mut command = cargo(&["doc", "--no-deps", "--workspace", "--locked"]);
    run(command.args(targets).env("RUSTDOCFLAGS", "-D warnings"))?;
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
    programs::build()?;
    let mut command = npm("web", &["run", "test:page"])?;
    run(command.env("CHROMIUM", chromium).env("TICKWIRE_BIN", programs::tickwire()?))?;
    Ok(Done::Passed)
}
