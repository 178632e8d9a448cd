//! Runs the compiled tests of the workspace, several programs at a time. `cargo test` runs one
//! after the other, although most of them wait for sockets and timers.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::requirements;
use super::schedule::run_captured;
use crate::shell::{self, cargo};

/// How many test programs run at the same time.
const PROGRAMS: usize = 3;
/// How many tests of a program run at the same time: more than processors, since most tests wait.
const TEST_THREADS: &str = "8";
/// The programs that take longest. They start first.
const SLOWEST: [&str; 4] = ["hub", "exactly_once", "simulation", "fanout_model"];

/// A test program, or the documentation tests.
struct Job {
    name: String,
    command: Command,
}

/// A message of `cargo test --message-format=json` about something that cargo has compiled.
#[derive(Deserialize)]
struct Artifact {
    #[serde(default)]
    executable: Option<PathBuf>,
    #[serde(default)]
    manifest_path: PathBuf,
    profile: Option<Profile>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Compiles all tests and runs them with these environment variables.
///
/// # Errors
/// A test does not compile or fails, or a requirement names a test that does not exist.
pub(super) fn run(environment: &[(&str, &str)]) -> Result<()> {
    let artifacts = compile()?;
    let mut tests = String::new();
    for artifact in &artifacts {
        tests +=
            &shell::output(Command::new(&artifact.path).args(["--list", "--format", "terse"]))?;
    }
    requirements::check_rust_tests(&tests)?;
    let mut jobs: Vec<Job> = artifacts.into_iter().map(TestProgram::into_job).collect();
    let is_slow = |job: &Job| SLOWEST.iter().any(|name| job.name.ends_with(name));
    jobs.sort_by_key(|job| !is_slow(job));
    jobs.push(Job {
        name: "documentation".to_owned(),
        command: cargo(&["test", "--doc", "--workspace", "--locked"]),
    });
    for job in &mut jobs {
        job.command.envs(environment.iter().copied());
    }
    run_jobs(jobs)
}

/// A compiled test program.
struct TestProgram {
    name: String,
    path: PathBuf,
    /// The folder of its package, in which it runs.
    folder: PathBuf,
}

impl TestProgram {
    /// Returns the program of an artifact, if the artifact is one.
    fn of(artifact: Artifact) -> Option<Self> {
        if !artifact.profile?.test {
            return None;
        }
        let folder = artifact.manifest_path.parent()?.to_owned();
        let package = folder.file_name()?.display();
        let name = format!("{package}/{}", artifact.target?.name);
        Some(Self { name, path: artifact.executable?, folder })
    }

    fn into_job(self) -> Job {
        let mut command = Command::new(self.path);
        command.args(["--test-threads", TEST_THREADS]).current_dir(&self.folder);
        command.env("CARGO_MANIFEST_DIR", self.folder);
        Job { name: self.name, command }
    }
}

/// Compiles all test programs.
fn compile() -> Result<Vec<TestProgram>> {
    let mut command = cargo(&["test", "--workspace", "--locked", "--no-run"]);
    command.arg("--message-format=json-render-diagnostics");
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo could not be started")?;
    if !output.status.success() {
        bail!("the tests do not compile");
    }
    let text = String::from_utf8(output.stdout).context("cargo printed text that is not UTF-8")?;
    let mut programs = Vec::new();
    for line in text.lines() {
        let artifact: Artifact = serde_json::from_str(line).context("a message of cargo")?;
        programs.extend(TestProgram::of(artifact));
    }
    Ok(programs)
}

/// Runs the jobs, [`PROGRAMS`] at the same time. Prints the closing line of each, and the whole
/// output of those that fail.
fn run_jobs(jobs: Vec<Job>) -> Result<()> {
    let queue = Mutex::new(VecDeque::from(jobs));
    let failed = Mutex::new(Vec::new());
    let next = || queue.lock().ok()?.pop_front();
    thread::scope(|scope| -> Result<()> {
        let worker = || -> Result<()> {
            while let Some(mut job) = next() {
                let (status, output) = run_captured(&mut job.command)?;
                if status.success() {
                    println!("{}\n{}", job.name, closing_lines(&output));
                } else {
                    println!("{} ended with {status}:\n{}", job.name, output.trim_end());
                    failed.lock().expect("no thread panics with the lock").push(job.name);
                }
            }
            Ok(())
        };
        let workers: Vec<_> = (0..PROGRAMS).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            worker.join().expect("a worker does not panic")?;
        }
        Ok(())
    })?;
    let failed = failed.into_inner().expect("no thread panics with the lock");
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Returns the lines with which test programs end, such as `test result: ok. 3 passed; …`.
fn closing_lines(output: &str) -> String {
    let lines = output.lines().filter(|line| line.starts_with("test result:"));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_artifacts_of_the_test_profile() {
        let program = |test: bool, executable: &str| {
            let text = format!(
                r#"{{"reason":"compiler-artifact","package_id":"x","manifest_path":"/a/hub/Cargo.toml",
                   "target":{{"name":"drain","kind":["test"]}},"profile":{{"test":{test}}},
                   "executable":{executable}}}"#
            );
            TestProgram::of(serde_json::from_str(&text).unwrap())
        };
        let found = program(true, r#""/t/drain-1""#).unwrap();
        assert_eq!((found.name.as_str(), found.folder), ("hub/drain", PathBuf::from("/a/hub")));
        assert!(program(false, r#""/t/drain-1""#).is_none());
        assert!(program(true, "null").is_none());
        let other = serde_json::from_str(r#"{"reason":"build-finished","success":true}"#).unwrap();
        assert!(TestProgram::of(other).is_none());
    }

    #[test]
    fn closing_lines_are_those_of_the_harness() {
        let output = "running 1 test\ntest x ... ok\n\ntest result: ok. 1 passed; 0 failed\n\n";
        assert_eq!(closing_lines(output), "test result: ok. 1 passed; 0 failed");
    }

    #[test]
    fn failed_programs_are_named() {
        let job = |name: &str, program: &str| Job {
            name: name.to_owned(),
            command: Command::new(program),
        };
        run_jobs(vec![job("a", "true"), job("b", "true")]).unwrap();
        let error = run_jobs(vec![job("a", "true"), job("b", "false")]).unwrap_err();
        assert_eq!(error.to_string(), "failed: b");
    }
}
