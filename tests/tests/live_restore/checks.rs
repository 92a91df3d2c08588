//! What is found before anything is changed, and what tells where nodes stand.

use std::fs;
use std::process::Command;

use couchcopy_tests::lab::{Ended, Size, read_over_http, run, skipped};
use couchcopy_tests::live::{Plan, Reach, Site};
use couchcopy_tests::managers::find_program;
use couchcopy_tests::{Result, fixtures};
use rustix::process::getuid;
use serde_json::Value;

/// A cluster that is to stay as it is.
struct Untouched {
    site: Site,
    archive: String,
    content: Value,
}

impl Untouched {
    fn new() -> Result<Option<Self>> {
        let plan = Plan { size: Size { nodes: 2, q: 2, n: 2 }, reach: Reach::Here };
        let Some(site) = Site::start(plan)? else { return Ok(None) };
        site.wait_until_settled(|_| Ok(()))?;
        let archive = fixtures::path("couchcopy-0.2.4.tar.gz").display().to_string();
        let content = read_over_http(site.http())?;
        Ok(Some(Self { site, archive, content }))
    }

    /// The same command with another cluster file and variables.
    fn run(&self, arguments: &[&str], cluster: &str, variables: &[(&str, &str)]) -> Result<Ended> {
        let file = self.site.path("other.toml");
        fs::write(&file, cluster)?;
        let mut command = self.site.command(arguments)?;
        let words: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let mut again = Command::new(command.get_program());
        let ours = self.site.cluster_file();
        again.args(words.into_iter().map(|word| if word == ours { file.clone().into() } else { word }));
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => again.env(name, value),
                None => again.env_remove(name),
            };
        }
        command = again;
        Ok(run(command.envs(variables.iter().copied()))?.unwrapped())
    }

    /// Fails unless `check` finds this, with that remedy, and a restore is refused for it.
    fn finds(&self, cluster: &str, variables: &[(&str, &str)], wanted: (&str, &str, &str)) -> Result<()> {
        let (subject, found, remedy) = wanted;
        let ended = self.run(&["check", "--json"], cluster, variables)?;
        assert_eq!(ended.code, Some(3), "{wanted:?}: {ended:#?}");
        let told: Value = serde_json::from_str(&ended.stdout)?;
        let contains = |proof: &Value, field: &str, text: &str| {
            proof[field].as_str().is_some_and(|value| value.contains(text))
        };
        let matching = told["proofs"].as_array().into_iter().flatten().any(|proof| {
            proof["verdict"] == "problem"
                && proof["subject"] == subject
                && contains(proof, "found", found)
                && contains(proof, "remedy", remedy)
        });
        assert!(matching, "{wanted:?}: {told:#}");
        let refused = self.run(&["restore", "-y", &self.archive], cluster, variables)?;
        assert_eq!(refused.code, Some(5), "{wanted:?}: {refused:#?}");
        Ok(())
    }

    fn check(&self) -> Result<()> {
        self.site.check_content(&self.content)?;
        self.site.check_nothing_left()?;
        assert_eq!(self.site.controls.iter().map(|control| control.calls("stop")).sum::<usize>(), 0);
        Ok(())
    }
}

#[test]
fn what_would_not_do_is_found_before_anything_is_changed() -> Result<()> {
    let Some(untouched) = Untouched::new()? else { return Ok(()) };
    let Untouched { site, archive, .. } = &untouched;
    let fine = fs::read_to_string(site.cluster_file())?;
    let ended = site.couchcopy(&["check"])?;
    assert!(ended.success()?.contains("Ready to restore."));

    let other = |from: &str, to: &str| {
        assert!(fine.contains(from), "{from}: {fine}");
        fine.replacen(from, to, 1)
    };
    let [first, second] = [0, 1].map(|i| site.nodes[i].name.clone());
    let data = site.nodes[0].data.display().to_string();
    let empty = tempfile::tempdir()?;
    let empty = empty.path().display().to_string();
    let port = site.nodes[0].url();
    let nobody = format!("{}1", port.trim_end_matches('4'));

    let wrong_password = [("COUCHCOPY_PASSWORD", "wrong")];
    untouched.finds(&fine, &wrong_password, ("http", "name and password", "server admin"))?;
    untouched.finds(
        &other(&format!("name = \"{first}\""), "name = \"couchdb@elsewhere\""),
        &[],
        ("name", &format!("is {first}, not couchdb@elsewhere"), "omit the name"),
    )?;
    let one = fine.split_inclusive("\n\n").next().ok_or("no node")?;
    untouched.finds(one, &[], ("membership", &second, "Give all nodes"))?;
    untouched.finds(
        &other(&data, "/nonexistent"),
        &[],
        ("data directory", "no directory", "database_dir"),
    )?;
    untouched.finds(&other(&data, &empty), &[], ("data directory", "no _dbs.couch", "database_dir"))?;
    untouched.finds(
        &other(&data, &empty),
        &[],
        ("data directory", &format!("not {empty}"), "that directory"),
    )?;
    untouched.finds(&other(&port, &nobody), &[], ("http", "does not answer", "host and port"))?;
    let told = untouched.run(&["check"], &other("ctl status", "ctl nonsense"), &[])?.success()?;
    assert!(told.contains("cannot report whether it runs"), "{told}");
    let script = format!("{} status", site.controls[0].script().display());
    let stopped = other(&script, "sh -c 'exit 3'");
    untouched.finds(&stopped, &[], ("service", "reports that it is stopped", "Start it"))?;
    let ctl = site.controls[0].script().display().to_string();
    untouched.finds(
        &other(&format!("{ctl} start"), "/nonexistent/ctl start"),
        &[],
        ("service", "there is no program for `/nonexistent/ctl start`", "--service"),
    )?;
    untouched.finds(
        &other(&format!("{ctl} stop"), "/etc/passwd stop"),
        &[],
        ("service", "`/etc/passwd stop`", "executable"),
    )?;
    unwritable(&untouched, &fine)?;

    let refused = site.couchcopy(&["restore", archive])?;
    assert_eq!(refused.code, Some(5), "{refused:#?}");
    assert!(refused.stderr.contains("confirmation required"), "{refused:#?}");
    let told = site.couchcopy(&["restore", "--dry-run", archive])?.success()?;
    for text in ["REPLACED", &first, &second, "16 databases"] {
        assert!(told.contains(text), "{text}: {told}");
    }
    assert_eq!(site.situations()?, ["untouched", "untouched"]);
    untouched.check()
}

/// Where couchcopy works as a user who may not write.
fn unwritable(untouched: &Untouched, fine: &str) -> Result<()> {
    if !getuid().is_root() || find_program("sudo", "sudo").is_none() {
        skipped("it takes root and sudo to become a user who may not write");
        return Ok(());
    }
    // The folders above may be entered, and so may what is asked for its size.
    for folder in untouched.site.nodes[0].data.ancestors().take(4) {
        run(Command::new("chmod").arg("a+rx").arg(folder))?.success()?;
    }
    let cluster = fine.replacen("via = []", "via = [\"sudo:user=nobody\"]", 1);
    untouched.finds(&cluster, &[], ("files", "create the folder", "own CouchDB's data"))
}

#[test]
fn kept_data_is_told_hinders_and_goes() -> Result<()> {
    let Some(untouched) = Untouched::new()? else { return Ok(()) };
    let Untouched { site, archive, content } = &untouched;
    let fine = fs::read_to_string(site.cluster_file())?;
    // What a compaction of the shard maps has left would be continued by the next one.
    let compaction = site.nodes[0].data.join("_dbs.couch.compact.data");
    fs::write(&compaction, "of the old maps")?;
    for last in ["--roll-back", "clean"] {
        let told = site.couchcopy(&["restore", "-y", "--keep-old", archive])?.success()?;
        assert!(told.contains("`couchcopy clean` removes it"), "{told}");
        assert!(!compaction.exists());
        untouched.finds(&fine, &[], ("earlier restore", "is still there", "couchcopy clean"))?;
        let told = site.couchcopy(&["status"])?.success()?;
        assert!(told.contains("restored; the old data is still there"), "{told}");
        if last == "clean" {
            // On one node only: what the other one has kept is good for nothing then.
            let told = site.couchcopy(&["clean", &site.nodes[0].name])?.success()?;
            assert!(told.contains("removed the old data of restores"), "{told}");
            let refused = site.couchcopy(&["restore", "-y", "--roll-back"])?;
            assert_eq!(refused.code, Some(5), "{refused:#?}");
            assert!(refused.stderr.contains("has no old data any more"), "{refused:#?}");
            site.couchcopy(&["clean"])?.success()?;
            site.check_content(&fixtures::oracle("single-node")?)?;
            let told = site.couchcopy(&["clean"])?.success()?;
            assert!(told.contains("nothing to remove"), "{told}");
        } else {
            site.check_content(&fixtures::oracle("single-node")?)?;
            let told = site.couchcopy(&["restore", "-y", "--roll-back"])?.success()?;
            assert!(told.contains("the old data is back in place"), "{told}");
            site.check_content(content)?;
            assert!(compaction.exists());
        }
        site.check_nothing_left()?;
        for action in ["--roll-back", "--resume"] {
            let refused = site.couchcopy(&["restore", "-y", action])?;
            assert_eq!(refused.code, Some(5), "{refused:#?}");
            assert!(refused.stderr.contains("there is no unfinished restore"), "{refused:#?}");
        }
    }
    // Killed before there was a journal.
    fs::create_dir(site.nodes[0].data.join(".couchcopy"))?;
    assert_eq!(site.situations()?, ["leftover", "untouched"]);
    site.couchcopy(&["check"])?.success()?;
    site.restore(std::path::Path::new(archive), &[])?.success()?;
    site.check_nothing_left()
}
