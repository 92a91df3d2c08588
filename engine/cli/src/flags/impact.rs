//! How much a command disturbs the machine that it runs on.

use std::process::Command;

use backup::FolderArgument;
use clap::{Args, ValueEnum};
use outcome::report::Reporter;
use outcome::{Code, Failure, Result};
use rustix::process::setpriority_process;

use crate::pausing::{Pausing, Strain};

/// Options of commands that make backups.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Impact")]
pub(crate) struct ImpactFlags {
    /// Leave the processor to others: run with this niceness, 1 to 19.
    ///
    /// The units for systemd set it, too.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=19), hide_short_help = true)]
    nice: Option<i32>,

    /// Leave the disks to others: run in this class of the disk scheduler. Needs the program `ionice`.
    ///
    /// Schedulers that know no classes, as `none` and `mq-deadline` in some kernels, ignore it. The units for systemd set it, too.
    #[arg(long, value_enum, value_name = "CLASS", hide_short_help = true)]
    ionice: Option<IoClass>,

    /// Pause while the load average (of one minute) of this machine, or of a node's machine, is above LOAD, for example 4.0.
    ///
    /// A backup that is paused goes on as soon as the load falls. `couchcopy health` reports if none is finished in time.
    #[arg(long, value_name = "LOAD", value_parser = positive, hide_short_help = true)]
    pause_above: Option<f64>,

    /// Pause while a node has more than N changes to send to other nodes (`internal_replication_jobs` of `/_node/_local/_system`).
    ///
    /// CouchDB counts those of a shard once it has sent a hundred of them and more are left. Needs the name and password of a server
    /// admin.
    #[arg(long, value_name = "N", hide_short_help = true)]
    pause_above_jobs: Option<u64>,
}

/// A class of the disk scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum IoClass {
    /// The lowest level among processes that have a share of the disk.
    BestEffort,
    /// Only when nobody else uses the disk.
    Idle,
}

impl IoClass {
    /// As `ionice` names it.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::BestEffort => &["-c", "2", "-n", "7"],
            Self::Idle => &["-c", "3"],
        }
    }

    /// Gives it to the calling thread, and so to all threads that it starts later.
    fn apply(self) -> Result<()> {
        const SELF: &str = "/proc/thread-self";
        // It leads to PROCESS/task/THREAD.
        let thread = std::fs::read_link(SELF).map_err(|e| Failure::io("read", SELF, e))?;
        let mut ionice = Command::new("ionice");
        ionice.args(self.arguments()).arg("-p").args(thread.file_name());
        let problem = match ionice.output() {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                format!("it ended with {}: {said}", output.status)
            }
            Err(error) => error.to_string(),
        };
        Err(Failure::refused(
            Code::new("CC-M13"),
            format!("cannot set the class of the disk scheduler with the program `ionice`: {problem}"),
            "Install it (Debian: apt-get install util-linux), or leave out --ionice.",
        ))
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(load) if load > 0.0 && f64::is_finite(load) => Ok(load),
        _ => Err(format!("{text:?} is not a load: write, for example, 4.0")),
    }
}

impl ImpactFlags {
    /// Gives this process its niceness and its class of the disk scheduler. Threads that are started later have them, too.
    pub(crate) fn apply(&self) -> Result<()> {
        if let Some(class) = self.ionice {
            class.apply()?;
        }
        let Some(niceness) = self.nice else { return Ok(()) };
        setpriority_process(None, niceness)
            .map_err(|error| Failure::io("set", "the niceness of this process", error.into()))
    }

    /// A reporter that pauses whoever reports progress, while this machine or a node has too much to do.
    pub(crate) fn pausing<'r>(&self, reporter: &'r dyn Reporter, nodes: &[FolderArgument]) -> Pausing<'r> {
        let strain = (self.pause_above.is_some() || self.pause_above_jobs.is_some())
            .then(|| Strain::new(self.pause_above, self.pause_above_jobs, nodes));
        Pausing::new(reporter, strain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_positive() {
        assert_eq!(positive("4.5"), Ok(4.5));
        for text in ["", "0", "-1", "NaN", "inf", "x"] {
            assert!(positive(text).is_err(), "{text}");
        }
    }
}
