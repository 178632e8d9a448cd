//! When the log on disk is forced to the disk.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// When records of the log on disk are forced to the disk (`fsync`), so that they survive a failure
/// of the machine. They survive the end of the process in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub enum Fsync {
    /// Whenever the operating system decides.
    #[serde(rename = "never")]
    Never,
    /// Once a second.
    #[serde(rename = "1s")]
    EverySecond,
    /// Before publishers receive their acknowledgement.
    #[serde(rename = "ack")]
    Ack,
}

/// The text is not the name of an [`Fsync`].
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
