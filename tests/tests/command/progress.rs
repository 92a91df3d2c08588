//! Progress: bytes that pass within large files, and events that end at the totals that were promised.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use backup::{BackupOptions, FolderArgument, backup};
use contents::Destination;
use couchcopy_tests::{Result, fixtures};
use inspect::verify::verify;
use outcome::report::{Notice, Reporter};
use restore::RestoreChoices;
use restore::folders::{RestoreOptions, Target, restore_offline};
use scale_data::build;
use serde_json::Value;

use super::run::{Targets, expect, plan, source, text};

/// A phase, with what was reported in it.
#[derive(Debug, Default)]
struct Phase {
    name: String,
    items: Option<u64>,
    bytes: Option<u64>,
    done: Vec<(u64, u64)>,
}

/// Records what is reported.
#[derive(Default)]
struct Recorder(Mutex<Vec<Phase>>);

impl Reporter for Recorder {
    fn phase_of_bytes(&self, name: &str, items: Option<u64>, bytes: Option<u64>) {
        let phase = Phase { name: name.to_owned(), items, bytes, done: Vec::new() };
        self.0.lock().unwrap().push(phase);
    }

    fn advance(&self, items: u64, bytes: u64) {
        self.0.lock().unwrap().last_mut().expect("a phase has begun").done.push((items, bytes));
    }

    fn notice(&self, _: &Notice) {}
    fn timing(&self, _: &str, _: f64) {}
}

impl Recorder {
    /// Fails unless bytes were reported in small steps up to the total of the phase.
    fn check_steps(self, name: &str) {
        const LARGEST: u64 = 2 << 20;
        let phases = self.0.into_inner().unwrap();
        let phase = phases.iter().find(|phase| phase.name == name).unwrap_or_else(|| panic!("{phases:#?}"));
        let mut bytes: Vec<u64> = phase.done.iter().map(|(_, bytes)| *bytes).collect();
        // Threads report in any order.
        bytes.sort_unstable();
        let mut last = 0;
        for &now in &bytes {
            assert!(now - last <= LARGEST, "{name} goes from {last} to {now}");
            last = now;
        }
        assert_eq!(Some(last), phase.bytes, "{name}");
        assert_eq!(phase.done.iter().map(|(items, _)| *items).max(), phase.items, "{name}");
    }
}

/// A data directory with one database of more than 16 MiB.
pub(crate) fn large_file(folder: &Path) -> Result<PathBuf> {
    let plan = scale_data::plan::Plan { doc_size: 8 << 10, q: 1, ..plan(1, 2200, 1) };
    Ok(build::build(&plan, folder)?.folders.remove(0).path)
}

/// Writes `data` as `tar` does: without a table of contents.
fn tar(data: &Path, archive: &Path) -> Result<()> {
    let compressed = flate2::write::GzEncoder::new(File::create(archive)?, flate2::Compression::fast());
    let mut builder = tar::Builder::new(compressed);
    builder.append_dir_all("data", data)?;
    builder.into_inner()?.finish()?;
    Ok(())
}

#[test]
fn bytes_are_reported_while_they_pass() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let data = large_file(&dir.path().join("large"))?;
    let archive = dir.path().join("backup.tar.gz");
    let options = BackupOptions {
        folders: vec![FolderArgument::local(&data, None)],
        databases: contents::NamePatterns::default(),
        destination: Destination::Archive { place: archive.as_path().into(), overwrite: false, level: 0 },
        threads: 2,
        limit_rate: None,
        limits: false,
        config: None,
        mirror: None,
        check: false,
        accept_empty_maps: false,
        rebuild_maps: None,
    };
    let recorder = Recorder::default();
    backup(&options, &recorder)?;
    recorder.check_steps("saving shards");

    let foreign = dir.path().join("foreign.tar.gz");
    tar(&data, &foreign)?;
    for archive in [&archive, &foreign] {
        for threads in [1, 3] {
            let recorder = Recorder::default();
            assert!(verify(&archive.as_path().into(), threads, &recorder)?.is_whole());
            recorder.check_steps("verifying");
        }
        let targets = Targets::new(2)?;
        let options = RestoreOptions {
            archive: archive.as_path().into(),
            targets: targets
                .nodes
                .iter()
                .map(|node| Target { folder: node.data.clone(), node: node.name.clone() })
                .collect(),
            choices: RestoreChoices { copies: Some(2), ..RestoreChoices::default() },
            ..RestoreOptions::default()
        };
        let recorder = Recorder::default();
        restore_offline(&options, &recorder)?;
        recorder.check_steps("restoring");
    }
    Ok(())
}

/// Fails unless the bytes of each phase grow, and end at the phase's total if it has one. Gives the phases with a total.
fn check_events(arguments: &[&str]) -> Result<Vec<String>> {
    let ended = expect(0, &[arguments, &["--events"]].concat())?;
    let mut phases: Vec<Phase> = Vec::new();
    for line in ended.stderr.lines().filter(|line| line.starts_with('{')) {
        let event: Value = serde_json::from_str(line)?;
        match event["event"].as_str() {
            Some("phase") => phases.push(Phase {
                name: event["name"].as_str().ok_or("no name")?.to_owned(),
                items: event["total"].as_u64(),
                bytes: event.get("total_bytes").ok_or("no total of bytes")?.as_u64(),
                done: Vec::new(),
            }),
            Some("progress") => {
                let done = event["items"].as_u64().zip(event["bytes"].as_u64()).ok_or("no numbers")?;
                phases.last_mut().ok_or("progress without a phase")?.done.push(done);
            }
            _ => {}
        }
    }
    let mut with_total = Vec::new();
    for Phase { name, items, bytes, done } in phases {
        assert!(done.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1), "{arguments:?}: {name}: {done:?}");
        let Some(bytes) = bytes else { continue };
        let last = done.last().copied().unwrap_or_default();
        assert_eq!((Some(last.0), last.1), (items, bytes), "{arguments:?}: {name}");
        with_total.push(name);
    }
    Ok(with_total)
}

#[test]
fn events_end_at_the_total_of_bytes() -> Result<()> {
    let fixture = fixtures::single_node()?;
    let dir = tempfile::tempdir()?;
    let large = large_file(&dir.path().join("large"))?;
    for (number, data) in [&fixture.nodes[0].data, &large].into_iter().enumerate() {
        let path = |name: &str| dir.path().join(format!("{name}-{number}"));
        let (archive, foreign) = (path("backup.tar.gz"), path("foreign.tar.gz"));
        let phases = check_events(&["backup", &source(data), text(&archive)])?;
        assert_eq!(phases, ["saving view indexes", "saving shards"]);
        tar(data, &foreign)?;
        for (archive, rewriting) in [(&archive, "copying"), (&foreign, "writing the archive")] {
            assert_eq!(check_events(&["verify", text(archive)])?, ["verifying"]);
            let node = format!("{},couchdb@127.0.0.1", path(rewriting).join("data").display());
            assert_eq!(check_events(&["restore", "--offline", text(archive), &node])?, ["restoring"]);
            let new = path(&format!("{rewriting}.tar.gz"));
            assert_eq!(check_events(&["unbrand", text(archive), text(&new)])?, [rewriting]);
        }
    }
    Ok(())
}
