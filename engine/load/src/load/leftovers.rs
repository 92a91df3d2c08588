//! Removes what killed loads left behind: directories and, at worst, a CouchDB that still runs.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use outcome::report::{Notice, Reporter, Severity};
use outcome::{Code, Failure, Result};
use rustix::process::{Pid, Signal, kill_process_group};

use super::folder::{KEPT, LOCK, PREFIX, PROCESS, lock};
use super::process::Identity;

/// How long a process may take to end after it was killed.
const GONE: Duration = Duration::from_secs(10);
/// A directory without a lock that is younger than this is being created at the moment.
const IN_THE_MAKING: Duration = Duration::from_secs(60);

/// Removes the leftovers. Directories of running loads, directories of other users, and kept directories stay.
pub(super) fn remove(within: &Path, reporter: &dyn Reporter) -> Result<()> {
    let entries = std::fs::read_dir(within).map_err(|e| Failure::io("list", within, e))?;
    for entry in entries {
        let entry = entry.map_err(|e| Failure::io("list", within, e))?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        let ours = std::fs::symlink_metadata(&path).is_ok_and(|found| is_ours(&found));
        // Whatever is in the way of one that is to go, a new one has nothing to do with it.
        match if ours { remove_one(&path) } else { Ok(false) } {
            Ok(false) => {}
            Ok(true) => reporter.notice(&Notice {
                severity: Severity::Warning,
                text: format!("removed the leftovers of an earlier load: {}", path.display()),
            }),
            Err(e) => reporter.notice(&Notice {
                severity: Severity::Warning,
                text: format!("cannot remove the leftovers of an earlier load: {e}: {}", cause(&e)),
            }),
        }
    }
    Ok(())
}

fn is_ours(found: &Metadata) -> bool {
    found.is_dir() && found.uid() == rustix::process::geteuid().as_raw()
}

fn cause(error: &Failure) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}

/// Removes a directory that no load uses; returns whether it was removed.
fn remove_one(path: &Path) -> Result<bool> {
    if std::fs::symlink_metadata(path.join(LOCK)).is_err() && !is_old(path) {
        return Ok(false);
    }
    let Some(_lock) = lock(path)? else { return Ok(false) };
    end_process(path)?;
    if path.join(KEPT).exists() {
        return Ok(false);
    }
    match std::fs::remove_dir_all(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Failure::io("remove", path, e)),
    }
}

fn is_old(path: &Path) -> bool {
    let changed = std::fs::symlink_metadata(path).and_then(|found| found.modified());
    changed
        .is_ok_and(|changed| SystemTime::now().duration_since(changed).is_ok_and(|age| age > IN_THE_MAKING))
}

/// Ends the CouchDB of a directory, if it is still the recorded process.
fn end_process(folder: &Path) -> Result<()> {
    let Some(process) = Identity::read(&folder.join(PROCESS)) else { return Ok(()) };
    let begun = Instant::now();
    while process.is_alive(folder) {
        if let Some(pid) = Pid::from_raw(process.pid.cast_signed()) {
            // It leads a group of its own. That it is gone by now is what is wanted.
            let _ = kill_process_group(pid, Signal::KILL);
        }
        if begun.elapsed() > GONE {
            return Err(Failure::refused(
                Code::new("CC-L03"),
                format!("the CouchDB with process id {} in {} does not end", process.pid, folder.display()),
                "End the process by hand.",
            ));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;
    use crate::load::folder::PrivateFolder;
    use outcome::report::Silent;

    #[test]
    fn what_nobody_lives_in_goes_and_nothing_else() {
        let within = tempfile::tempdir().unwrap();
        let lives = PrivateFolder::create(within.path(), false).unwrap();
        let named = |name: &str| within.path().join(name);
        for name in ["couchcopy-load-killed", "couchcopy-load-new", "couchcopy-load-kept", "other"] {
            fs::create_dir(named(name)).unwrap();
        }
        fs::write(named("couchcopy-load-killed").join(LOCK), "").unwrap();
        fs::create_dir(named("couchcopy-load-killed").join("data")).unwrap();
        fs::write(named("couchcopy-load-kept").join(LOCK), "").unwrap();
        fs::write(named("couchcopy-load-kept").join(KEPT), "").unwrap();
        std::os::unix::fs::symlink(named("other"), named("couchcopy-load-link")).unwrap();
        remove(within.path(), &Silent).unwrap();
        assert!(!named("couchcopy-load-killed").exists());
        for name in ["couchcopy-load-new", "couchcopy-load-kept", "couchcopy-load-link", "other"] {
            assert!(named(name).exists(), "{name}");
        }
        assert!(lives.path().exists());
    }

    #[test]
    fn only_the_very_process_is_ended() {
        let within = tempfile::tempdir().unwrap();
        let folder = within.path().join("couchcopy-load-x");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(LOCK), "").unwrap();
        let sleep = |folder: &Path| {
            let script = "exec 3<&0; read x";
            let mut command = Command::new("sh");
            command.args(["-c", script]).arg(folder).process_group(0);
            command.stdin(std::process::Stdio::piped()).spawn().unwrap()
        };
        // One that has another start, one of another folder.
        let (mut other_start, mut other_folder) = (sleep(&folder), sleep(within.path().join("y").as_path()));
        let mut identity = Identity::of(other_start.id()).unwrap();
        identity.started += 1;
        identity.write(&folder.join(PROCESS)).unwrap();
        end_process(&folder).unwrap();
        Identity::of(other_folder.id()).unwrap().write(&folder.join(PROCESS)).unwrap();
        end_process(&folder).unwrap();
        for child in [&mut other_start, &mut other_folder] {
            assert!(child.try_wait().unwrap().is_none());
        }
        Identity::of(other_start.id()).unwrap().write(&folder.join(PROCESS)).unwrap();
        remove(within.path(), &Silent).unwrap();
        assert!(!other_start.wait().unwrap().success());
        assert!(!folder.exists());
        other_folder.kill().unwrap();
        other_folder.wait().unwrap();
    }
}
