//! The command at another time: `faketime` tells it what the clock says, and nothing else on the machine.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::Result;
use crate::fixtures::files_below;
use crate::isolated::{Couchcopy, ended};
use crate::lab::{Ended, binary, on_path, skipped};

/// Seconds of a day.
pub const DAY: u64 = 86_400;

/// The name of the dynamic linker, which a program that can be told another time begins with. Source: elf.h (PT_INTERP).
const LINKER: &[u8] = b"/ld-linux";

/// The command at another time.
#[derive(Debug)]
pub struct Clock {
    couchcopy: Couchcopy,
    /// What the clock says, in seconds since 1970.
    now: u64,
}

impl Clock {
    /// From this moment on, in seconds since 1970. Where there is no faketime, or it cannot do it, says so.
    pub fn at(couchcopy: &Couchcopy, now: u64) -> Result<Option<Self>> {
        if on_path("faketime").is_none() {
            skipped("no faketime, which Debian's package of this name has");
            return Ok(None);
        }
        let binary = fs::read(binary()?)?;
        let beginning = &binary[..binary.len().min(64 * 1024)];
        if !beginning.windows(LINKER.len()).any(|bytes| bytes == LINKER) {
            skipped("the command is a static binary, and faketime changes the time of dynamic ones only");
            return Ok(None);
        }
        // Times of files stay as they are: what a backup reads is written by others.
        let couchcopy = couchcopy.and(&[("NO_FAKE_STAT", "1"), ("TZ", "UTC")]);
        Ok(Some(Self { couchcopy, now }))
    }

    /// Lets time pass.
    pub fn pass(&mut self, seconds: u64) {
        self.now += seconds;
    }

    /// What the clock says.
    pub fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.now)
    }

    /// Runs the command now; its clock runs on from there.
    pub fn run(&self, arguments: &[&str]) -> Result<Ended> {
        let program = binary()?.display().to_string();
        // `@` is a time of faketime that runs on; the format is seconds since 1970.
        let mut command = self.couchcopy.program("faketime", &["-f", &self.moment(), &program])?;
        command.args(arguments).env("FAKETIME_FMT", "%s");
        ended(&mut command)
    }

    fn moment(&self) -> String {
        format!("@{}", self.now)
    }
}

/// The files of a directory, each with the time at which it was written by a clock that is not the kernel's.
#[derive(Debug)]
pub struct Dated {
    folder: PathBuf,
    known: HashSet<String>,
}

impl Dated {
    /// Of this directory.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, known: HashSet::new() }
    }

    /// Gives what is new since the last call the time of `clock`.
    pub fn date(&mut self, clock: &Clock) -> Result<()> {
        for name in files_below(&self.folder)? {
            if self.known.insert(name.clone()) {
                File::open(self.folder.join(name))?.set_modified(clock.now())?;
            }
        }
        Ok(())
    }
}
