//! When the durable log is made to survive a failure of the machine.

use std::str::FromStr;

use serde::Deserialize;

/// When what was written to the durable log is forced to the disk. A process that is killed loses
/// nothing in any case: this is about the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Fsync {
    /// When the system thinks fit.
    #[serde(rename = "never")]
    Never,
    /// Once a second.
    #[serde(rename = "1s")]
    EverySecond,
    /// Before publishers are acknowledged.
    #[serde(rename = "ack")]
    Ack,
}

/// None of the names of [`Fsync`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected never, 1s or ack")]
pub struct FsyncError;

impl FromStr for Fsync {
    type Err = FsyncError;

    fn from_str(text: &str) -> Result<Self, FsyncError> {
        match text {
            "never" => Ok(Self::Never),
            "1s" => Ok(Self::EverySecond),
            "ack" => Ok(Self::Ack),
            _ => Err(FsyncError),
        }
    }
}
