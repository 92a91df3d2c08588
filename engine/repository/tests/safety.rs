//! What is beside a backup while it is made, or what was left behind or lost before: the backup is right or withdrawn, and the next
//! one is made.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::{Disk, Place, Result, add, noise, save, visited};
use repository::policy::Policy;
use repository::{OpenSnapshot, PruneOptions, Selector, SnapshotOptions, SnapshotWriter};

/// A prune that deletes at once.
const NOW: PruneOptions = PruneOptions { grace: 0, dry_run: false };

/// Data of one small file, and one of several pieces.
fn disk() -> Disk {
    let mut disk = Disk::default();
    disk.set("data/shards/large.couch", noise(1, 3 << 20));
    disk.set("data/shards/small.couch", noise(2, 5000));
    disk
}

fn begin(place: &Place) -> Result<SnapshotWriter> {
    Ok(SnapshotWriter::begin(&place.as_host()?, SnapshotOptions::new(vec!["n@h".into()]))?)
}

/// Fails unless the backup of this name is what was saved.
fn assert_backup(place: &Place, name: &str, saved: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    let backup = OpenSnapshot::open(&place.repository()?, &Selector::Id(name.to_owned()))?;
    assert!(visited(&backup, 2)? == *saved, "{name} is not what was saved");
    Ok(())
}

/// Fails unless the next backup is made and is right.
fn assert_next(place: &Place, disk: &Disk) -> Result<()> {
    let added = place.backup(disk, true)?;
    assert_backup(place, &added.name.to_string(), &disk.contents())
}

/// Fails unless the writer's backup is withdrawn: a prune deletes what it needs.
fn assert_withdrawn(place: &Place, writer: SnapshotWriter, disk: &Disk) -> Result<()> {
    let name = writer.name();
    let error = save(writer, disk, true).err().ok_or("a backup was made that lacks objects")?;
    let failure = error.downcast::<outcome::Failure>().map_err(|error| error.to_string())?;
    assert_eq!(failure.code().to_string(), "CC-Q14", "{failure}");
    assert!(!place.repository()?.snapshot_names()?.contains(&name));
    Ok(())
}

fn objects_in(place: &Place, folder: &str) -> Result<Vec<PathBuf>> {
    Ok(place.objects()?.into_iter().filter(|path| path.starts_with(place.path().join(folder))).collect())
}

/// Fails unless prunes leave only what is needed.
fn assert_prunes_clean(place: &Place) -> Result<()> {
    let repository = place.repository()?;
    repository.prune(&NOW)?;
    repository.prune(&NOW)?;
    let checked = repository.check()?;
    assert_eq!(checked.findings, []);
    assert_eq!(checked.unneeded, 0);
    assert_eq!(objects_in(place, "marks")?, Vec::<PathBuf>::new());
    Ok(())
}

#[test]
fn a_prune_that_takes_what_a_backup_has_written_so_far_withdraws_it() -> Result<()> {
    let place = Place::new(false)?;
    let mut disk = disk();
    let first = place.backup(&disk, true)?;
    let saved = disk.contents();
    // Several packs: some of them are complete before the backup is.
    for number in 0..5 {
        disk.set(&format!("data/shards/new-{number}.couch"), noise(10 + number, 9 << 20));
    }
    let mut writer = begin(&place)?;
    let before = objects_in(&place, "packs")?.len();
    add(&mut writer, &disk)?;
    assert!(objects_in(&place, "packs")?.len() > before, "no pack was written yet");
    // With a time of grace, what belongs to a backup that is being made is left alone.
    let careful = place.repository()?.prune(&PruneOptions::default())?;
    assert_eq!((careful.marked, careful.deleted), (0, 0));
    assert_ne!(place.repository()?.prune(&NOW)?.deleted, 0);
    assert_withdrawn(&place, writer, &Disk::default())?;
    assert_backup(&place, &first.name.to_string(), &saved)?;
    assert_next(&place, &disk)?;
    assert_prunes_clean(&place)
}

#[test]
fn a_prune_that_takes_what_a_backup_builds_on_withdraws_it() -> Result<()> {
    for encrypted in [false, true] {
        let place = Place::new(encrypted)?;
        let mut disk = disk();
        let first = place.backup(&disk, true)?;
        let saved = disk.contents();
        // It has data of its own. It is incomplete: an expire throws it away, although it is the newest one.
        disk.set("data/shards/other.couch", noise(3, 2 << 20));
        place.backup(&disk, false)?;
        let writer = begin(&place)?;
        let policy = Policy { last: 1, ..Policy::default() };
        place.repository()?.expire(&policy, false)?;
        std::fs::remove_file(newest_snapshot(&place, &first.name.to_string())?).or_else(ignore_missing)?;
        assert_ne!(place.repository()?.prune(&NOW)?.deleted, 0);
        assert_withdrawn(&place, writer, &disk)?;
        assert_backup(&place, &first.name.to_string(), &saved)?;
        assert_next(&place, &disk)?;
        assert_prunes_clean(&place)?;
    }
    Ok(())
}

/// The snapshot of a backup that is not this one.
fn newest_snapshot(place: &Place, but: &str) -> Result<PathBuf> {
    let snapshots = objects_in(place, "snapshots")?;
    Ok(snapshots.into_iter().rfind(|path| !path.ends_with(but)).unwrap_or_else(|| place.path().join("gone")))
}

fn ignore_missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Its packs are needed by another backup, too. Only its manifest goes.
#[test]
fn a_prune_that_takes_only_a_manifest_withdraws_the_backup_that_builds_on_it() -> Result<()> {
    let place = Place::new(false)?;
    let mut disk = disk();
    for number in 0..300 {
        disk.set(&format!("data/shards/{number:04}.couch"), noise(number, 400));
    }
    let complete = place.backup(&disk, true)?;
    let saved = disk.contents();
    // So many changes that the backup after the next one writes its manifest completely, without new data in other packs.
    let mut names = Vec::new();
    for round in 0..6 {
        for number in 0..300 {
            disk.touch(&format!("data/shards/{number:04}.couch"));
        }
        disk.set("metadata.yaml", format!("round {round}").into_bytes());
        names.push(place.backup(&disk, false)?.name.to_string());
    }
    // The newest one that has a manifest of its own, and builds on nothing.
    let snapshots = place.path().join("snapshots");
    let text_of = |name: &str| std::fs::read_to_string(snapshots.join(name));
    let own = names.iter().rfind(|name| text_of(name).is_ok_and(|text| !text.contains("\"changes\"")));
    let own = own.ok_or("every backup builds on the first one's manifest")?;
    for name in names.iter().filter(|name| *name != own) {
        std::fs::remove_file(snapshots.join(name))?;
    }
    let writer = begin(&place)?;
    std::fs::remove_file(snapshots.join(own))?;
    assert_ne!(place.repository()?.prune(&NOW)?.deleted, 0);
    let name = writer.name().to_string();
    match save(writer, &disk, true) {
        Ok(_) => assert_backup(&place, &name, &disk.contents())?,
        Err(error) => {
            let failure = error.downcast::<outcome::Failure>().map_err(|error| error.to_string())?;
            assert!(["CC-Q14", "CC-Q06"].contains(&failure.code().to_string().as_str()), "{failure}");
        }
    }
    assert_backup(&place, &complete.name.to_string(), &saved)?;
    assert_next(&place, &disk)?;
    assert_prunes_clean(&place)
}

/// A backup that was killed before it could look for what a prune has deleted, or a disk that has lost something.
#[test]
fn a_backup_that_lacks_an_object_does_not_keep_the_next_one_from_being_made() -> Result<()> {
    for encrypted in [false, true] {
        let mut tried = 0;
        for number in 0.. {
            let place = Place::new(encrypted)?;
            let mut disk = disk();
            place.backup(&disk, true)?;
            disk.append("data/shards/large.couch", &noise(5, 300_000));
            place.backup(&disk, true)?;
            let data = |path: &&PathBuf| {
                !path.starts_with(place.path().join("keys")) && !path.ends_with(repository::CONFIG)
            };
            let objects = place.objects()?;
            let Some(object) = objects.iter().filter(data).nth(number) else { break };
            std::fs::remove_file(object)?;
            assert_next_after(&place, &disk, "missing", object)?;
            tried += 1;
        }
        assert!(tried >= 6, "{tried}");
    }
    Ok(())
}

#[test]
fn a_backup_that_is_damaged_does_not_keep_the_next_one_from_being_made() -> Result<()> {
    for encrypted in [false, true] {
        let place = Place::new(encrypted)?;
        let mut disk = disk();
        place.backup(&disk, true)?;
        disk.append("data/shards/large.couch", &noise(5, 300_000));
        let newest = place.backup(&disk, true)?;
        let mut damaged = vec![place.path().join(format!("snapshots/{}", newest.name))];
        damaged.extend(objects_in(&place, "manifests")?);
        for object in damaged {
            let content = std::fs::read(&object)?;
            for damage in ["cut", "flipped"] {
                let mut other = content.clone();
                match damage {
                    "cut" => other.truncate(content.len() / 2),
                    _ => other[content.len() / 2] ^= 1,
                }
                std::fs::write(&object, other)?;
                assert_next_after(&place, &disk, damage, &object)?;
            }
            std::fs::write(&object, content)?;
        }
    }
    Ok(())
}

fn assert_next_after(place: &Place, disk: &Disk, damage: &str, object: &Path) -> Result<()> {
    Ok(assert_next(place, disk).map_err(|error| format!("{damage} {}: {error}", object.display()))?)
}

/// A killed backup leaves the note behind that it is being made. Nobody removes it before a week is over.
#[test]
fn a_prune_without_grace_frees_what_a_killed_backup_has_left() -> Result<()> {
    let place = Place::new(false)?;
    let mut disk = disk();
    place.backup(&disk, true)?;
    disk.set("data/shards/new.couch", noise(9, 40 << 20));
    let mut writer = begin(&place)?;
    add(&mut writer, &disk)?;
    std::mem::forget(writer);
    assert_ne!(place.repository()?.check()?.unneeded, 0);
    assert_eq!(objects_in(&place, "intents")?.len(), 1);
    assert_prunes_clean(&place)?;
    assert_next(&place, &disk)?;
    // A note that is older than any backup takes is removed.
    let intent = objects_in(&place, "intents")?.remove(0);
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(8 * 86_400);
    std::fs::File::options().write(true).open(&intent)?.set_modified(long_ago)?;
    place.repository()?.prune(&PruneOptions::default())?;
    assert_eq!(objects_in(&place, "intents")?, Vec::<PathBuf>::new());
    Ok(())
}

/// What a machine has marked stays marked when it may sign no more. Nobody is kept from anything by it.
#[test]
fn marks_of_a_removed_machine_block_nobody() -> Result<()> {
    for encrypted in [false, true] {
        let place = Place::new(encrypted)?;
        let mut disk = disk();
        place.backup(&disk, true)?;
        let other = place.path().with_file_name("other.key");
        place.repository()?.add_machine("other", &other)?;
        let expired = place.backup(&disk, true)?.name;
        std::fs::remove_file(place.path().join(format!("snapshots/{expired}")))?;
        let of_other = place.with_key(&other)?;
        assert_ne!(of_other.prune(&PruneOptions::default())?.marked, 0);
        assert_eq!(objects_in(&place, "marks")?.len(), 1);
        let repository = place.repository()?;
        let holders = repository.key_holders();
        let removed =
            holders.iter().find(|holder| holder.name.as_deref() == Some("other")).ok_or("no key")?;
        repository.remove_machine(&removed.public)?;
        disk.append("data/shards/large.couch", &noise(5, 300_000));
        assert_next(&place, &disk)?;
        assert_prunes_clean(&place)?;
    }
    Ok(())
}
