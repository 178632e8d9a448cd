//! Checks the hub's WebSocket against RFC 6455. kosoku runs the cases of the Autobahn suite against
//! the example `echo`, which is the hub with sessions that echo every message.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::{programs, python, target};

/// The suite, as a requirement for pip.
const SUITE: &str = "kosoku==0.1.0";
/// Number of cases that must pass: all except those in [`EXCLUDED`].
const CASES: usize = 301;
/// The cases of permessage-deflate, which the hub does not offer.
const EXCLUDED: [&str; 2] = ["12.*", "13.*"];
const EXCLUDED_CASES: usize = 216;
/// How many cases run at the same time; some send 16 MiB.
const PARALLEL: &str = "4";
/// How long all cases together may take. They take some seconds.
const SUITE_TIMEOUT: Duration = Duration::from_secs(300);

/// The results of one case and of the closing handshake at its end.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    behavior: String,
    behavior_close: String,
    #[serde(rename = "reportfile")]
    report: String,
}

impl Case {
    /// Returns whether RFC 6455 allows the hub's behaviour. "Non-strict" means that the hub could
    /// have found the fault in its input earlier.
    fn passed(&self) -> bool {
        let is_allowed = |result: &str| matches!(result, "OK" | "NON-STRICT" | "INFORMATIONAL");
        is_allowed(&self.behavior) && is_allowed(&self.behavior_close)
    }
}

/// The results of the cases, by the name of the case.
type Results = BTreeMap<String, Case>;

/// Installs the suite and runs all cases.
///
/// # Errors
/// Fails if a case fails or is missing, or the suite cannot be installed or run.
pub(crate) fn check() -> Result<()> {
    let folder = target::folder()?.join("conformance");
    let python = python::environment(&folder.join("python"), SUITE)?;
    programs::build()?;
    let echo = Echo::start()?;
    let reports = folder.join("reports");
    run_cases(&python, &reports, &echo.address)?;
    let index = reports.join("index.json");
    let text = fs::read_to_string(&index).context("the suite left no report")?;
    judge(&read_results(&text).with_context(|| format!("in {}", index.display()))?, &reports)
}

/// The echo server, as a process. Dropping it kills the process.
struct Echo {
    process: Child,
    address: String,
}

impl Echo {
    fn start() -> Result<Self> {
        let program = programs::echo()?;
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
            bail!("the echo server printed {line:?}, expected its address");
        }
        Ok(echo)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _already_ended = self.process.kill();
        let _already_ended = self.process.wait();
    }
}

/// Runs the suite and waits until it has written its reports.
fn run_cases(python: &Path, reports: &Path, address: &str) -> Result<()> {
    if reports.is_dir() {
        fs::remove_dir_all(reports)?;
    }
    let mut command = Command::new(python.with_file_name("kosoku"));
    command.args(["--mode", "fuzzingclient", "--parallelism", PARALLEL]);
    for cases in EXCLUDED {
        command.args(["--exclude", cases]);
    }
    command.arg("--outdir").arg(reports).arg(address);
    let mut suite = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let pause = Duration::from_millis(50);
    for _ in 0..SUITE_TIMEOUT.as_millis() / pause.as_millis() {
        if suite.try_wait()?.is_some() {
            return Ok(()); // the exit status repeats the results, which are read from the report
        }
        thread::sleep(pause);
    }
    suite.kill()?;
    suite.wait()?;
    bail!("the suite did not end within {} s", SUITE_TIMEOUT.as_secs())
}

/// Reads the suite's index, which lists the results by server.
fn read_results(text: &str) -> Result<Results> {
    let servers: BTreeMap<String, Results> = serde_json::from_str(text)?;
    servers.into_values().next().context("no server was tested")
}

/// Prints the failed cases. Returns an error if a case failed or did not run.
fn judge(results: &Results, reports: &Path) -> Result<()> {
    let failed: Vec<_> = results.iter().filter(|(_, case)| !case.passed()).collect();
    for (name, case) in &failed {
        let report = reports.join(&case.report);
        println!("{name}: {}, close {}: {}", case.behavior, case.behavior_close, report.display());
    }
    let passed = results.len() - failed.len();
    println!("conformance: {passed} passed, {} failed, {EXCLUDED_CASES} skipped", failed.len());
    match passed {
        CASES.. => Ok(()),
        _ if failed.is_empty() => bail!("only {passed} of {CASES} cases ran"),
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
    fn every_case_must_run_and_pass() {
        let judge = |cases, last| judge(&results(cases, last), Path::new("reports"));
        judge(CASES, "NON-STRICT").unwrap();
        assert_eq!(judge(CASES, "FAILED").unwrap_err().to_string(), "1 cases failed");
        let text = judge(CASES - 1, "OK").unwrap_err().to_string();
        assert_eq!(text, "only 300 of 301 cases ran");
    }
}
