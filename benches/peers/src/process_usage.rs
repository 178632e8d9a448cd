//! Processor time and memory of a process, from `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// `/proc` counts processor time in hundredths of a second on every architecture that Rust's
/// Linux targets run on (`getconf CLK_TCK`).
const CLOCK_TICK: Duration = Duration::from_millis(10);

/// The processor time and memory that a process has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// User and system time of all threads.
    pub(crate) cpu: Duration,
    /// Resident memory.
    pub(crate) rss_bytes: u64,
}

/// Reads what process `pid` has used so far.
///
/// # Errors
/// The process has ended, or `/proc` cannot be read.
pub(crate) fn usage(pid: u32) -> Result<Usage> {
    let read = |file: &str| {
        let path = format!("/proc/{pid}/{file}");
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    };
    let cpu = cpu(&read("stat")?).with_context(|| format!("/proc/{pid}/stat: no times"))?;
    let rss_bytes =
        rss(&read("status")?).with_context(|| format!("process {pid} has ended (no VmRSS)"))?;
    Ok(Usage { cpu, rss_bytes })
}

/// Parses the processor time in `/proc/PID/stat`. The name of the program, in parentheses, may
/// contain any character.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let kernel: u32 = fields.next()?.parse().ok()?;
    CLOCK_TICK.checked_mul(user.checked_add(kernel)?)
}

/// Parses the resident memory in `/proc/PID/status`; `None` for a process that has ended.
fn rss(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(kib * 1024)
}

/// Returns the processor time of the calling thread.
pub(crate) fn thread_cpu() -> Result<Duration> {
    let path = "/proc/thread-self/schedstat";
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let nanos = text.split(' ').next().and_then(|word| word.parse().ok());
    Ok(Duration::from_nanos(nanos.with_context(|| format!("{path}: {text}"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_parsed_whatever_the_program_is_called() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4 90 0 0 0 250 50 0 0 20 0 11 0 5 1 2";
        assert_eq!(cpu(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu("7 (a) S 1"), None);
    }

    #[test]
    fn memory_is_parsed_as_bytes() {
        assert_eq!(rss("Name:\tx\nVmHWM:\t 9 kB\nVmRSS:\t    2048 kB\n"), Some(2 << 20));
        assert_eq!(rss("Name:\tx\nState:\tZ (zombie)\n"), None);
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(usage(std::process::id()).unwrap().rss_bytes > 100_000);
        thread_cpu().unwrap();
    }
}
