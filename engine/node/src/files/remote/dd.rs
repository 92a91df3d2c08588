//! What `dd` reports of its output: the only mark that its output has, as it adds nothing to it.

/// Bytes of a block, as it is called.
const BLOCK: u64 = 4096;

/// Whether `dd` reports that it wrote this many bytes.
///
/// GNU's and busybox's report `1+1 records out`, full blocks and others, and, unless busybox was built without it, `4196 bytes`.
pub(super) fn wrote(report: &str, bytes: u64) -> bool {
    let mut records = None;
    for line in report.lines() {
        if let Some(count) = line.split_once(" bytes").and_then(|(count, _)| count.trim().parse::<u64>().ok())
        {
            return count == bytes;
        }
        if let Some((full, other)) =
            line.strip_suffix(" records out").and_then(|counts| counts.split_once('+'))
        {
            records = full.trim().parse::<u64>().ok().zip(other.trim().parse::<u64>().ok());
        }
    }
    records.is_some_and(|(full, other)| {
        let least = full.saturating_mul(BLOCK);
        if other == 0 { bytes == least } else { bytes > least && bytes < least + other * BLOCK }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_reported_has_to_have_arrived() {
        let gnu = "1+1 records in\n1+1 records out\n4196 bytes (4.2 kB, 4.1 KiB) copied, 0.0001 s, 42 MB/s\n";
        assert!(wrote(gnu, 4196));
        assert!(!wrote(gnu, 4195) && !wrote(gnu, 0) && !wrote(gnu, 2 * 4196));
        let short = "2+0 records in\n2+0 records out\n";
        assert!(wrote(short, 8192));
        assert!(!wrote(short, 8191) && !wrote(short, 8200));
        assert!(wrote("0+1 records out", 5) && !wrote("0+1 records out", 4096));
        assert!(wrote("0+0 records in\n0+0 records out\n0 bytes copied", 0));
        // Where it reports nothing, nothing is known.
        assert!(!wrote("", 0) && !wrote("", 4096));
    }
}
