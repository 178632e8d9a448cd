//! Logs, on standard error: standard output is for the results of a command.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts logging. `TICKWIRE_LOG` overrides the level: `debug`, or `tickwire_hub=debug` for a
/// crate.
pub(crate) fn begin(format: LogFormat, default_level: &str) {
    let filter = EnvFilter::try_from_env("TICKWIRE_LOG").unwrap_or_else(|_| default_level.into());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}
