//! Which backups were verified on this machine and found intact.
//!
//! A restore checks every file before it replaces anything. If `couchcopy verify` has already done that for a backup with this
//! manifest, no second check is needed, because everything that is read is compared with the hashes in the manifest again, or,
//! of large files that go to other machines, with the checksums of the archive's members.

use std::path::PathBuf;
use std::{fs, io};

use crate::source::Source;

/// Records that are kept, the newest ones.
const KEPT: usize = 1000;
/// Directory of the records, below the user's directory for state.
const BELOW: &str = "couchcopy/verified";
/// The user's directory for state by the XDG base directory specification: this variable, else a directory below `HOME`.
const STATE: (&str, &str) = ("XDG_STATE_HOME", ".local/state");

/// Records that the complete backup was found intact. Only a backup with a manifest can be recognised later.
pub fn record_verified(source: &dyn Source) -> io::Result<()> {
    let (Some(folder), Some(name)) = (folder(), name(source)) else { return Ok(()) };
    fs::create_dir_all(&folder)?;
    // Complete or absent: whoever reads it takes its presence for the result.
    let partial = folder.join(format!("{name}.{}.partial", std::process::id()));
    fs::write(&partial, format!("{}\n{}\n", jiff::Timestamp::now(), source.name()))?;
    fs::rename(&partial, folder.join(name))?;
    forget_old(&folder)
}

/// When this backup was found intact on this machine, in UTC; `None` if it was not.
pub fn verified_at(source: &dyn Source) -> Option<String> {
    let record = fs::read_to_string(folder()?.join(name(source)?)).ok()?;
    let when: jiff::Timestamp = record.lines().next()?.parse().ok()?;
    Some(when.to_string())
}

/// The hash of the manifest, which names every file with its hash.
fn name(source: &dyn Source) -> Option<&str> {
    source.files()?;
    let identity = source.identity();
    let is_hash = identity.len() == 64 && identity.bytes().all(|b| b.is_ascii_hexdigit());
    is_hash.then_some(identity)
}

fn folder() -> Option<PathBuf> {
    let absolute =
        |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let (variable, below_home) = STATE;
    let state = absolute(variable).or_else(|| Some(absolute("HOME")?.join(below_home)))?;
    Some(state.join(BELOW))
}

fn forget_old(folder: &std::path::Path) -> io::Result<()> {
    let mut records = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        records.push((entry.metadata()?.modified()?, entry.path()));
    }
    records.sort();
    let old = records.len().saturating_sub(KEPT);
    for (_, path) in records.into_iter().take(old) {
        fs::remove_file(path)?;
    }
    Ok(())
}
