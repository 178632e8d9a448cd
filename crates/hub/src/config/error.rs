//! Errors of the configuration.

use std::fmt::Display;

/// A configuration that cannot be read or is not allowed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The config file cannot be read.
    #[error("cannot read config file {path}")]
    Read {
        /// Path of the file.
        path: String,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The config file is not TOML, or has an unknown setting or a value of the wrong type.
    #[error("config file {path}, line {line}: {message}")]
    Parse {
        /// Path of the file.
        path: String,
        /// Number of the faulty line, from 1.
        line: usize,
        /// What is wrong in that line, and what is allowed.
        message: String,
    },
    /// A setting has a value that is not allowed.
    #[error("{name} is {given}: {allowed}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// The value that was given.
        given: String,
        /// Description of the allowed values.
        allowed: String,
    },
}

impl ConfigError {
    /// Creates an error about the value of a setting.
    pub(super) fn setting(name: &'static str, given: impl Display, allowed: impl Display) -> Self {
        Self::Setting { name, given: given.to_string(), allowed: allowed.to_string() }
    }
}
