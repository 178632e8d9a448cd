//! Turns of the fan-out core with fixed input, to be run under callgrind, which counts the instructions
//! of [`measured`] and of nothing else: `cargo xtask bench instructions` does all of it.
//!
//! Without an argument it lists its cases. With the name of one it runs that, and prints how many
//! units were measured and what a unit is.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

use std::env;
use std::hint::black_box;
use std::process::ExitCode;

use tickwire_benches::{RouterRig, Scene, ShardRig};
use tickwire_protocol::Encoding;

struct Case {
    name: &'static str,
    subject: Subject,
    scene: Scene,
    /// What its sessions are sent.
    encoding: Encoding,
    /// Turns measured. More do not make it more exact, only slower.
    turns: usize,
}

/// Whose turns are measured, and per what.
enum Subject {
    /// Numbering, batch and log, per tick.
    Router,
    /// A whole turn of a shard, frames included, per tick.
    ShardTick,
    /// The same per delivery: every tick counts once for each session that gets it.
    ShardDelivery,
}

/// Where a turn is about a hundred deliveries or none.
const MANY: usize = 100;
/// Where it is ten thousands.
const FEW: usize = 4;
/// Where each session has a slot in every tenth turn: two slots for each.
const SLOTS: usize = 20;

fn cases() -> [Case; 17] {
    let newest = |symbols| Scene::wildcard(symbols).latest(None);
    [
        case("router-1", Subject::Router, Scene::unwanted(1), MANY),
        case("router-1000", Subject::Router, Scene::unwanted(1_000), MANY),
        case("router-100000", Subject::Router, Scene::unwanted(100_000), MANY),
        case("unwanted-1", Subject::ShardTick, Scene::unwanted(1), MANY),
        case("unwanted-1000", Subject::ShardTick, Scene::unwanted(1_000), MANY),
        case("unwanted-100000", Subject::ShardTick, Scene::unwanted(100_000), MANY),
        case("wildcard-1", Subject::ShardTick, Scene::wildcard(1), MANY),
        case("wildcard-1000", Subject::ShardTick, Scene::wildcard(1_000), MANY),
        case("wildcard-100000", Subject::ShardTick, Scene::wildcard(100_000), MANY),
        case("wildcard-latest-1", Subject::ShardTick, newest(1), MANY),
        case("wildcard-latest-1000", Subject::ShardTick, newest(1_000), MANY),
        case("wildcard-latest-100000", Subject::ShardTick, newest(100_000), MANY),
        case("hot-1000", Subject::ShardDelivery, Scene::HOT, FEW),
        case("hot-10000", Subject::ShardDelivery, Scene::CROWD, FEW),
        case("board", Subject::ShardDelivery, Scene::BOARD, FEW),
        Case {
            encoding: Encoding::MsgpackMap,
            ..case("board-map", Subject::ShardDelivery, Scene::BOARD, FEW)
        },
        case("board-latest", Subject::ShardDelivery, Scene::BOARD.latest(Some(10.0)), SLOTS),
    ]
}

fn case(name: &'static str, subject: Subject, scene: Scene, turns: usize) -> Case {
    Case { name, subject, scene, encoding: Encoding::MsgpackArray, turns }
}

fn main() -> ExitCode {
    let Some(name) = env::args().nth(1) else {
        cases().iter().for_each(|case| println!("{}", case.name));
        return ExitCode::SUCCESS;
    };
    let Some(case) = cases().into_iter().find(|case| case.name == name) else {
        eprintln!("error: no such case: {name}; without an argument all are listed");
        return ExitCode::from(2);
    };
    let (units, unit) = case.run();
    println!("{units} {unit}");
    ExitCode::SUCCESS
}

impl Case {
    /// Runs it, and says how many units were measured and what a unit is.
    fn run(&self) -> (u64, &'static str) {
        let ticks = (self.turns * self.scene.ticks_per_turn) as u64;
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
        let mut rig = RouterRig::new(self.scene);
        for _ in 0..self.turns {
            let ticks = rig.ticks();
            measured(|| rig.turn(ticks));
        }
    }

    /// Says how many ticks were delivered.
    fn run_shard(&self) -> u64 {
        let mut rig = ShardRig::new(self.scene, self.encoding);
        let before = rig.delivered();
        for _ in 0..self.turns {
            let batch = rig.batch();
            measured(|| rig.turn(batch));
        }
        rig.delivered() - before
    }
}

/// Callgrind finds it by its name: it counts from where this is entered to where it is left.
#[inline(never)]
fn measured(work: impl FnOnce()) {
    work();
    black_box(()); // something to come back to: this must not end in a jump into the work
}
