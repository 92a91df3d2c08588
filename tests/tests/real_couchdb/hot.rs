//! Backups of a cluster under load.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

use couchcopy_tests::Result;
use couchcopy_tests::compare::compare;
use couchcopy_tests::content::read_cluster;
use couchcopy_tests::far::Far;
use couchcopy_tests::lab::{
    Cluster, Ended, Installation, Size, couchcopy, read_databases_over_http, wait_for,
};
use scale_data::plan::{Attachments, Plan};
use serde_json::Value;

use self::state::{Moment, State};
use super::started::restore;

mod checks;
mod state;
mod writers;

/// How many backups are made.
const RUNS: usize = 20;
/// The same over ssh.
const RUNS_FROM_FAR: usize = 8;
/// Databases that nobody touches. They are there so that a backup takes a while.
const BYSTANDERS: u64 = 200;

/// Saves a cluster into an archive of that name; gives its path and what was printed as JSON.
type BackUp<'b> = &'b dyn Fn(&Cluster, &str) -> Result<(PathBuf, Ended)>;

/// Makes backups under load; each comes with what was acknowledged before and what was sent by its end.
fn back_up(
    source: &Cluster,
    state: &State,
    runs: usize,
    how: BackUp<'_>,
) -> Result<Vec<(PathBuf, Moment, Moment)>> {
    let mut made = Vec::new();
    for run in 0..runs {
        state.check_failures()?;
        let before = state.acknowledged();
        let begun = Instant::now();
        let (archive, ended) = how(source, &format!("backup{run}.tar.gz"))?;
        let after = state.sent();
        println!("run {run}, {:.1} s: {}", begun.elapsed().as_secs_f64(), before.story(&after));
        let told = ended.success().map_err(|e| format!("run {run}: {e}"))?;
        let told: Value = serde_json::from_str(&told)?;
        println!(
            "  deleted meanwhile {}, created {}, views {} without {}",
            told["deleted_meanwhile"], told["created_meanwhile"], told["views"], told["views_left_out"]
        );
        made.push((archive, before, after));
    }
    Ok(made)
}

#[test]
fn every_backup_of_a_busy_cluster_is_a_state_that_existed() -> Result<()> {
    check(RUNS, &|source, name| {
        let archive = source.dir().join(name);
        // The slowest way: the more happens meanwhile.
        let mut arguments: Vec<String> =
            ["--json", "--threads=1", "backup", "--level=12"].map(str::to_owned).to_vec();
        arguments.extend(source.nodes.iter().map(|node| format!("localhost,{}", node.data.display())));
        arguments.push(archive.display().to_string());
        Ok((archive, couchcopy(&arguments)?))
    })
}

#[test]
fn every_backup_over_ssh_of_a_busy_cluster_is_a_state_that_existed() -> Result<()> {
    let Some(far) = Far::start()? else { return Ok(()) };
    check(RUNS_FROM_FAR, &|source, name| {
        let archive = far.path(name);
        let nodes: Vec<String> = source.nodes.iter().map(|node| far.node(&node.data)).collect();
        let ended = far.backup(&nodes, &archive, &["--json", "--threads=2", "--level=12"])?;
        Ok((archive, ended))
    })
}

#[test]
fn every_backup_with_a_mirror_of_a_busy_cluster_is_a_state_that_existed() -> Result<()> {
    let Some(far) = Far::start()? else { return Ok(()) };
    let mirror = far.path("mirror").display().to_string();
    check(RUNS_FROM_FAR, &|source, name| {
        let archive = far.path(name);
        let nodes: Vec<String> = source.nodes.iter().map(|node| far.node(&node.data)).collect();
        let how = ["--json", "--threads=2", "--level=12", "--rsync-reuse-dir", &mirror];
        Ok((archive.clone(), far.backup(&nodes, &archive, &how)?))
    })
}

/// Saves a cluster under load, restores every archive and holds it against what was written.
fn check(runs: usize, how: BackUp<'_>) -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let mut source = Cluster::prepare(&couchdb, Size { nodes: 2, q: 2, n: 2 })?;
    let bystanders = bystanders(&mut source)?;
    source.start()?;
    // Not while the clock of the first backup runs.
    couchcopy(&["--version"])?.success()?;
    let state = State::new();
    writers::prepare(source.http(), &state)?;
    let made = std::thread::scope(|scope| {
        let writers = writers::start(scope, &source, &state);
        // Something of everything must have happened before the first backup, and goes on during all of them.
        let warm = wait_for("the writers to get going", || {
            let failed = state.check_failures().is_err();
            Ok((failed || state.acknowledged().is_warm()).then_some(()))
        });
        let made = warm.and_then(|()| back_up(&source, &state, runs, how));
        state.stop.store(true, Ordering::SeqCst);
        for writer in writers {
            let _ = writer.join();
        }
        made
    })?;
    state.check_failures()?;
    source.nodes.clear();

    for (run, (archive, before, after)) in made.iter().enumerate() {
        let named = |e| format!("run {run}: {e}");
        couchcopy(&["verify".as_ref(), archive.as_os_str()])?.success().map_err(named)?;
        let mut target = Cluster::prepare(&couchdb, Size { nodes: 1 + (run % 2) as u8, q: 2, n: 2 })?;
        restore(archive, &target, None).map_err(named)?;
        let folders: Vec<_> = target.nodes.iter().map(|node| node.data.clone()).collect();
        let mut content = read_cluster(&folders.iter().map(std::path::PathBuf::as_path).collect::<Vec<_>>())?;
        checks::check(&mut content, &bystanders, before, after).map_err(named)?;
        if run == runs / 2 || run == runs - 1 {
            start(&mut target, &content).map_err(named)?;
        }
    }
    Ok(())
}

/// Puts databases into the folders of a cluster that has not been started; gives their names.
fn bystanders(source: &mut Cluster) -> Result<Vec<String>> {
    let dir = source.dir().join("bystanders");
    let plan = Plan {
        databases: BYSTANDERS,
        empty: 20,
        docs: 4,
        doc_size: 1000,
        revisions: 1,
        q: 2,
        copies: 1,
        nodes: source.nodes.iter().map(|node| node.name.clone()).collect(),
        seed: 1,
        attachments: Attachments::default(),
    };
    let built = scale_data::build::build(&plan, &dir)?;
    for (node, folder) in source.nodes.iter().zip(built.folders) {
        std::fs::rename(folder.path, &node.data)?;
    }
    Ok((0..plan.total()).map(|i| plan.name(i)).collect())
}

/// Starts a restored state: CouchDB tells what was read from the files, and its views agree with its documents.
fn start(target: &mut Cluster, content: &Value) -> Result<()> {
    target.start()?;
    let content = content.as_object().ok_or("no content")?;
    let names: Vec<String> = content.keys().cloned().collect();
    for node in &target.nodes {
        let told = read_databases_over_http(&node.http, &names)?;
        assert_eq!(compare(&content.clone().into(), &told), [""; 0], "{}", node.name);
        checks::check_view(&node.http, &content[writers::CHURN]["docs"])?;
    }
    Ok(())
}
