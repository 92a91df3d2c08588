//! Busybox's programs in the place of GNU's.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::find_program;
use crate::Result;

/// The programs that couchcopy runs on a node.
const APPLETS: [&str; 12] =
    ["tar", "find", "stat", "tail", "xargs", "dd", "mv", "mkdir", "rm", "df", "sync", "env"];

/// Puts busybox's variants of the programs that couchcopy runs on a node into a folder. Returns `false` if busybox is not
/// installed.
pub fn link_busybox(folder: &Path) -> Result<bool> {
    let Some(busybox) = find_program("busybox", "busybox") else { return Ok(false) };
    for applet in APPLETS {
        symlink(&busybox, folder.join(applet))?;
    }
    Ok(true)
}
