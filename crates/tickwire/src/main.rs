//! `tickwire`: self-hosted stock-ticker pub/sub. One binary; every command is a thin shell around a
//! library crate.

mod demo;
mod feed;
mod flags;
mod healthcheck;
mod hub;
mod keys;
mod load;
mod logging;
mod shutdown;
mod tls;
mod token;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Self-hosted stock-ticker pub/sub: feeds publish, browsers and bots subscribe.
#[derive(Debug, Parser)]
#[command(name = "tickwire", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A hub with a simulated market in one process: try this first
    Demo(demo::Args),
    /// The server: takes ticks from feeds and fans them out to subscribers
    Hub(hub::Args),
    /// Publishes ticks into a hub, or writes them to a file
    Feed(feed::Args),
    /// Shows live prices on the terminal, or one line per tick when piped
    Watch(watch::Args),
    /// Load test: thousands of subscribers from one process
    Load(load::Args),
    /// Makes, shows and revokes the keys that open a hub
    Keys(keys::Args),
    #[command(hide = true)]
    Healthcheck(healthcheck::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(args) => demo::run(args),
        Command::Hub(args) => hub::run(args),
        Command::Feed(args) => feed::run(args),
        Command::Watch(args) => watch::run(args),
        Command::Load(args) => load::run(args),
        Command::Keys(args) => keys::run(args),
        Command::Healthcheck(args) => healthcheck::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "a command's last words belong on the terminal")]
fn report(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
