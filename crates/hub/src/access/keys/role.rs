//! The rights of a key in one word.

use serde::{Deserialize, Serialize};

/// What a key may do. Each role includes the rights of those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Subscribe, and use the read-only HTTP API.
    Read,
    /// Publish ticks.
    Publish,
    /// Drain the hub, and see the sessions of all keys.
    Admin,
}

impl Role {
    /// All roles, from the fewest rights to the most.
    pub const ALL: [Self; 3] = [Self::Read, Self::Publish, Self::Admin];

    /// Returns the name of the role in the keys file and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Publish => "publish",
            Self::Admin => "admin",
        }
    }
}
