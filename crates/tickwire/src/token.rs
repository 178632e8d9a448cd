//! The key or token with which a command authenticates to a hub.

use std::path::PathBuf;

use crate::flags::usage;

/// Flags for the key or token with which a command authenticates.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenArgs {
    /// Key for the hub, or its publish token. Other users of the machine can see flags, so prefer
    /// --token-file or the environment variable
    #[arg(long, value_name = "ID:SECRET", env = "TICKWIRE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// File with the key or token
    #[arg(long, value_name = "FILE", env = "TICKWIRE_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl TokenArgs {
    /// Returns the token, or `None` if none is given or the given one is empty. Exits if both flags
    /// are given or the file cannot be read.
    pub(crate) fn read(self) -> Option<String> {
        match (self.token.filter(|token| !token.is_empty()), self.token_file) {
            (token, None) => token,
            (None, Some(path)) => {
                let text = std::fs::read_to_string(&path);
                let text = text.unwrap_or_else(|error| {
                    usage(&format!("--token-file {}: cannot read it: {error}", path.display()))
                });
                Some(text.trim().to_owned())
            }
            (Some(_), Some(path)) => usage(&format!(
                "--token-file {}: expected no --token with it (TICKWIRE_TOKEN counts as one)",
                path.display()
            )),
        }
    }
}
