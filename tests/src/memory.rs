//! How much memory processes use.

use crate::Result;

/// Returns the most memory that a process has had resident so far, in KiB; `None` if the process is gone.
pub fn peak(process: u32) -> Option<u64> {
    of(&process.to_string())
}

/// Returns the most memory that the running test has had resident so far, in KiB.
pub fn own_peak() -> Result<u64> {
    of("self").ok_or_else(|| "/proc does not show how much memory this process uses".into())
}

fn of(process: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
