//! How many of a test's faults are tried.

/// Set to 1, this variable has every fault tried, which takes half an hour.
const ALL: &str = "COUCHCOPY_TEST_ALL_FAULTS";

/// Whether every fault is tried.
pub fn try_all() -> bool {
    std::env::var_os(ALL).is_some_and(|value| value == "1")
}

/// The distance between faults that are tried: `step`, or 1 if every fault is tried.
pub fn distance(step: usize) -> usize {
    if try_all() { 1 } else { step }
}

/// The numbers from 1 on of the faults that are tried: every number, or each `step`th number, of which the first depends on the
/// day.
pub fn numbers(step: usize) -> impl Iterator<Item = usize> {
    let day = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs() / 86_400) as usize;
    let step = distance(step);
    (1 + day % step..).step_by(step)
}
