//! Making changes of the file system durable.

use std::fs::File;
use std::io;
use std::path::Path;

/// Makes the entries of a folder durable. Some file systems, CIFS for one, have nothing to do for that and refuse to.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    use rustix::io::Errno;
    match rustix::fs::fsync(File::open(folder)?) {
        Err(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS) => Ok(()),
        synced => Ok(synced?),
    }
}
