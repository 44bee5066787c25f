//! What the system tells of this process.

use crate::Result;

/// A number of what Linux tells of this process, such as `VmRSS`, in its unit: KiB, where it is of
/// memory.
///
/// # Errors
///
/// If the system does not tell it.
pub fn status(name: &str) -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or_else(|| format!("the system does not tell {name}"))?.parse()?)
}
