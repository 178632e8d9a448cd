//! `cargo xtask test`: every check that a change must pass, in steps.

mod binaries;
mod report;
mod requirements;
mod schedule;
mod steps;

use std::process::ExitCode;

use anyhow::Result;

use schedule::Schedule;
use steps::{DEEP_STEPS, STEPS, Step};

pub(crate) use requirements::check_node_tests;

/// Arguments of `cargo xtask test`.
#[derive(Debug, clap::Args)]
#[command(after_help = help())]
pub(crate) struct Args {
    /// Run the long checks instead: fuzzing, simulation and random seeds
    #[arg(long)]
    deep: bool,
    /// Run one step, and show its output while it runs
    #[arg(long, value_name = "STEP")]
    only: Option<String>,
    /// How many steps run at the same time [default: 2; with --deep: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    jobs: Option<u8>,
}

/// Returns the part of `--help` that lists the steps.
fn help() -> String {
    let mut text = "\
A step starts once the steps that it needs have passed, and prints its output when it ends. No step \
starts after one has failed. Needs Rust, Node.js and Python 3; installs Chromium and valgrind with \
apt-get where they are missing.
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
///
/// # Errors
/// A step cannot be started.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let steps: &[Step] = if args.deep { &DEEP_STEPS } else { &STEPS };
    if let Some(name) = &args.only {
        let Some(step) = steps.iter().find(|step| step.name == name) else {
            eprintln!("error: there is no step {name}; cargo xtask test --help lists the steps");
            return Ok(ExitCode::from(2));
        };
        return Ok(schedule::run_alone(step));
    }
    let jobs = args.jobs.unwrap_or(if args.deep { 1 } else { 2 });
    Schedule::new(steps, args.deep).run(usize::from(jobs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_need_only_earlier_steps() {
        for steps in [&STEPS as &[Step], &DEEP_STEPS] {
            for (index, step) in steps.iter().enumerate() {
                for need in step.needs {
                    let is_earlier = steps[..index].iter().any(|earlier| earlier.name == *need);
                    assert!(is_earlier, "{} needs {need}", step.name);
                }
            }
        }
    }
}
