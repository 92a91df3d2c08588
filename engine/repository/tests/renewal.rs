//! Under an object lock, a new backup needs no object whose lock is half over.

mod common;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use common::{Disk, Place, Result, add, noise, save, visited};
use repository::{Added, Finish, OpenSnapshot, Selector, SnapshotOptions, SnapshotWriter};

const DAY: u64 = 86_400;
const LOCK: u64 = 40 * DAY;

fn options(lock: Option<u64>) -> SnapshotOptions {
    SnapshotOptions { object_lock: lock, ..SnapshotOptions::new(vec!["n@h".into()]) }
}

fn backup(place: &Place, disk: &Disk, lock: Option<u64>) -> Result<Added> {
    save(SnapshotWriter::begin(&place.as_host()?, options(lock))?, disk, true)
}

/// Makes all packs and manifests older by so many days.
fn let_pass(place: &Place, days: u64) -> Result<()> {
    for path in place.objects()? {
        if ["packs", "manifests"].iter().any(|folder| path.starts_with(place.path().join(folder))) {
            let modified = path.metadata()?.modified()? - Duration::from_secs(days * DAY);
            std::fs::File::options().write(true).open(&path)?.set_modified(modified)?;
        }
    }
    Ok(())
}

/// The packs and manifests that are there.
fn objects(place: &Place) -> Result<BTreeSet<String>> {
    let of = |folder| common::names_in(place, folder);
    Ok(of("packs")?.into_iter().chain(of("manifests")?).collect())
}

/// The ages in days of the objects that the only backup left needs.
fn ages_needed(place: &Place, added: &Added) -> Result<Vec<u64>> {
    let repository = place.repository()?;
    for name in repository.snapshot_names()?.into_iter().filter(|name| *name != added.name) {
        repository.delete_snapshot(name)?;
    }
    repository.prune(&repository::PruneOptions { grace: 0, dry_run: false })?;
    assert_eq!(repository.check()?.findings, []);
    let mut ages = Vec::new();
    for path in place.objects()? {
        if ["packs", "manifests"].iter().any(|folder| path.starts_with(place.path().join(folder))) {
            ages.push(SystemTime::now().duration_since(path.metadata()?.modified()?)?.as_secs() / DAY);
        }
    }
    Ok(ages)
}

fn assert_right(place: &Place, added: &Added, disk: &Disk) -> Result<()> {
    let backup = OpenSnapshot::open(&place.repository()?, &Selector::Id(added.name.to_string()))?;
    assert!(visited(&backup, 2)? == disk.contents());
    Ok(())
}

/// Several packs, with small and large files.
fn disk() -> Disk {
    let mut disk = Disk::default();
    for number in 0..8 {
        disk.set(&format!("data/shards/large-{number}.couch"), noise(number, 9 << 20));
        disk.set(&format!("data/shards/small-{number}.couch"), noise(100 + number, 20_000));
    }
    disk
}

#[test]
fn what_is_old_is_sent_again() -> Result<()> {
    for encrypted in [false, true] {
        let (place, mut disk) = (Place::new(encrypted)?, disk());
        backup(&place, &disk, Some(LOCK))?;
        let_pass(&place, 9)?;
        // Nothing is due before a quarter, and nothing at all without a lock.
        assert_eq!(backup(&place, &disk, Some(LOCK))?.snapshot.new_bytes, 0);
        let_pass(&place, 11)?;
        assert_eq!(backup(&place, &disk, None)?.snapshot.new_bytes, 0);
        assert_eq!(backup(&place, &disk, Some(0))?.snapshot.new_bytes, 0);
        disk.append("data/shards/large-0.couch", &noise(7, 100_000));
        let before = objects(&place)?;
        let added = backup(&place, &disk, Some(LOCK))?;
        assert_eq!(added.snapshot.new_bytes, added.snapshot.content_bytes);
        assert!(before.is_disjoint(&objects(&place)?.difference(&before).cloned().collect()));
        assert_right(&place, &added, &disk)?;
        assert!(ages_needed(&place, &added)?.iter().all(|age| *age == 0));
    }
    Ok(())
}

/// A backup every two days: it never needs anything that is older than a half, and all of it is not sent again at once every time.
///
/// Ages follow from random names, so what one backup sends is left to chance: that they are spread is tested beside `Renewal`.
#[test]
fn what_was_written_on_one_day_is_not_sent_again_on_one_day() -> Result<()> {
    let (place, disk) = (Place::new(false)?, disk());
    backup(&place, &disk, Some(LOCK))?;
    let mut sent = Vec::new();
    for day in 0..20 {
        let_pass(&place, 2)?;
        let added = backup(&place, &disk, Some(LOCK))?;
        assert!(day >= 4 || added.snapshot.new_bytes == 0, "day {day}");
        if day % 8 == 7 {
            assert_right(&place, &added, &disk)?;
        }
        let ages = ages_needed(&place, &added)?;
        assert!(ages.iter().all(|age| *age < 20), "{ages:?}");
        sent.push(added.snapshot.new_bytes);
    }
    let all = disk.contents().values().map(|content| content.len() as u64).sum::<u64>();
    // With five packs, one of 600 first renewals comes on one day; then come two or three more.
    assert!(sent.iter().any(|bytes| (1..all).contains(bytes)), "{sent:?} of {all} bytes");
    assert!((all..all * 5).contains(&sent.iter().sum()), "{sent:?} bytes in 40 days, of {all}");
    Ok(())
}

/// A process that adds a backup when something has changed also adds one when the newest one is old.
#[test]
fn the_newest_backup_is_renewed_although_nothing_has_changed() -> Result<()> {
    let (place, disk) = (Place::new(false)?, disk());
    let if_changed = |lock| -> Result<bool> {
        let options = SnapshotOptions { only_if_changed: true, ..options(Some(lock)) };
        let mut writer = SnapshotWriter::begin(&place.as_host()?, options)?;
        add(&mut writer, &disk)?;
        let finish =
            |_| Ok(Finish { record: serde_json::json!({}), databases: 1, documents: None, complete: true });
        Ok(writer.finish_with(finish)?.is_some())
    };
    assert!(if_changed(LOCK)?);
    assert!(!if_changed(LOCK)?);
    let_pass(&place, 20)?;
    assert!(!if_changed(0)?);
    assert!(if_changed(LOCK)?);
    assert!(!if_changed(LOCK)?);
    Ok(())
}
