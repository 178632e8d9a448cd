//! Logs, on standard error: standard output is for the results of a command.

mod printable;

use std::fmt;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::output::{self, LogFlush, LogWriter};
pub(crate) use printable::printable_fields;

/// The allowed values of a log filter.
pub(crate) const EXPECTED: &str = "expected error, warn, info, debug, trace or off, or levels of \
    modules such as info,tickwire_hub=debug";

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Filter of log lines, by level and module.
#[derive(Debug)]
pub(crate) struct LogFilter(EnvFilter);

impl LogFilter {
    /// Parses a level, or levels of modules.
    ///
    /// # Errors
    /// The error names the allowed values.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        // A single word that is no level would be taken for the name of a module, of which
        // everything is logged, and of no other module anything.
        let is_level = |part: &str| !part.is_empty() && part.parse::<LevelFilter>().is_ok();
        let is_known = |part: &str| is_level(part) || part.contains(['=', '[']);
        let parts: Vec<_> = text.split(',').map(str::trim).collect();
        if !parts.iter().copied().all(is_known) {
            return Err(EXPECTED);
        }
        EnvFilter::builder().parse(parts.join(",")).map(Self).map_err(|_| EXPECTED)
    }
}

/// The running log.
pub(crate) struct Log {
    /// Writes pending lines when dropped.
    pub(crate) flush: LogFlush,
    set_filter: Box<dyn Fn(EnvFilter) -> bool + Send + Sync>,
}

impl Log {
    /// Starts logging.
    ///
    /// # Errors
    /// Fails if the thread that writes log lines cannot be started.
    pub(crate) fn start(format: LogFormat, filter: LogFilter) -> std::io::Result<Self> {
        let writer = LogWriter::start()?;
        let flush = LogFlush::new(writer.clone());
        let builder = tracing_subscriber::fmt()
            .with_ansi(output::stderr_is_terminal())
            .log_internal_errors(false)
            .with_writer(move || writer.clone())
            .with_env_filter(filter.0);
        let set_filter: Box<dyn Fn(EnvFilter) -> bool + Send + Sync> = match format {
            LogFormat::Text => {
                let builder = builder.fmt_fields(printable_fields()).with_filter_reloading();
                let handle = builder.reload_handle();
                builder.init();
                Box::new(move |filter| handle.reload(filter).is_ok())
            }
            LogFormat::Json => {
                let builder = builder.json().map_writer(printable::PrintableJson);
                let builder = builder.with_filter_reloading();
                let handle = builder.reload_handle();
                builder.init();
                Box::new(move |filter| handle.reload(filter).is_ok())
            }
        };
        Ok(Self { flush, set_filter })
    }

    /// Changes the filter.
    pub(crate) fn set_filter(&self, filter: LogFilter) {
        if !(self.set_filter)(filter.0) {
            tracing::error!("cannot change the log level");
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_levels_of_modules_are_filters() {
        for text in ["info", "DEBUG", "off", "info,tickwire_hub=debug", "warn, tickwire_hub=trace"]
        {
            assert!(LogFilter::parse(text).is_ok(), "{text}");
        }
        for text in ["", "inof", "info,", "tickwire_hub", "tickwire_hub=loud"] {
            assert_eq!(LogFilter::parse(text).map(drop), Err(EXPECTED), "{text}");
        }
    }
}
