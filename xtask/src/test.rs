//! `cargo xtask test`: everything a change must pass, in steps, the cheapest first.

mod report;
mod steps;

use std::process::ExitCode;
use std::time::Duration;

use crate::usage_error;
use report::{Outcome, Report};
use steps::{DEEP_STEPS, STEPS, Step};

/// Runs `cargo xtask test ARGS`.
pub(crate) fn main(args: &[&str]) -> ExitCode {
    let (which, steps, args): (_, &[Step], _) = match args {
        ["--deep", rest @ ..] => ("--deep ", &DEEP_STEPS, rest),
        _ => ("", &STEPS, args),
    };
    match args {
        [] => run(which, steps),
        ["--help" | "-h"] => {
            print!("{}", usage());
            ExitCode::SUCCESS
        }
        ["--only", name] => match steps.iter().position(|step| step.name == *name) {
            Some(at) => run(which, &steps[at..=at]),
            None => usage_error(&format!("--only: no such step: {name}"), &usage()),
        },
        ["--only"] => usage_error("--only: which step?", &usage()),
        _ => usage_error(&format!("not understood: {}", args.join(" ")), &usage()),
    }
}

fn usage() -> String {
    let mut text = "\
Runs everything a change must pass and stops at the first step that fails.
It needs Rust, Node.js and Python 3; Chromium and valgrind are installed by apt-get where there are none.

Usage: cargo xtask test [--deep] [--only STEP]

Options:
  --deep        Run what takes long instead: see its steps
  --only STEP   Run one step

Steps:
"
    .to_owned();
    for step in &STEPS {
        text += &format!("  {:<14}{}\n", step.name, step.what);
    }
    text += "\nSteps with --deep:\n";
    for step in &DEEP_STEPS {
        text += &format!("  {:<14}{}\n", step.name, step.what);
    }
    text + "\nExample: cargo xtask test --only clippy\n"
}

/// Runs the steps in order until one fails. `which` is the option they belong to.
fn run(which: &str, steps: &[Step]) -> ExitCode {
    let mut report = Report::default();
    let mut failed = false;
    for (index, step) in steps.iter().enumerate() {
        if failed {
            report.add(step.name, Outcome::NotRun);
            continue;
        }
        println!("\n==> [{}/{}] {}: {}", index + 1, steps.len(), step.name, step.what);
        let (result, took) = timed(step.run);
        failed = result.is_err();
        report.add(step.name, finish(which, step, result, took));
    }
    print!("\n{report}");
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Prints how a step ended.
fn finish(
    which: &str,
    step: &Step,
    result: anyhow::Result<steps::Done>,
    took: Duration,
) -> Outcome {
    match result {
        Ok(steps::Done::Passed) => {
            println!("<== {} passed in {:.1} s", step.name, took.as_secs_f64());
            Outcome::Passed(took)
        }
        Ok(steps::Done::Skipped(why)) => {
            println!("<== {} skipped: {why}", step.name);
            Outcome::Skipped
        }
        Err(error) => {
            println!("<== {} FAILED after {:.1} s: {error:#}", step.name, took.as_secs_f64());
            println!("    This step alone: cargo xtask test {which}--only {}", step.name);
            Outcome::Failed(took)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a driver: times the steps it runs")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = std::time::Instant::now();
    let result = work();
    (result, began.elapsed())
}
