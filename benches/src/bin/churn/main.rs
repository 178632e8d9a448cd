//! Measures the cost of commands for the shards of a running hub, which may deliver ticks at the
//! same time. One session subscribes to 10,000 symbols in one command. Then many sessions
//! unsubscribe from 50 symbols and subscribe again, at a fixed total rate. Every response is
//! checked. The times of turns are those of the hub's metrics.
//!
//! With `--new-names N` it instead publishes a tick of each of N new symbols and prints the
//! router's time for their first ticks.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod drive;
mod metrics;
mod new_names;
mod options;
mod session;
mod universe;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser as _;
use drive::Answers;
use metrics::Metrics;
use new_names::FirstTicks;
use options::Options;
use universe::{NAMES, Universe, WideCommandTimes};

/// A result whose error is only printed.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Target for the time of a shard's turn, an upper bound of a bucket in the hub's histogram.
const TURN_MAX_SECONDS: f64 = 0.005;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    if let Some(names) = options.new_names {
        print_first_ticks(&new_names::publish(&options.hub, names)?);
        return Ok(());
    }
    let universe = Universe::fetch(&options.hub)?;
    let mut before = Metrics::scrape(&options.hub)?;
    for (what, answer) in universe.time_wide_commands(&options.hub)? {
        let answer = answer?;
        let after = Metrics::scrape(&options.hub)?;
        print_wide_command(what, &answer, &after.since(&before));
        before = after;
    }
    let sessions = drive::open(options, &universe)?;
    let before = Metrics::scrape(&options.hub)?;
    let began = now();
    let answered = drive::run(options, sessions)?;
    let meanwhile = Metrics::scrape(&options.hub)?.since(&before);
    print_churn(options, &answered, &meanwhile, began.elapsed());
    Ok(())
}

fn print_first_ticks(FirstTicks { names, meanwhile }: &FirstTicks) {
    let router = &meanwhile.router;
    println!(
        "first ticks of {names} symbols: {:.0} ns of the router for each",
        router.seconds() * 1e9 / *names as f64,
    );
    println!(
        "router turns: {}, mean {:.3} ms, p50 {}, p99 {}, longest {}",
        router.count(),
        router.mean_seconds() * 1e3,
        router.quantile(0.5),
        router.quantile(0.99),
        router.quantile(1.0),
    );
}

fn print_wide_command(what: &str, answer: &WideCommandTimes, meanwhile: &Metrics) {
    println!(
        "{what} {} symbols: acknowledged in {:.1} ms, complete in {:.1} ms, longest turn meanwhile {}",
        universe::SYMBOLS,
        millis(answer.acked),
        millis(answer.complete),
        meanwhile.shards.quantile(1.0),
    );
}

fn print_churn(options: &Options, answered: &Answers, meanwhile: &Metrics, wall: Duration) {
    let latency = |share| millis(answered.latency(share));
    println!(
        "commands with {NAMES} symbols: {} by {} sessions, {:.0}/s answered of {}/s sent",
        answered.count(),
        options.sessions,
        answered.per_second(),
        options.rate,
    );
    println!(
        "response time: p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
        latency(0.5),
        latency(0.99),
        latency(1.0),
    );
    let turns = &meanwhile.shards;
    println!(
        "turns: {}, mean {:.3} ms, p50 {}, p99 {}, longest {}, {} above {} ms",
        turns.count(),
        turns.mean_seconds() * 1e3,
        turns.quantile(0.5),
        turns.quantile(0.99),
        turns.quantile(1.0),
        turns.above(TURN_MAX_SECONDS),
        TURN_MAX_SECONDS * 1e3,
    );
    println!("meanwhile: {:.0} ticks/s delivered", meanwhile.delivered / wall.as_secs_f64());
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[expect(clippy::disallowed_methods, reason = "a driver: times what it measures")]
fn now() -> Instant {
    Instant::now()
}
