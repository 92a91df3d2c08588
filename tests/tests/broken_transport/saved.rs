//! What is saved is complete, or nothing is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use couchcopy_tests::faults::distance;
use couchcopy_tests::growth::commit;
use couchcopy_tests::lab::{Ended, back_up, binary, run};
use couchcopy_tests::managers::{link_busybox, write_program};
use couchcopy_tests::manifest::{assert_equal, manifest};
use couchcopy_tests::transport::{FAULTS, Faulty, Tally};
use couchcopy_tests::{Result, fixtures};
use scale_data::plan::{Attachments, Plan};
use tempfile::TempDir;

/// Nodes behind a faulty way.
pub(crate) struct Far {
    pub(crate) dir: TempDir,
    pub(crate) way: Faulty,
}

impl Far {
    pub(crate) fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let way = Faulty::new(&dir.path().join("way"), None)?;
        Ok(Self { dir, way })
    }

    /// The same, with busybox's programs on the nodes. `None` where there is no busybox.
    fn with_busybox() -> Result<Option<Self>> {
        let mut far = Self::new()?;
        let programs = far.path("programs");
        fs::create_dir(&programs)?;
        if !link_busybox(&programs)? {
            return Ok(None);
        }
        let shell = programs.join("shell");
        let text = format!("#!/bin/sh\nPATH={}:$PATH\nexec sh -c \"$@\"\n", programs.display());
        write_program(&shell, &text)?;
        far.way = far.way.with("FAR_SHELL", &shell.display().to_string());
        Ok(Some(far))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Saves folders, each as that of a node of its own.
    pub(crate) fn backup(&self, folders: &[&Path], archive: &Path, more: &[&str]) -> Result<Ended> {
        let mut command = Command::new(binary()?);
        command.args(["backup", "--via", "ssh"]).args(more);
        for (i, folder) in folders.iter().enumerate() {
            command.arg(format!("db{i},{}", folder.display()));
        }
        command.arg(archive).envs(self.way.variables()).env_remove("COUCHCOPY_PASSWORD");
        Ok(run(&mut command)?.unwrapped())
    }
}

/// Fails unless a backup made all of the archive, or none and said why.
fn judge(ended: &Ended, reference: &Path, archive: &Path, tally: &mut Tally) -> Result<()> {
    match ended.code {
        Some(0) => {
            let (whole, found) = (manifest(reference)?, manifest(archive)?);
            if whole != found {
                let missing: Vec<_> = whole.keys().filter(|name| !found.contains_key(*name)).collect();
                return Err(format!("exit code 0, and it differs; missing: {missing:?}\n{ended:#?}").into());
            }
            assert_equal(reference, archive)?;
            let again = if ended.stderr.is_empty() { "complete" } else { "complete, with a notice" };
            tally.count(again);
        }
        Some(code @ (5..=9)) => {
            if archive.exists() {
                return Err(format!("an archive though it ended with {code}: {ended:#?}").into());
            }
            if !ended.stderr.contains("cannot")
                && !ended.stderr.contains("does not exist or is not accessible")
            {
                return Err(format!("it does not say what it could not do: {ended:#?}").into());
            }
            tally.count(format!("no archive, exit code {code}"));
        }
        _ => return Err(format!("neither all nor nothing: {ended:#?}").into()),
    }
    Ok(())
}

/// Every fault at every call of a backup or, of the many calls to several nodes, every `step`th of both.
fn every_fault(
    what: &str,
    far: &Far,
    folders: &[&Path],
    more: &[&str],
    step: usize,
    before: impl Fn() -> Result<()>,
) -> Result<()> {
    let reference = far.path("reference.tar.gz");
    back_up(folders, &reference)?;
    let archive = far.path("archive.tar.gz");
    before()?;
    far.way.disarm()?;
    far.backup(folders, &archive, more)?.success()?;
    assert_equal(&reference, &archive)?;
    fs::remove_file(&archive)?;
    let calls = far.way.calls()?;
    let mut tally = Tally::default();
    let both = (1..=calls).flat_map(|call| FAULTS.into_iter().map(move |fault| (call, fault)));
    for (call, fault) in both.step_by(distance(step)) {
        before()?;
        // Whatever the one before has made.
        let _ = fs::remove_file(&archive);
        far.way.arm(call, fault)?;
        let ended = far.backup(folders, &archive, more)?;
        let Some(hit) = far.way.hit() else { continue };
        judge(&ended, &reference, &archive, &mut tally)
            .map_err(|e| format!("{fault} of call {call}, {hit}: {e}"))?;
        let _ = fs::remove_file(&archive);
        if !more.is_empty() {
            // What came is no trap for the next one.
            far.way.disarm()?;
            far.backup(folders, &archive, more)?
                .success()
                .and_then(|_| assert_equal(&reference, &archive))
                .map_err(|e| format!("after {fault} of call {call}, {hit}: {e}"))?;
        }
    }
    println!("{what}: {calls} calls");
    tally.print(what);
    Ok(())
}

#[test]
fn one_node() -> Result<()> {
    let single = fixtures::single_node()?;
    every_fault("a node", &Far::new()?, &single.folders(), &[], 1, || Ok(()))
}

#[test]
fn one_node_with_busyboxs_tools() -> Result<()> {
    let single = fixtures::single_node()?;
    let Some(far) = Far::with_busybox()? else { return Ok(()) };
    every_fault("a node with busybox", &far, &single.folders(), &[], 1, || Ok(()))
}

#[test]
fn four_nodes() -> Result<()> {
    let four = fixtures::four_nodes()?;
    every_fault("four nodes", &Far::new()?, &four.folders(), &[], 16, || Ok(()))
}

#[test]
fn a_mirror() -> Result<()> {
    let far = Far::new()?;
    let plan = Plan {
        databases: 2,
        empty: 1,
        docs: 300,
        doc_size: 900,
        revisions: 1,
        q: 2,
        copies: 1,
        nodes: vec!["couchdb@127.0.8.1".into()],
        seed: 12,
        attachments: Attachments::default(),
    };
    let built = scale_data::build::build(&plan, &far.path("node"))?;
    let data = built.folders[0].path.clone();
    let (mirror, filled) = (far.path("mirror"), far.path("filled"));
    let more = ["--rsync-reuse-dir", mirror.to_str().ok_or("a path that is no text")?];
    // What the mirror has is the beginning of some files, all of others, and nothing of one.
    let first = far.path("first.tar.gz");
    far.backup(&[&data], &first, &more)?.success()?;
    let shards: Vec<String> = fixtures::files_ending(&data, "couch")?
        .into_iter()
        .filter(|path| path.starts_with("shards/"))
        .collect();
    for (i, path) in shards.iter().take(2).enumerate() {
        commit(&data.join(path), i as u64, 90_000)?;
    }
    fs::rename(&mirror, &filled)?;
    let copy = |from: &Path, to: &Path| -> Result<()> {
        if to.exists() {
            fs::remove_dir_all(to)?;
        }
        run(Command::new("cp").arg("-a").arg(from).arg(to))?.success()?;
        Ok(())
    };
    let of_node = fixtures::files_ending(&filled, "couch")?;
    let gone = of_node.iter().find(|path| path.ends_with(&shards[2])).ok_or("a shard in the mirror")?;
    fs::remove_file(filled.join(gone))?;
    every_fault("a mirror", &far, &[&data], &more, 1, || copy(&filled, &mirror))
}
