//! The limit of open files.

use std::io;

/// Open files besides the connections: standard streams, epoll, reports.
const OTHER_FILES: u64 = 32;

/// Why so many connections cannot be open at a time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// The hard limit stands against it.
    #[error(
        "{connections} connections need {needed} open files, but the hard limit is {limit}: use at \
         most {} connections, or raise the limit (ulimit -Hn)", limit.saturating_sub(OTHER_FILES)
    )]
    TooMany {
        /// How many connections were asked for.
        connections: usize,
        /// How many files they need.
        needed: u64,
        /// How many this process may have.
        limit: u64,
    },
    /// The system does not say or does not take a limit.
    #[error("the limit of open files cannot be set")]
    System(#[from] io::Error),
}

/// Raises the soft limit of open files of this process as far as `connections` need it.
///
/// # Errors
/// If the hard limit is lower than that.
pub fn allow_files(connections: usize) -> Result<(), FilesError> {
    let (soft, hard) = rlimit::Resource::NOFILE.get()?;
    match raised(connections, soft, hard)? {
        Some(soft) => Ok(rlimit::Resource::NOFILE.set(soft, hard)?),
        None => Ok(()),
    }
}

/// The soft limit to set; `None` if it is high enough.
fn raised(connections: usize, soft: u64, hard: u64) -> Result<Option<u64>, FilesError> {
    let needed = connections as u64 + OTHER_FILES;
    if needed > hard {
        return Err(FilesError::TooMany { connections, needed, limit: hard });
    }
    Ok((needed > soft).then_some(needed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_limit_is_raised_up_to_the_hard_one() {
        assert!(matches!(raised(900, 1024, 4096), Ok(None)));
        assert!(matches!(raised(1000, 1024, 4096), Ok(Some(1032))));
        assert!(matches!(raised(4064, 1024, 4096), Ok(Some(4096))));
        let error = raised(5000, 1024, 4096).unwrap_err().to_string();
        for part in ["5000 connections", "5032 open files", "4096", "at most 4064"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
