//! Runs steps, several at a time, each in its own process.

use std::env;
use std::io::{Read as _, Seek as _};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::report::{Outcome, Report};
use super::steps::{Done, Step};

/// The exit code of a step that this machine cannot run.
pub(super) const SKIPPED: u8 = 77;

/// Runs one step in this process and shows its output while it runs.
pub(super) fn run_alone(step: &Step) -> ExitCode {
    println!("==> {}: {}", step.name, step.what);
    let start = now();
    let result = (step.run)();
    let seconds = start.elapsed().as_secs_f64();
    match result {
        Ok(Done::Passed) => {
            println!("<== {} passed in {seconds:.1} s", step.name);
            ExitCode::SUCCESS
        }
        Ok(Done::Skipped(reason)) => {
            println!("<== {} skipped: {reason}", step.name);
            ExitCode::from(SKIPPED)
        }
        Err(error) => {
            println!("<== {} FAILED after {seconds:.1} s: {error:#}", step.name);
            ExitCode::FAILURE
        }
    }
}

/// The steps of a run and the state of each.
pub(super) struct Schedule<'a> {
    steps: &'a [Step],
    is_deep: bool,
    states: Vec<State>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Waiting,
    Running,
    Ended(Outcome),
}

/// A step that has ended.
struct Ended {
    index: usize,
    result: Result<(ExitStatus, String)>,
    duration: Duration,
}

impl<'a> Schedule<'a> {
    pub(super) fn new(steps: &'a [Step], is_deep: bool) -> Self {
        Self { steps, is_deep, states: vec![State::Waiting; steps.len()] }
    }

    /// Runs the steps, at most `jobs` at the same time, until all have ended or one has failed.
    ///
    /// # Errors
    /// A step cannot be started.
    pub(super) fn run(mut self, jobs: usize) -> Result<ExitCode> {
        let start = now();
        let (ended_sender, ended): (Sender<Ended>, Receiver<Ended>) = mpsc::channel();
        loop {
            while self.running() < jobs
                && let Some(index) = self.next()
            {
                self.start(index, ended_sender.clone())?;
            }
            if self.running() == 0 {
                break;
            }
            self.end(ended.recv().context("no step reports its end")?)?;
        }
        let report = self.report(start.elapsed());
        print!("\n{report}");
        Ok(if report.is_passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Returns the first waiting step whose needs have all passed or been skipped; none after a
    /// failure.
    fn next(&self) -> Option<usize> {
        let is_failed = |state: &State| matches!(state, State::Ended(Outcome::Failed(_)));
        if self.states.iter().any(is_failed) {
            return None;
        }
        let has_ended = |need: &&str| {
            let index = self.steps.iter().position(|step| step.name == *need);
            index.is_some_and(|index| matches!(self.states[index], State::Ended(_)))
        };
        (0..self.steps.len()).find(|&index| {
            self.states[index] == State::Waiting && self.steps[index].needs.iter().all(has_ended)
        })
    }

    fn running(&self) -> usize {
        self.states.iter().filter(|state| **state == State::Running).count()
    }

    fn start(&mut self, index: usize, ended: Sender<Ended>) -> Result<()> {
        let name = self.steps[index].name;
        println!("... {name} started: {}", self.steps[index].what);
        self.states[index] = State::Running;
        let mut command = self.command(name)?;
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            let start = now();
            let result = run_captured(&mut command);
            // The receiver lives until every step has ended.
            let _sent = ended.send(Ended { index, result, duration: start.elapsed() });
        })?;
        Ok(())
    }

    /// This program with the arguments that run one step.
    fn command(&self, name: &str) -> Result<Command> {
        let program = env::current_exe().context("the path of the running program is unknown")?;
        let mut command = Command::new(program);
        command.args(["test", "--only", name]);
        if self.is_deep {
            command.arg("--deep");
        }
        Ok(command)
    }

    /// Records and prints how a step ended.
    fn end(&mut self, ended: Ended) -> Result<()> {
        let step = &self.steps[ended.index];
        let (status, output) = ended.result.with_context(|| format!("step {}", step.name))?;
        println!("\n{}", output.trim_end());
        let outcome = match status.code() {
            Some(0) => Outcome::Passed(ended.duration),
            Some(code) if code == i32::from(SKIPPED) => Outcome::Skipped,
            _ => {
                let deep = if self.is_deep { "--deep " } else { "" };
                println!("    To repeat this step: cargo xtask test {deep}--only {}", step.name);
                Outcome::Failed(ended.duration)
            }
        };
        self.states[ended.index] = State::Ended(outcome);
        Ok(())
    }

    fn report(&self, total: Duration) -> Report {
        let mut report = Report::new(total);
        for (step, state) in self.steps.iter().zip(&self.states) {
            report.add(
                step.name,
                match *state {
                    State::Ended(outcome) => outcome,
                    State::Waiting | State::Running => Outcome::NotRun,
                },
            );
        }
        report
    }
}

/// Runs a command to its end. Returns its exit status and its output: standard output and standard
/// error, also of the programs that it started.
pub(super) fn run_captured(command: &mut Command) -> Result<(ExitStatus, String)> {
    // A file: a pipe would stay open as long as a program that outlives the command.
    let mut file = tempfile::tempfile().context("cannot make a temporary file")?;
    let status = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file.try_clone()?)
        .status()
        .with_context(|| format!("`{}` could not be started", command.get_program().display()))?;
    let mut output = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut output)?;
    Ok((status, String::from_utf8_lossy(&output).into_owned()))
}

#[expect(clippy::disallowed_methods, reason = "measures how long a step takes")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass() -> Result<Done> {
        Ok(Done::Passed)
    }

    const STEPS: [Step; 3] = [
        Step { name: "build", what: "", needs: &[], run: pass },
        Step { name: "test", what: "", needs: &["build"], run: pass },
        Step { name: "doc", what: "", needs: &[], run: pass },
    ];

    #[test]
    fn step_waits_for_its_needs_while_others_start() {
        let mut schedule = Schedule::new(&STEPS, false);
        assert_eq!(schedule.next(), Some(0));
        schedule.states[0] = State::Running;
        assert_eq!(schedule.next(), Some(2));
        schedule.states[2] = State::Running;
        assert_eq!(schedule.next(), None);
        schedule.states[0] = State::Ended(Outcome::Passed(Duration::ZERO));
        assert_eq!(schedule.next(), Some(1));
    }

    #[test]
    fn no_step_starts_after_a_failure() {
        let mut schedule = Schedule::new(&STEPS, false);
        schedule.states[2] = State::Ended(Outcome::Failed(Duration::ZERO));
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn captured_output_has_both_streams() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let (status, output) = run_captured(&mut command).unwrap();
        assert_eq!((status.code(), output.as_str()), (Some(3), "out\nerr\n"));
    }
}
