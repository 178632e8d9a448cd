//! `cargo xtask test`: every check that a change must pass, in steps, the cheapest first.

mod report;
mod steps;

use std::process::ExitCode;
use std::time::Duration;

use report::{Outcome, Report};
use steps::{DEEP_STEPS, STEPS, Step};

/// Arguments of `cargo xtask test`.
#[derive(Debug, clap::Args)]
#[command(after_help = help())]
pub(crate) struct Args {
    /// Run the long checks instead: fuzzing, simulation and random seeds
    #[arg(long)]
    deep: bool,
    /// Run one step
    #[arg(long, value_name = "STEP")]
    only: Option<String>,
}

/// Returns the part of `--help` that lists the steps.
fn help() -> String {
    let mut text = "\
Stops at the first step that fails. Needs Rust, Node.js and Python 3; installs Chromium and valgrind \
with apt-get where they are missing.
"
    .to_owned();
    for (title, steps) in [("Steps", &STEPS as &[Step]), ("Steps with --deep", &DEEP_STEPS)] {
        text += &format!("\n{title}:\n");
        for step in steps {
            text += &format!("  {:<14}{}\n", step.name, step.what);
        }
    }
    text + "\
\nExamples:
  cargo xtask test
  cargo xtask test --only clippy
  cargo xtask test --deep"
}

/// Runs the steps that the arguments select.
pub(crate) fn run(args: &Args) -> ExitCode {
    let steps: &[Step] = if args.deep { &DEEP_STEPS } else { &STEPS };
    let Some(name) = &args.only else { return run_steps(args, steps) };
    match steps.iter().position(|step| step.name == name) {
        Some(index) => run_steps(args, &steps[index..=index]),
        None => {
            eprintln!("error: --only: there is no step {name}; cargo xtask test --help lists them");
            ExitCode::from(2)
        }
    }
}

/// Runs the steps in order until one fails.
fn run_steps(args: &Args, steps: &[Step]) -> ExitCode {
    let mut report = Report::default();
    let mut failed = false;
    for (index, step) in steps.iter().enumerate() {
        if failed {
            report.add(step.name, Outcome::NotRun);
            continue;
        }
        println!("\n==> [{}/{}] {}: {}", index + 1, steps.len(), step.name, step.what);
        let (result, time) = timed(step.run);
        failed = result.is_err();
        report.add(step.name, finish(args, step, result, time));
    }
    print!("\n{report}");
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Prints how a step ended.
fn finish(
    args: &Args,
    step: &Step,
    result: anyhow::Result<steps::Done>,
    time: Duration,
) -> Outcome {
    match result {
        Ok(steps::Done::Passed) => {
            println!("<== {} passed in {:.1} s", step.name, time.as_secs_f64());
            Outcome::Passed(time)
        }
        Ok(steps::Done::Skipped(why)) => {
            println!("<== {} skipped: {why}", step.name);
            Outcome::Skipped
        }
        Err(error) => {
            let deep = if args.deep { "--deep " } else { "" };
            println!("<== {} FAILED after {:.1} s: {error:#}", step.name, time.as_secs_f64());
            println!("    To repeat this step: cargo xtask test {deep}--only {}", step.name);
            Outcome::Failed(time)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "measures how long a step takes")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = std::time::Instant::now();
    let result = work();
    (result, began.elapsed())
}
