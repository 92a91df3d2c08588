//! The process that is managed.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::Result;
use crate::lab::wait_for;

/// It holds a lock for as long as it lives, which can be asked from any namespace and by anybody, and cannot be mistaken
/// for another process that got its number. It ends by itself after two minutes, should all else fail.
const PROGRAM: &str = r#"#!/bin/sh
folder=${0%/*}
# Managers that end all of a service's processes mean this sleep, too.
trap 'trap "" TERM; kill "$rest"; [ -e "$folder/slow" ] && sleep 2 9>&-; exit 0' TERM
exec 9>>"$folder/alive"
flock --nonblock 9 || exit 1
echo "$$" >>"$folder/starts"
[ -e "$folder/broken" ] && exit 7
setpriv --pdeathsig KILL sleep 120 9>&- &
rest=$!
wait "$rest"
"#;

/// A program that runs until it is asked to end.
#[derive(Debug)]
pub struct Daemon {
    folder: PathBuf,
}

impl Daemon {
    /// Writes the program into a folder of its own there.
    pub fn new(there: &Path) -> Result<Self> {
        let folder = there.join("daemon");
        fs::create_dir(&folder)?;
        write_program(&folder.join("couchcopy-test-daemon"), PROGRAM)?;
        for file in ["alive", "starts"] {
            File::create(folder.join(file))?;
        }
        Ok(Self { folder })
    }

    /// The program; it wants no arguments.
    pub fn program(&self) -> PathBuf {
        self.folder.join("couchcopy-test-daemon")
    }

    /// Where a manager may keep its process number.
    pub fn pid_file(&self) -> PathBuf {
        self.folder.join("pid")
    }

    /// Makes it take two seconds to end from now on.
    pub fn be_slow(&self) -> Result<()> {
        File::create(self.folder.join("slow"))?;
        Ok(())
    }

    /// Makes it die at once whenever it is started from now on.
    pub fn be_broken(&self) -> Result<()> {
        File::create(self.folder.join("broken"))?;
        Ok(())
    }

    /// Whether it runs right now.
    pub fn is_alive(&self) -> Result<bool> {
        match flock(File::open(self.folder.join("alive"))?, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(e) => Err(e.into()),
        }
    }

    /// Waits until it runs.
    pub fn wait_until_alive(&self) -> Result<()> {
        wait_for("the service's process", || Ok(self.is_alive()?.then_some(())))
    }

    /// How many times it was started.
    pub fn starts(&self) -> usize {
        fs::read_to_string(self.folder.join("starts"))
            .map(|starts| starts.lines().count())
            .unwrap_or_default()
    }
}

/// Writes a script that can be run.
pub fn write_program(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}
