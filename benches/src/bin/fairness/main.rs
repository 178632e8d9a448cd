//! Measures what honest clients of a hub notice of attacks: a hub for each attack, measured first
//! without it and then with it. Users run it as `cargo xtask bench fairness`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod attack;
mod attacks;
mod counts;
mod live;
mod market;
mod measurement;
mod options;
mod peer;
mod probes;
mod samples;
mod stage;
mod table;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;
use tickwire_benches::processes;
use tokio::runtime::Builder;

use options::Options;
use stage::Stage;
use table::Table;

/// Files that the process opens: the connections of the largest attack, and some more.
const FILES: u64 = 10_000;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    rlimit::increase_nofile_limit(FILES)?;
    let tickwire = processes::tickwire(options.tickwire.as_deref())?;
    // One thread for the honest clients; those that attack have one of their own.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut table = Table::default();
    for attack in options.attacks() {
        eprintln!("{}: {}", attack.name, attack.about);
        let rows = runtime.block_on(async {
            let stage = Stage::set(&tickwire, attack).await?;
            stage.measure(options.duration()).await
        })?;
        rows.into_iter().for_each(|row| table.push(row));
    }
    print!("{}", if options.markdown { table.markdown() } else { table.text() });
    Ok(())
}
