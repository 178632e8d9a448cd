//! Logs, on standard error: standard output is for the results of a command.

use tracing_subscriber::EnvFilter;

use crate::output::{self, LogFlush, LogWriter};

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts logging, and returns a guard that writes pending lines when the command ends.
/// `TICKWIRE_LOG` overrides the level: `debug`, or `tickwire_hub=debug` for a crate.
///
/// # Errors
/// If the thread that writes log lines cannot be started.
pub(crate) fn begin(format: LogFormat, default_level: &str) -> std::io::Result<LogFlush> {
    let filter = EnvFilter::try_from_env("TICKWIRE_LOG").unwrap_or_else(|_| default_level.into());
    let writer = LogWriter::start()?;
    let flush = LogFlush::new(writer.clone());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(output::stderr_is_terminal())
        .log_internal_errors(false)
        .with_writer(move || writer.clone());
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(flush)
}
