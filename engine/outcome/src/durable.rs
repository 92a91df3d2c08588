//! Makes changes to the file system durable.

use std::fs::File;
use std::io;
use std::path::Path;

/// Makes the entries of a directory durable. File systems that do not support this (CIFS, for example) are not an error.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    use rustix::io::Errno;
    match rustix::fs::fsync(File::open(folder)?) {
        Err(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS) => Ok(()),
        synced => Ok(synced?),
    }
}
