//! A backup that is to leave the disks and the processor to others.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use couchcopy_tests::Result;
use couchcopy_tests::lab::binary;

use super::progress::large_file;
use super::run::{expect, plan, source, text};

/// What `ionice` and `ps` report of each thread of a process.
fn classes(process: &Child) -> Result<Vec<String>> {
    let mut classes = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{}/task", process.id()))? {
        let thread = thread?.file_name();
        let class = Command::new("ionice").arg("-p").arg(&thread).output()?.stdout;
        // The process may have ended.
        let Ok(stat) = std::fs::read_to_string(Path::new("/proc").join(&thread).join("stat")) else {
            continue;
        };
        let niceness = stat.rsplit(") ").next().and_then(|fields| fields.split(' ').nth(16)).unwrap_or("?");
        classes.push(format!("{} {niceness}", String::from_utf8_lossy(&class).trim()));
    }
    Ok(classes)
}

fn seconds_of_backup(data: &Path, archive: &Path, more: &[&str]) -> Result<f64> {
    let begun = Instant::now();
    expect(0, &[&["backup"], more, &[&source(data), text(archive)]].concat())?;
    Ok(begun.elapsed().as_secs_f64())
}

#[test]
fn all_threads_are_nice_to_disks_and_processors() -> Result<()> {
    if Command::new("ionice").output().is_err() {
        eprintln!("SKIPPED: `ionice` is not installed");
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let data = large_file(&dir.path().join("data"))?;
    let archive = dir.path().join("a.tar.gz");
    let mut backup = Command::new(binary()?)
        .args(["backup", "--ionice", "idle", "--nice", "7", "--limit-rate", "6M"])
        .args([&source(&data), text(&archive)])
        .stdout(Stdio::null())
        .spawn()?;
    let mut last = Vec::new();
    while backup.try_wait()?.is_none() {
        match classes(&backup) {
            Ok(classes) if classes.len() > 1 => last = classes,
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(backup.wait()?.success());
    assert!(last.len() > 1 && last.iter().all(|class| class == "idle 7"), "{last:?}");
    expect(0, &["verify", text(&archive)])?;
    Ok(())
}

/// How long it takes at least; how long it takes at most depends on the machine.
#[test]
fn files_are_read_no_faster_than_allowed() -> Result<()> {
    const RATE: f64 = 9.0 * 1024.0 * 1024.0;
    let dir = tempfile::tempdir()?;
    let large = large_file(&dir.path().join("large"))?;
    let small = scale_data::plan::Plan { doc_size: 8 << 10, q: 1, ..plan(60, 40, 1) };
    let small = scale_data::build::build(&small, &dir.path().join("small"))?.folders.remove(0).path;
    for (name, data) in [("large", large), ("small", small)] {
        let (fast, slow) = (dir.path().join(format!("{name}-fast")), dir.path().join(format!("{name}-slow")));
        seconds_of_backup(&data, &fast, &[])?;
        let seconds = seconds_of_backup(&data, &slow, &["--limit-rate", "9M"])?;
        let shards = couchcopy_tests::fixtures::files_ending(&data.join("shards"), "couch")?;
        let sizes = shards.iter().map(|path| Ok(data.join("shards").join(path).metadata()?.len()));
        let sizes: Vec<u64> = sizes.collect::<Result<_>>()?;
        let (all, last) = (sizes.iter().sum::<u64>(), sizes.iter().max().copied().unwrap_or(0).min(2 << 20));
        assert!(all > 10 << 20, "{all} bytes");
        assert!(seconds >= (all - last) as f64 / RATE, "{name}: {all} bytes in {seconds} s");
        couchcopy_tests::manifest::assert_equal(&fast, &slow)?;
        let repo = dir.path().join(format!("{name}-repo"));
        expect(0, &["repo", "init", text(&repo)])?;
        let begun = Instant::now();
        expect(0, &["backup", "--limit-rate", "9M", "--repo", text(&repo), &source(&data)])?;
        let seconds = begun.elapsed().as_secs_f64();
        assert!(
            seconds >= (all - last) as f64 / RATE,
            "{name}: {all} bytes in {seconds} s into a repository"
        );
    }
    Ok(())
}
