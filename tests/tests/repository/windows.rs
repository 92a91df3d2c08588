//! Backups and prunes that stop at a request while others run to their end. The order of all requests is gone through in a model
//! (`engine/repository/tests/interleavings`); here the command itself runs.

use std::cell::Cell;
use std::process::{Child, Stdio};
use std::time::Duration;

use couchcopy_tests::Result;
use couchcopy_tests::fault_proxy::{Fault, FaultProxy, Request};
use couchcopy_tests::faults::try_all;
use couchcopy_tests::lab::Ended;

use super::data::Data;
use super::place::{Place, STORE};

/// A command whose requests pass a gate.
struct Gated<'a> {
    place: &'a Place,
    gate: FaultProxy,
    running: Option<(Child, tempfile::NamedTempFile)>,
}

impl<'a> Gated<'a> {
    fn new(place: &'a Place) -> Result<Self> {
        let store = STORE.as_ref().ok_or("no store")?;
        Ok(Self { place, gate: FaultProxy::start(&store.endpoint())?, running: None })
    }

    /// Runs the command until it is about to make this request. Whether it came so far; else it has ended.
    fn run_until(&mut self, request: usize, arguments: &[&str]) -> Result<bool> {
        self.gate.fault_at(request, Fault::Held);
        self.start(arguments)
    }

    /// Runs the command until a request is held. Whether one is; else it has ended.
    fn start(&mut self, arguments: &[&str]) -> Result<bool> {
        let errors = tempfile::NamedTempFile::new()?;
        let mut command = self.place.through(&self.gate)?.command(arguments)?;
        let mut child = command.stdout(Stdio::null()).stderr(errors.reopen()?).spawn()?;
        let is_held = loop {
            if self.gate.held() > 0 {
                break true;
            }
            if child.try_wait()?.is_some() {
                break false;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        self.running = Some((child, errors));
        Ok(is_held)
    }

    /// Lets it run to its end.
    fn finish(&mut self) -> Result<Ended> {
        self.gate.clear_faults();
        self.gate.release();
        let (mut child, errors) = self.running.take().ok_or("nothing runs")?;
        let status = child.wait()?;
        let stderr = std::fs::read_to_string(errors.path())?;
        Ok(Ended { code: status.code(), stdout: String::new(), stderr }.unwrapped())
    }

    /// The requests of a command that runs to its end.
    fn requests(&self, arguments: &[&str]) -> Result<Vec<Request>> {
        let before = self.gate.count();
        self.place.through(&self.gate)?.expect(0, arguments)?;
        Ok(self.gate.requests().split_off(before))
    }
}

impl Drop for Gated<'_> {
    fn drop(&mut self) {
        if let Some((mut child, _)) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A repository whose newest backup shares packs with an older one, and has others of its own.
struct Setting {
    place: Place,
    data: Data,
    round: Cell<u64>,
}

impl Setting {
    fn new(bucket: &str) -> Result<Option<Self>> {
        let Some(place) = Place::store(bucket)? else { return Ok(None) };
        place.init(&[])?;
        Ok(Some(Self { place, data: Data::new(2, 200)?, round: Cell::new(0) }))
    }

    /// Two backups, of which the newest one will be thrown away at any moment.
    fn prepare(&self) -> Result<()> {
        let round = self.round.get() + 1;
        self.round.set(round);
        self.data.grow(round, 8_000)?;
        self.place.backup(&self.data.node())?;
        self.data.replace(round)?;
        self.place.backup(&self.data.node())?;
        self.place.couchcopy.expect(0, &["repo", "expire", "--keep-last", "2", &self.place.repo])?;
        self.data.grow(round + 1, 8_000)
    }

    /// Throws the newest backup away, as an expire would that keeps only complete ones.
    fn throw_newest_away(&self) -> Result<()> {
        let newest = self.place.ids()?.pop().ok_or("no backup")?;
        let (s3, bucket) = self.place.bucket.as_ref().ok_or("no bucket")?;
        s3.delete(bucket, &format!("r/snapshots/{newest}"))
    }

    fn backup(&self) -> [String; 4] {
        ["backup".into(), "--repo".into(), self.place.repo.clone(), self.data.node()]
    }

    fn prune(&self) -> [String; 5] {
        ["repo", "prune", "--grace", "0s", &self.place.repo].map(str::to_owned)
    }

    /// Fails unless all backups are right, and prunes leave only what is needed.
    fn assert_clean(&self) -> Result<()> {
        self.place.verify_all()?;
        self.place.assert_prunes_clean()?;
        self.place.verify_all()
    }

    /// Fails unless nothing is lost, and the next backup is made. Whether the backup was made, or withdrawn.
    fn assert_safe(&self, about: &str, backup: &Ended) -> Result<bool> {
        let is_made = backup.code == Some(0);
        assert!(is_made || backup.stderr.contains("CC-Q14"), "{about}: {backup:?}");
        let name = |error| format!("{about}: {error}");
        self.place.check().map_err(name)?;
        self.place.backup(&self.data.node()).map_err(name)?;
        self.place.couchcopy.expect(0, &["verify", &self.place.of("latest")]).map_err(name)?;
        self.place.couchcopy.expect(0, &words(&self.prune())).map_err(name)?;
        self.place.check().map_err(name)?;
        Ok(is_made)
    }
}

fn words(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// A backup stops before each of its requests. In the meantime the backup that it builds on is thrown away, and all that is not
/// needed is pruned.
#[test]
fn a_prune_runs_while_a_backup_stands_still() -> Result<()> {
    let Some(setting) = Setting::new("window-backup")? else { return Ok(()) };
    let (mut made, mut withdrawn) = (0, 0);
    for number in 0.. {
        setting.prepare()?;
        let (backup, prune) = (setting.backup(), setting.prune());
        let mut gated = Gated::new(&setting.place)?;
        let is_held = gated.run_until(number, &words(&backup))?;
        if !is_held {
            gated.finish()?;
            break;
        }
        setting.throw_newest_away()?;
        setting.place.couchcopy.expect(0, &words(&prune))?;
        let ended = gated.finish()?;
        drop(gated);
        if setting.assert_safe(&format!("stopped before request {number}"), &ended)? {
            made += 1;
        } else {
            withdrawn += 1;
        }
    }
    assert!(made >= 8 && withdrawn >= 2, "{made} made, {withdrawn} withdrawn");
    setting.assert_clean()
}

/// A backup stops at the requests that decide whether it is there, and a prune at those that decide what is deleted. Then either
/// ends before the other.
#[test]
fn a_backup_and_a_prune_stand_still_at_the_same_time() -> Result<()> {
    let Some(setting) = Setting::new("window-both")? else { return Ok(()) };
    setting.prepare()?;
    let gated = Gated::new(&setting.place)?;
    let of_backup = gated.requests(&words(&setting.backup()))?;
    setting.place.backup(&setting.data.node())?;
    setting.data.replace(1)?;
    setting.place.backup(&setting.data.node())?;
    setting.throw_newest_away()?;
    let of_prune = gated.requests(&words(&setting.prune()))?;
    drop(gated);
    let snapshot =
        position(&of_backup, |request| request.method == "PUT" && request.target.contains("snapshots"))?;
    let mark = position(&of_prune, |request| request.method == "PUT" && request.target.contains("marks"))?;
    assert!(snapshot + 3 < of_backup.len() && mark + 3 < of_prune.len(), "{of_backup:#?}\n{of_prune:#?}");
    let (mut made, mut withdrawn) = (0, 0);
    for backup_at in snapshot - 1..of_backup.len() - 1 {
        for prune_at in mark..of_prune.len() {
            for backup_first in [true, false] {
                // Each pair once, unless all are tried: the order alternates.
                if !try_all() && (backup_at + prune_at) % 2 == usize::from(backup_first) {
                    continue;
                }
                setting.prepare()?;
                let (backup, prune) = (setting.backup(), setting.prune());
                let (mut writer, mut pruner) = (Gated::new(&setting.place)?, Gated::new(&setting.place)?);
                writer.run_until(backup_at, &words(&backup))?;
                setting.throw_newest_but(backup_at_is_there(&setting, backup_at > snapshot)?.as_ref())?;
                pruner.run_until(prune_at, &words(&prune))?;
                let (ended, pruned) = if backup_first {
                    let ended = writer.finish()?;
                    (ended, pruner.finish()?)
                } else {
                    let pruned = pruner.finish()?;
                    (writer.finish()?, pruned)
                };
                drop((writer, pruner));
                let about =
                    format!("backup at {backup_at}, prune at {prune_at}, backup first: {backup_first}");
                assert_eq!(pruned.code, Some(0), "{about}: {pruned:?}");
                if setting.assert_safe(&about, &ended)? {
                    made += 1;
                } else {
                    withdrawn += 1;
                }
            }
        }
    }
    assert!(made >= 5 && withdrawn >= 5, "{made} made, {withdrawn} withdrawn");
    setting.assert_clean()
}

fn position(requests: &[Request], is_it: impl Fn(&Request) -> bool) -> Result<usize> {
    Ok(requests.iter().position(is_it).ok_or_else(|| format!("no such request in {requests:#?}"))?)
}

/// The backup that is being made, if its snapshot is there already.
fn backup_at_is_there(setting: &Setting, is_there: bool) -> Result<Option<String>> {
    if is_there { Ok(setting.place.ids()?.pop()) } else { Ok(None) }
}

impl Setting {
    /// Throws the newest backup away that is not this one.
    fn throw_newest_but(&self, kept: Option<&String>) -> Result<()> {
        let mut ids = self.place.ids()?;
        ids.retain(|id| Some(id) != kept);
        let newest = ids.pop().ok_or("no backup")?;
        let (s3, bucket) = self.place.bucket.as_ref().ok_or("no bucket")?;
        s3.delete(bucket, &format!("r/snapshots/{newest}"))
    }
}

/// A prune stops between its deleting mark and its deletions, another one runs to its end, and a backup that has begun before both
/// is made. The first prune must not delete what this backup needs.
#[test]
fn a_prune_that_stands_still_deletes_nothing_that_was_needed_since() -> Result<()> {
    let Some(setting) = Setting::new("window-prunes")? else { return Ok(()) };
    let (mut made, mut withdrawn) = (0, 0);
    setting.prepare()?;
    let gated = Gated::new(&setting.place)?;
    let of_backup = gated.requests(&words(&setting.backup()))?;
    let snapshot =
        position(&of_backup, |request| request.method == "PUT" && request.target.contains("snapshots"))?;
    setting.prepare()?;
    setting.throw_newest_away()?;
    let of_prune = gated.requests(&words(&setting.prune()))?;
    drop(gated);
    let mark = position(&of_prune, |request| request.method == "PUT" && request.target.contains("marks"))?;
    for prune_at in mark + 1..of_prune.len() {
        for backup_at in [snapshot, snapshot + 1] {
            setting.prepare()?;
            let (backup, prune) = (setting.backup(), setting.prune());
            let (mut writer, mut pruner) = (Gated::new(&setting.place)?, Gated::new(&setting.place)?);
            writer.run_until(snapshot, &words(&backup))?;
            setting.throw_newest_away()?;
            pruner.run_until(prune_at, &words(&prune))?;
            if backup_at > snapshot {
                // The snapshot is put, and nothing after it, while the second prune runs.
                writer.gate.clear_faults();
                writer.gate.fault_at(0, Fault::Held);
                writer.gate.release();
                while writer.gate.held() == 0 || writer.gate.count() <= snapshot + 1 {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            let second = setting.place.couchcopy.run(&words(&prune))?;
            let ended = writer.finish()?;
            let pruned = pruner.finish()?;
            drop((writer, pruner));
            let about = format!("prune at {prune_at}, backup at {backup_at}");
            // A backup that is going to be withdrawn may lack its list of files already: then nothing is deleted.
            for pruned in [pruned.code, second.code] {
                assert!(matches!(pruned, Some(0 | 3)), "{about}: {second:?}");
            }
            if setting.assert_safe(&about, &ended)? {
                made += 1;
            } else {
                withdrawn += 1;
            }
        }
    }
    assert!(withdrawn >= 3, "{made} made, {withdrawn} withdrawn");
    setting.assert_clean()
}

/// A machine that may not delete cannot withdraw a backup that a prune has overtaken. Nobody takes this backup for complete, and
/// everything goes on.
#[test]
fn a_backup_that_cannot_be_withdrawn_is_not_complete() -> Result<()> {
    let Some(setting) = Setting::new("window-refused")? else { return Ok(()) };
    let place = &setting.place;
    setting.prepare()?;
    let mut gated = Gated::new(place)?;
    let commits = |request: &Request| request.method == "PUT" && request.target.contains("snapshots");
    gated.gate.fault_on(commits, 0, 1, Fault::Held);
    assert!(gated.start(&words(&setting.backup()))?);
    setting.throw_newest_away()?;
    place.couchcopy.expect(0, &words(&setting.prune()))?;
    let newest = place.ids()?.pop().ok_or("no backup")?;
    let deletes = |request: &Request| {
        request.method == "DELETE" || (request.method == "POST" && request.target.contains("delete"))
    };
    gated.gate.fault_on(deletes, 0, usize::MAX, Fault::Error(403, "AccessDenied"));
    gated.gate.release();
    let (mut child, errors) = gated.running.take().ok_or("nothing runs")?;
    let status = child.wait()?;
    let stderr = std::fs::read_to_string(errors.path())?;
    assert!(!status.success() && stderr.contains("CC-Q18"), "{status}: {stderr}");
    drop(gated);

    let list = place.couchcopy.json_of(3, &["repo", "list", &place.repo])?;
    let backups = list["backups"].as_array().ok_or("no list")?;
    let lacking: Vec<&serde_json::Value> =
        backups.iter().filter(|backup| backup["lacks"].is_array()).collect();
    let [lacking] = lacking[..] else { return Err(format!("{list}").into()) };
    let id = lacking["id"].as_str().ok_or("no id")?;
    assert_ne!(id, newest);
    let restored = |selector: &str| place.couchcopy.restored(&place.of(selector), &[]);
    assert!(restored("latest")? == restored(&newest)?, "latest is not {newest}");
    let checked = place.couchcopy.json_of(3, &["repo", "check", &place.repo])?;
    assert_eq!(checked["findings"][0]["backups"], serde_json::json!([id]));
    let next = place.backup(&setting.data.node())?;
    place.couchcopy.expect(0, &["verify", &place.of("latest")])?;
    let pruned = place.couchcopy.run(&[&words(&setting.prune())[..], &["--json"]].concat())?;
    assert!(pruned.code == Some(3) && pruned.stdout.contains(id), "{pruned:?}");
    place.couchcopy.expect(0, &["verify", &place.of(&next)])?;
    place.couchcopy.expect(0, &["repo", "delete", "-y", &place.of(id)])?;
    setting.assert_clean()
}
