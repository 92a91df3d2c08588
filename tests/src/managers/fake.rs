//! Programs that take the place of others, and tell how they were called.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use super::daemon::write_program;
use super::machine::search_path;
use super::{Machine, find_program};
use crate::Result;
use crate::lab::run;

/// Folder of such programs in a machine's.
pub const FAKES: &str = "fakes";

/// A program that writes down its arguments, then does as told.
#[derive(Debug)]
pub struct Fake {
    folder: PathBuf,
}

impl Fake {
    /// Makes a program of that name. These lines for a shell say what it does; `$machine` is the machine's folder.
    pub fn new(machine: &Machine, name: &str, does: &str) -> Result<Self> {
        let folder = machine.path(FAKES);
        fs::create_dir_all(&folder)?;
        let calls = folder.join("calls");
        File::options().create(true).append(true).open(&calls)?;
        write_program(
            &folder.join(name),
            &format!(
                "#!/bin/sh\nmachine='{}'\nprintf '%s\\0' \"$#\" \"$@\" >>'{}'\n{does}",
                machine.path("").display(),
                calls.display()
            ),
        )?;
        Ok(Self { folder })
    }

    /// `PATH` with the program in the first place.
    pub fn search_path(&self) -> String {
        format!("{}:{}", self.folder.display(), search_path())
    }

    /// All calls since this was asked last: the arguments of each.
    pub fn calls(&self) -> Result<Vec<Vec<String>>> {
        let file = self.folder.join("calls");
        let text = fs::read_to_string(&file)?;
        File::create(file)?;
        let mut words = text.split_terminator('\0').map(str::to_owned);
        let mut calls = Vec::new();
        while let Some(count) = words.next() {
            let call: Vec<_> = words.by_ref().take(count.parse()?).collect();
            calls.push(call);
        }
        Ok(calls)
    }
}

/// Fails unless the real program, where there is one, understands these calls as well: with `first` in front of them, which
/// lead to no engine, it gets as far as that.
pub fn is_understood(program: &str, first: &[&str], calls: &[Vec<String>]) -> Result<()> {
    let Some(program) = find_program(program, program) else { return Ok(()) };
    for call in calls {
        let said = run(Command::new(&program).args(first).args(call))?;
        let is_alone =
            ["connect to the Docker daemon", "failed to connect", "connection refused", "was refused"]
                .iter()
                .any(|what| said.stderr.contains(what));
        if said.code == Some(0) || !is_alone {
            return Err(format!("{call:?}: {said:?}").into());
        }
    }
    Ok(())
}
