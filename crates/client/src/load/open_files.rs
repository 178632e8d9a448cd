//! The operating system's limit of open files.

use std::io;

/// Files that are open besides the connections: standard streams, epoll, reports.
const OTHER_FILES: u64 = 32;

/// Why a number of connections cannot be open at the same time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenFilesError {
    /// The hard limit is too low.
    #[error(
        "{connections} connections need {needed} open files, but the hard limit is {limit}: use at \
         most {} connections, or raise the limit (ulimit -Hn)", limit.saturating_sub(OTHER_FILES)
    )]
    TooMany {
        /// The number of connections.
        connections: usize,
        /// How many open files they need.
        needed: u64,
        /// How many open files this process may have.
        limit: u64,
    },
    /// The operating system does not report its limit, or refuses a new one.
    #[error("the limit of open files cannot be set")]
    System(#[from] io::Error),
}

/// Raises this process's soft limit of open files, if `connections` need it.
///
/// # Errors
/// Fails if the hard limit is too low, or the operating system refuses.
pub fn allow_connections(connections: usize) -> Result<(), OpenFilesError> {
    let (soft, hard) = rlimit::Resource::NOFILE.get()?;
    match raised_limit(connections, soft, hard)? {
        Some(soft) => Ok(rlimit::Resource::NOFILE.set(soft, hard)?),
        None => Ok(()),
    }
}

/// Returns the soft limit of open files that the connections need; `None` if the present one is
/// high enough.
fn raised_limit(connections: usize, soft: u64, hard: u64) -> Result<Option<u64>, OpenFilesError> {
    let needed = connections as u64 + OTHER_FILES;
    if needed > hard {
        return Err(OpenFilesError::TooMany { connections, needed, limit: hard });
    }
    Ok((needed > soft).then_some(needed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_limit_is_raised_up_to_the_hard_one() {
        assert!(matches!(raised_limit(900, 1024, 4096), Ok(None)));
        assert!(matches!(raised_limit(1000, 1024, 4096), Ok(Some(1032))));
        assert!(matches!(raised_limit(4064, 1024, 4096), Ok(Some(4096))));
        let error = raised_limit(5000, 1024, 4096).unwrap_err().to_string();
        for part in ["5000 connections", "5032 open files", "4096", "at most 4064"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
