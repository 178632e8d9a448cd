//! Fits limits on connections to the open-file limit of the process.

use super::{Config, ConfigError};

/// Files that a process needs in addition to its connections: listener, event queues, log, standard
/// streams.
const OTHER_FILES: usize = 64;

impl Config {
    /// Lowers the defaults of `sessions_max` and `http_connections_max` to what the process may
    /// open.
    ///
    /// # Errors
    /// Fails if `sessions_max` was set and does not fit.
    pub fn fit_files(&mut self, open_files_max: u64) -> Result<(), ConfigError> {
        let default = Self::default();
        let files = usize::try_from(open_files_max).unwrap_or(usize::MAX);
        if self.http_connections_max == default.http_connections_max {
            self.http_connections_max = default.http_connections_max.min((files / 64).max(1));
        }
        let other = OTHER_FILES + self.publishers_max.min(files / 64) + self.http_connections_max;
        let fits = files.saturating_sub(other).max(1);
        if self.sessions_max <= fits {
            return Ok(());
        }
        if self.sessions_max != default.sessions_max {
            let allowed = format!(
                "the process may open {files} files (ulimit -n), enough for {fits} sessions"
            );
            return Err(ConfigError::setting("sessions_max", self.sessions_max, allowed));
        }
        self.sessions_max = fits;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_default_number_of_sessions_is_fitted_to_the_open_files() {
        let mut config = Config::default();
        config.fit_files(10_000).unwrap();
        assert!(config.sessions_max < 10_000 && config.sessions_max > 8_000);
        let mut config = Config { sessions_max: 15_000, ..Config::default() };
        let text = config.fit_files(10_000).unwrap_err().to_string();
        assert!(text.contains("15000") && text.contains("10000"), "{text}");
    }
}
