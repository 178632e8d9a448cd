//! `tickwire`: self-hosted stock-ticker pub/sub. One binary; each command is a thin shell around a
//! library crate.

mod cli;
mod completions;
mod config;
mod connection;
mod demo;
mod environment;
mod feed;
mod flags;
mod healthcheck;
mod hub;
mod keys;
mod load;
mod logging;
mod man;
mod output;
#[cfg(test)]
mod reference;
mod shutdown;
mod tls;
mod token;
mod watch;

use std::process::ExitCode;

use cli::Command;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = cli::parse().command;
    if matches!(
        &command,
        Command::Demo(_) | Command::Feed(_) | Command::Watch(_) | Command::Load(_)
    ) {
        for warning in environment::unknown_variables() {
            output::notice(&format!("warning: {warning}"));
        }
    }
    let result = match command {
        Command::Demo(args) => demo::run(args),
        Command::Hub(args) => hub::run(args),
        Command::Feed(args) => feed::run(args),
        Command::Watch(args) => watch::run(args),
        Command::Load(args) => load::run(args),
        Command::Keys(args) => keys::run(args),
        Command::Config(args) => config::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Healthcheck(args) => healthcheck::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::last_notice(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
