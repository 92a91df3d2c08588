//! Repositories that are looked at.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{binary, run};

use crate::shop;

/// When the backups of the shop are made, and the state of the shop then; the same files as before if there is none.
const NIGHTS: [(&str, Option<&str>); 6] = [
    ("2026-11-23 18:00:00", Some("monday")),
    ("2026-11-24 06:00:00", None),
    ("2026-11-24 18:00:00", Some("tuesday")),
    ("2026-11-25 06:00:00", None),
    ("2026-11-25 18:00:00", Some("wednesday")),
    ("2026-11-26 06:00:00", None),
];

/// More than are shown at once.
const MANY: u32 = 45;

/// The shop over some nights, `nightly`.
pub(crate) fn of_shop(dir: &Path) -> Result<PathBuf> {
    let repository = dir.join("nightly");
    let data = dir.join("shop");
    couchcopy(None, &["repo", "init", text(&repository)?])?;
    for (time, state) in NIGHTS {
        if let Some(state) = state {
            if data.exists() {
                fs::remove_dir_all(&data)?;
            }
            shop::write(state, &data)?;
        }
        back_up(time, &data, &repository)?;
    }
    Ok(repository)
}

/// A repository with more backups than are shown at once, `hourly`, of the same files.
pub(crate) fn of_many(dir: &Path, data: &Path) -> Result<PathBuf> {
    let repository = dir.join("hourly");
    couchcopy(None, &["repo", "init", text(&repository)?])?;
    for number in 0..MANY {
        let time = format!("2026-11-{:02} {:02}:30:00", 20 + number / 24, number % 24);
        back_up(&time, data, &repository)?;
    }
    Ok(repository)
}

fn back_up(time: &str, data: &Path, repository: &Path) -> Result<()> {
    couchcopy(Some(time), &["backup", "--repo", text(repository)?, &format!("localhost,{}", data.display())])
}

/// Runs the command, at a time (UTC) if there is a program that makes it believe so; one second after the other otherwise.
fn couchcopy(time: Option<&str>, arguments: &[&str]) -> Result<()> {
    let mut command = match time {
        Some(time) if has_faketime() => {
            let mut command = Command::new("faketime");
            command.args(["-f", &format!("@{time}")]).arg(binary()?).env("TZ", "UTC");
            command
        }
        Some(_) => {
            std::thread::sleep(std::time::Duration::from_millis(1100));
            Command::new(binary()?)
        }
        None => Command::new(binary()?),
    };
    run(command.args(arguments))?.success()?;
    Ok(())
}

fn has_faketime() -> bool {
    let found = Command::new("faketime").args(["-f", "+0s", "true"]).output();
    found.is_ok_and(|output| output.status.success())
}

fn text(path: &Path) -> Result<&str> {
    Ok(path.to_str().ok_or("a path that is no text")?)
}
