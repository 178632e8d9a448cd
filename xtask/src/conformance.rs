//! The hub's WebSocket against RFC 6455: the cases of the Autobahn suite, as kosoku runs them, sent to
//! the example `echo`, which is the hub with another answer to messages.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, thread};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::{python, shell};

/// The suite, as pip takes it.
const SUITE: &str = "kosoku==0.1.0";
/// Cases outside [`LEFT_OUT`].
const CASES: usize = 301;
/// Cases of permessage-deflate, which the hub does not offer.
const LEFT_OUT: [&str; 2] = ["12.*", "13.*"];
const CASES_LEFT_OUT: usize = 216;
/// Cases at a time; some send 16 MiB.
const PARALLEL: &str = "4";
/// How long all cases may take together. They take some seconds.
const TIME_MAX: Duration = Duration::from_secs(300);

/// How a case went, and how the closing handshake behind it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    behavior: String,
    behavior_close: String,
    #[serde(rename = "reportfile")]
    report: String,
}

impl Case {
    /// Whether RFC 6455 allows it. "Non-strict" is a fault found later than it could have been.
    fn passed(&self) -> bool {
        let good = |how: &str| matches!(how, "OK" | "NON-STRICT" | "INFORMATIONAL");
        good(&self.behavior) && good(&self.behavior_close)
    }
}

/// The cases by their names, of the one server under test.
type Results = BTreeMap<String, Case>;

/// Runs all cases.
///
/// # Errors
/// A case fails, or is missing, or the suite cannot be had or run.
pub(crate) fn check() -> Result<()> {
    let folder = target_folder()?.join("conformance");
    let python = python::environment(&folder.join("python"), SUITE)?;
    shell::run(&mut shell::cargo(&[
        "build",
        "--locked",
        "-p",
        "tickwire-hub",
        "--example",
        "echo",
    ]))?;
    let echo = Echo::start()?;
    let reports = folder.join("reports");
    run_cases(&python, &reports, &echo.address)?;
    let index = reports.join("index.json");
    let text = fs::read_to_string(&index).context("the suite left no report")?;
    judge(&read_results(&text).with_context(|| format!("in {}", index.display()))?, &reports)
}

/// The build folder that this program runs from.
fn target_folder() -> Result<PathBuf> {
    let program = env::current_exe().context("where is the running program?")?;
    Ok(program.ancestors().nth(2).context("xtask does not run from a target folder")?.to_owned())
}

/// The echo server, as a process; ended when dropped.
struct Echo {
    process: Child,
    address: String,
}

impl Echo {
    fn start() -> Result<Self> {
        let program = env::current_exe()?.with_file_name("examples").join("echo");
        let mut process = Command::new(&program)
            .arg("127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("`{}` could not be started", program.display()))?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line.trim().strip_prefix("listening on ws://").unwrap_or_default().to_owned();
        let echo = Self { process, address };
        if echo.address.is_empty() {
            bail!("the echo server does not say where it listens, but {line:?}");
        }
        Ok(echo)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _ended_already = self.process.wait();
    }
}

fn run_cases(python: &Path, reports: &Path, address: &str) -> Result<()> {
    if reports.is_dir() {
        fs::remove_dir_all(reports)?;
    }
    let mut command = Command::new(python.with_file_name("kosoku"));
    command.args(["--mode", "fuzzingclient", "--parallelism", PARALLEL]);
    for cases in LEFT_OUT {
        command.args(["--exclude", cases]);
    }
    command.arg("--outdir").arg(reports).arg(address);
    let mut suite = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let pause = Duration::from_millis(50);
    for _ in 0..TIME_MAX.as_millis() / pause.as_millis() {
        if suite.try_wait()?.is_some() {
            return Ok(()); // its status is that of the cases, which are in its report
        }
        thread::sleep(pause);
    }
    suite.kill()?;
    suite.wait()?;
    bail!("the suite did not end in {} s", TIME_MAX.as_secs())
}

/// The results in the suite's index, which has them by server.
fn read_results(text: &str) -> Result<Results> {
    let servers: BTreeMap<String, Results> = serde_json::from_str(text)?;
    servers.into_values().next().context("no server was tested")
}

/// Says which cases failed; an error if any did, or if there were fewer than there are.
fn judge(results: &Results, reports: &Path) -> Result<()> {
    let failed: Vec<_> = results.iter().filter(|(_, case)| !case.passed()).collect();
    for (name, case) in &failed {
        let report = reports.join(&case.report);
        println!("{name}: {}, close {}: {}", case.behavior, case.behavior_close, report.display());
    }
    let passed = results.len() - failed.len();
    println!("conformance: {passed} passed, {} failed, {CASES_LEFT_OUT} skipped", failed.len());
    match passed {
        CASES.. => Ok(()),
        _ if failed.is_empty() => bail!("only {passed} of {CASES} cases were run"),
        _ => bail!("{} cases failed", failed.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(cases: usize, last: &str) -> Results {
        let case = |number, behavior: &str| {
            format!(
                r#""{number}":{{"behavior":"{behavior}","behaviorClose":"OK","duration":1,
                   "remoteCloseCode":1000,"reportfile":"{number}.json"}}"#
            )
        };
        let mut all: Vec<_> = (1..cases).map(|number| case(number, "OK")).collect();
        all.push(case(cases, last));
        read_results(&format!(r#"{{"127.0.0.1:1":{{{}}}}}"#, all.join(","))).unwrap()
    }

    #[test]
    fn all_cases_must_have_been_run_and_have_passed() {
        let judge = |cases, last| judge(&results(cases, last), Path::new("reports"));
        judge(CASES, "NON-STRICT").unwrap();
        assert_eq!(judge(CASES, "FAILED").unwrap_err().to_string(), "1 cases failed");
        let text = judge(CASES - 1, "OK").unwrap_err().to_string();
        assert_eq!(text, "only 300 of 301 cases were run");
    }
}
