//! Runs turns of the fan-out core with fixed input under callgrind, which counts only the
//! instructions of [`measured`]. `cargo xtask bench instructions` builds and runs it.
//!
//! Without an argument, the program lists its cases. With the name of a case, it runs that case and
//! prints how many units were measured and what a unit is.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

use std::env;
use std::hint::black_box;
use std::process::ExitCode;

use tickwire_benches::{RouterHarness, ShardHarness, Workload};
use tickwire_protocol::Encoding;

struct Case {
    name: &'static str,
    subject: Subject,
    workload: Workload,
    /// Encoding of the sessions.
    encoding: Encoding,
    /// Number of turns measured. More turns do not give a more exact count.
    turns: usize,
}

/// What is measured, and per which unit.
enum Subject {
    /// A turn of the router (numbering, batch and log), per tick.
    Router,
    /// A whole turn of a shard, including frames, per tick.
    ShardTick,
    /// A whole turn of a shard, per delivery: each tick counts once for each session that receives
    /// it.
    ShardDelivery,
}

/// Number of turns for cases with at most some hundred deliveries a turn.
const MANY_TURNS: usize = 100;
/// Number of turns for cases with tens of thousands of deliveries a turn.
const FEW_TURNS: usize = 4;
/// Number of turns for cases in which each session is sent to in every tenth turn: twice each.
const PACED_TURNS: usize = 20;

fn cases() -> [Case; 17] {
    let newest = |symbols| Workload::wildcard(symbols).latest(None);
    [
        case("router-1", Subject::Router, Workload::unwanted(1), MANY_TURNS),
        case("router-1000", Subject::Router, Workload::unwanted(1_000), MANY_TURNS),
        case("router-100000", Subject::Router, Workload::unwanted(100_000), MANY_TURNS),
        case("unwanted-1", Subject::ShardTick, Workload::unwanted(1), MANY_TURNS),
        case("unwanted-1000", Subject::ShardTick, Workload::unwanted(1_000), MANY_TURNS),
        case("unwanted-100000", Subject::ShardTick, Workload::unwanted(100_000), MANY_TURNS),
        case("wildcard-1", Subject::ShardTick, Workload::wildcard(1), MANY_TURNS),
        case("wildcard-1000", Subject::ShardTick, Workload::wildcard(1_000), MANY_TURNS),
        case("wildcard-100000", Subject::ShardTick, Workload::wildcard(100_000), MANY_TURNS),
        case("wildcard-latest-1", Subject::ShardTick, newest(1), MANY_TURNS),
        case("wildcard-latest-1000", Subject::ShardTick, newest(1_000), MANY_TURNS),
        case("wildcard-latest-100000", Subject::ShardTick, newest(100_000), MANY_TURNS),
        case("hot-1000", Subject::ShardDelivery, Workload::HOT_1000, FEW_TURNS),
        case("hot-10000", Subject::ShardDelivery, Workload::HOT_10000, FEW_TURNS),
        case("board", Subject::ShardDelivery, Workload::BOARD, FEW_TURNS),
        Case {
            encoding: Encoding::MsgpackMap,
            ..case("board-map", Subject::ShardDelivery, Workload::BOARD, FEW_TURNS)
        },
        case(
            "board-latest",
            Subject::ShardDelivery,
            Workload::BOARD.latest(Some(10.0)),
            PACED_TURNS,
        ),
    ]
}

fn case(name: &'static str, subject: Subject, workload: Workload, turns: usize) -> Case {
    Case { name, subject, workload, encoding: Encoding::MsgpackArray, turns }
}

fn main() -> ExitCode {
    let Some(name) = env::args().nth(1) else {
        cases().iter().for_each(|case| println!("{}", case.name));
        return ExitCode::SUCCESS;
    };
    let Some(case) = cases().into_iter().find(|case| case.name == name) else {
        eprintln!("error: unknown case {name}; run without an argument to list all cases");
        return ExitCode::from(2);
    };
    let (units, unit) = case.run();
    println!("{units} {unit}");
    ExitCode::SUCCESS
}

impl Case {
    /// Runs the case and returns how many units were measured and what a unit is.
    fn run(&self) -> (u64, &'static str) {
        let ticks = (self.turns * self.workload.ticks_per_turn) as u64;
        match self.subject {
            Subject::Router => {
                self.run_router();
                (ticks, "tick")
            }
            Subject::ShardTick => {
                self.run_shard();
                (ticks, "tick")
            }
            Subject::ShardDelivery => (self.run_shard(), "delivery"),
        }
    }

    fn run_router(&self) {
        let mut harness = RouterHarness::new(self.workload);
        for _ in 0..self.turns {
            let ticks = harness.ticks();
            measured(|| harness.turn(ticks));
        }
    }

    /// Returns how many ticks were delivered.
    fn run_shard(&self) -> u64 {
        let mut harness = ShardHarness::new(self.workload, self.encoding);
        let before = harness.delivered();
        for _ in 0..self.turns {
            let batch = harness.batch();
            measured(|| harness.turn(batch));
        }
        harness.delivered() - before
    }
}

/// Runs `work`. Callgrind counts the instructions of this function, which it finds by its name.
#[inline(never)]
fn measured(work: impl FnOnce()) {
    work();
    black_box(()); // prevents a tail call, after which callgrind would not see the return
}
