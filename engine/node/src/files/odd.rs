//! Links and mount points inside a folder: what a rename of the folder does not take along, or takes along without its content.

use std::path::{Path, PathBuf};

/// Why an entry is not a plain part of the folder that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oddity {
    /// A symbolic link.
    Link,
    /// Another file system is mounted there, or another directory of the same file system.
    Mount,
    /// A socket, a FIFO or a device.
    Special,
}

/// An entry that is not a plain part of the folder that it is in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OddEntry {
    /// Its absolute path on the node.
    pub path: PathBuf,
    /// What it is.
    pub oddity: Oddity,
}

/// Where Linux lists what is mounted.
pub(super) const MOUNTS: &str = "/proc/self/mountinfo";

/// The mount points below a folder, itself not among them, in the kernel's list (`man 5 proc`, `mountinfo`).
pub(super) fn mounts_below(list: &str, folder: &Path) -> Vec<PathBuf> {
    let mut below: Vec<PathBuf> = list
        .lines()
        .filter_map(|line| Some(PathBuf::from(unescaped(line.split(' ').nth(4)?))))
        .filter(|point| point.starts_with(folder) && point != folder)
        .collect();
    below.sort_unstable();
    below.dedup();
    below
}

/// A path as it is: the kernel writes spaces, tabs, line ends and backslashes as three octal digits.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|digits| first == b'\\' && digits.iter().all(u8::is_ascii_digit));
        let byte = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[3..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_from_the_kernels_list() {
        let list = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                    30 22 8:2 / /srv/couch\\040db rw shared:1 - ext4 /dev/sdb1 rw\n\
                    31 30 8:3 / /srv/couch\\040db/shards/80000000-ffffffff rw - ext4 /dev/sdc1 rw\n\
                    32 22 8:1 /elsewhere /srv/couch\\040dbs/x rw - ext4 /dev/sda1 rw\n\
                    a line that is none\n";
        let below = mounts_below(list, Path::new("/srv/couch db"));
        assert_eq!(below, [Path::new("/srv/couch db/shards/80000000-ffffffff")]);
        assert_eq!(unescaped("a\\134b\\"), "a\\b\\");
    }
}
