//! Backups of made-up files that grow, are compacted, come and go: each is read as it was saved.

mod common;

use std::collections::BTreeMap;

use common::{Disk, Place, Result, add, content_of, noise, save, visited};
use repository::policy::Policy;
use repository::{Before, OpenSnapshot, PruneOptions, Selector, SnapshotOptions, SnapshotWriter};

#[test]
fn every_backup_is_read_as_it_was_saved() -> Result<()> {
    for encrypted in [false, true] {
        let place = Place::new(encrypted)?;
        let mut disk = Disk::default();
        let mut saved: Vec<(String, BTreeMap<String, Vec<u8>>)> = Vec::new();
        for number in 0..300 {
            disk.set(&format!("data/shards/{number:04}.couch"), noise(number, 500 + number as usize * 7));
        }
        disk.set("data/shards/large.couch", noise(1000, (5 << 20) + 777));
        disk.set("data/shards/tiny.couch", noise(1001, (5 << 20) + 777));
        for round in 0..12u64 {
            disk.set("metadata.yaml", format!("round {round}").into_bytes());
            for name in ["data/shards/large.couch", "data/shards/tiny.couch"] {
                disk.append(name, &noise(2000 + round, 700_000));
            }
            for number in 0..20 {
                disk.append(
                    &format!("data/shards/{:04}.couch", (round * 37 + number * 11) % 300),
                    &noise(round, 100),
                );
            }
            match round % 4 {
                1 => disk.remove(&format!("data/shards/{:04}.couch", 100 + round)),
                2 => disk.set(&format!("data/shards/new-{round}.couch"), noise(3000 + round, 2 << 20)),
                3 => {
                    disk.replace("data/shards/large.couch", noise(4000 + round, 3 << 20));
                    disk.replace("data/shards/tiny.couch", noise(5000 + round, 3 << 20));
                }
                _ => {}
            }
            let added = place.backup(&disk, true)?;
            saved.push((added.name.to_string(), disk.contents()));
        }
        let repository = place.repository()?;
        assert_eq!(repository.snapshot_names()?.len(), saved.len());
        for (name, contents) in &saved {
            let backup = OpenSnapshot::open(&repository, &Selector::Id(name.clone()))?;
            assert!(content_of(&backup)? == *contents, "{name}");
            assert!(visited(&backup, 3)? == *contents, "{name}");
        }
        let checked = repository.check()?;
        assert_eq!(checked.findings, []);
        assert_eq!(checked.backups, saved.len() as u64);
        // Only what is new was read.
        let second = repository.select(&Selector::Id(saved[1].0.clone()))?.1;
        assert!(second.read_files < 40 && second.new_bytes < 4 << 20, "{second:?}");
        assert_eq!(second.parent.as_ref(), Some(&saved[0].0));
    }
    Ok(())
}

#[test]
fn an_append_sends_what_is_new() -> Result<()> {
    for name in ["data/shards/large.couch", "data/shards/tiny.couch"] {
        let place = Place::new(false)?;
        let mut disk = Disk::default();
        disk.set(name, noise(1, 40 << 20));
        place.backup(&disk, true)?;
        disk.append(name, &noise(2, 3 << 20));
        let added = place.backup(&disk, true)?.snapshot;
        assert!((3_000_000..5 << 20).contains(&added.new_bytes), "{added:?}");
        assert!(added.added_bytes < 5 << 20);
        // Touched, and the same: a piece is read, nothing is sent.
        disk.touch(name);
        let added = place.backup(&disk, true)?.snapshot;
        assert_eq!((added.read_files, added.new_bytes), (1, 0));
        // Written anew in its place, with the same length.
        let length = disk.contents()[name].len();
        disk.replace(name, noise(3, length));
        let added = place.backup(&disk, true)?.snapshot;
        assert!(added.new_bytes > length as u64 - 20_000, "{added:?}");
    }
    Ok(())
}

#[test]
fn what_is_expired_is_pruned_and_the_rest_stays() -> Result<()> {
    let place = Place::new(true)?;
    let mut disk = Disk::default();
    let mut saved = Vec::new();
    for round in 0..6u64 {
        disk.replace("data/shards/a.couch", noise(round, 2 << 20));
        disk.set("data/shards/b.couch", noise(round, 1000));
        saved.push((place.backup(&disk, true)?.name.to_string(), disk.contents()));
    }
    let repository = place.repository()?;
    let policy = Policy { last: 2, ..Policy::default() };
    let planned = repository.expire(&policy, true)?;
    assert_eq!((planned.removed.len(), planned.kept.len()), (4, 2));
    assert_eq!(repository.snapshot_names()?.len(), 6);
    repository.expire(&policy, false)?;
    assert_eq!(repository.snapshot_names()?.len(), 2);
    let before = place.bytes()?;
    // The first prune marks, and a backup does not build on what is marked.
    let marked = repository.prune(&PruneOptions::default())?;
    assert_eq!(marked.deleted, 0);
    assert!(marked.marked >= 7, "{marked:?}");
    assert_eq!(repository.prune(&PruneOptions::default())?.waiting, marked.marked);
    let pruned = repository.prune(&PruneOptions { grace: 0, dry_run: false })?;
    assert_eq!((pruned.deleted, pruned.refused.len()), (marked.marked, 0));
    assert!(place.bytes()? < before - (7 << 20));
    for (name, contents) in &saved[4..] {
        let backup = OpenSnapshot::open(&repository, &Selector::Id(name.clone()))?;
        assert!(content_of(&backup)? == *contents, "{name}");
    }
    saved.push((place.backup(&disk, true)?.name.to_string(), disk.contents()));
    let again = repository.prune(&PruneOptions { grace: 0, dry_run: false })?;
    assert_eq!((again.deleted, again.marked, again.waiting), (0, 0, 0));
    assert_eq!(repository.check()?.findings, []);
    Ok(())
}

#[test]
fn a_key_that_may_only_add_opens_no_data() -> Result<()> {
    let place = Place::new(true)?;
    let mut disk = Disk::default();
    disk.set("data/shards/a.couch", noise(1, 1000));
    let name = place.backup(&disk, true)?.name.to_string();
    // The host lists, and goes on incrementally, without the data key.
    let host = place.as_host()?;
    assert_eq!(host.snapshot_names()?.len(), 1);
    let backup = OpenSnapshot::open(&host, &Selector::default())?;
    assert_eq!(backup.files().count(), 1);
    let file = backup.find("data/shards/a.couch")?.ok_or("it is not there")?;
    let error = backup.open_file(file).err().ok_or("it was opened")?;
    assert_eq!(error.code().to_string(), "CC-Q13");
    // A stranger opens nothing.
    let error = place.as_stranger()?.select(&Selector::Id(name)).err().ok_or("it was opened")?;
    assert_eq!(error.code().to_string(), "CC-Q13");
    Ok(())
}

#[test]
fn damage_is_named_and_other_backups_are_read() -> Result<()> {
    let place = Place::new(false)?;
    let mut disk = Disk::default();
    let mut saved = Vec::new();
    for round in 0..3u64 {
        disk.replace(&format!("data/shards/{round}.couch"), noise(round, 2 << 20));
        saved.push((place.backup(&disk, true)?.name.to_string(), disk.contents()));
    }
    let repository = place.repository()?;
    let mut seen = 0;
    for object in place.objects()? {
        for damage in ["cut", "flipped", "missing"] {
            if object.ends_with(repository::CONFIG) || object.to_string_lossy().contains("/keys/") {
                continue;
            }
            let content = std::fs::read(&object)?;
            match damage {
                "cut" => std::fs::write(&object, &content[..content.len() / 2])?,
                "flipped" => {
                    let mut other = content.clone();
                    let middle = other.len() / 2;
                    other[middle] ^= 1;
                    std::fs::write(&object, other)?;
                }
                _ => std::fs::remove_file(&object)?,
            }
            let is_snapshot = object.to_string_lossy().contains("/snapshots/");
            let mut damaged = 0;
            for (name, contents) in &saved {
                let read = OpenSnapshot::open(&repository, &Selector::Id(name.clone())).map_err(Into::into);
                match read.and_then(|backup| visited(&backup, 2)) {
                    Ok(found) => assert!(found == *contents, "{name}: {damage} {}", object.display()),
                    Err(_) => damaged += 1,
                }
            }
            assert!(damaged > 0, "{damage} {}", object.display());
            // Not the data of packs: that takes a verify. And a snapshot that is gone is one that never was.
            let checked = repository.check()?;
            let is_pack = object.to_string_lossy().contains("/packs/");
            let is_seen = match damage {
                "flipped" => !is_pack,
                "missing" => !is_snapshot,
                _ => true,
            };
            if is_seen {
                assert!(!checked.findings.is_empty(), "{damage} {}", object.display());
                seen += 1;
            }
            std::fs::write(&object, content)?;
        }
    }
    assert!(seen > 10);
    assert_eq!(repository.check()?.findings, []);
    Ok(())
}

#[test]
fn a_snapshot_under_another_name_or_of_another_repository_is_refused() -> Result<()> {
    let (place, other) = (Place::new(false)?, Place::new(false)?);
    let mut disk = Disk::default();
    disk.set("data/shards/a.couch", noise(1, 1000));
    let name = place.backup(&disk, true)?.name.to_string();
    let snapshots = place.path().join("snapshots");
    let renamed = name.replace(&name[..4], "2031");
    std::fs::copy(snapshots.join(&name), snapshots.join(&renamed))?;
    let refused = |place: &Place, name: &str| -> Result<String> {
        let opened = OpenSnapshot::open(&place.repository()?, &Selector::Id(name.to_owned()));
        Ok(opened.err().ok_or("it was opened")?.code().to_string())
    };
    assert_eq!(refused(&place, &renamed)?, "CC-Q07");
    other.backup(&disk, true)?;
    std::fs::copy(snapshots.join(&name), other.path().join("snapshots").join(&name))?;
    assert_eq!(refused(&other, &name)?, "CC-Q07");
    Ok(())
}

#[test]
fn an_incomplete_backup_is_not_the_latest() -> Result<()> {
    let place = Place::new(false)?;
    let mut disk = Disk::default();
    disk.set("data/shards/a.couch", noise(1, 1000));
    let complete = place.backup(&disk, true)?.name;
    let incomplete = place.backup(&disk, false)?.name;
    let repository = place.repository()?;
    assert_eq!(repository.select(&Selector::default())?.0, complete);
    assert_eq!(repository.select(&Selector::Id(incomplete.random()))?.0, incomplete);
    std::fs::remove_file(place.path().join(format!("snapshots/{complete}")))?;
    let error = repository.select(&Selector::default()).err().ok_or("it was found")?;
    assert_eq!(error.code().to_string(), "CC-Q10");
    Ok(())
}

/// Backups of the same second have the same `metadata.yaml`. A later one can be read when the packs of the earlier one are lost.
#[test]
fn a_backup_has_its_own_metadata() -> Result<()> {
    let place = Place::new(false)?;
    let mut disk = Disk::default();
    disk.set("metadata.yaml", b"date: now".to_vec());
    disk.set("data/shards/a.couch", noise(1, 1000));
    place.backup(&disk, true)?;
    let packs = common::names_in(&place, "packs")?;
    disk.touch("metadata.yaml");
    disk.set("data/shards/b.couch", noise(2, 1000));
    let name = place.backup(&disk, true)?.name.to_string();
    for pack in packs {
        std::fs::remove_file(common::below(&place, &format!("packs/{}/{pack}", &pack[..2])))?;
    }
    let backup = OpenSnapshot::open(&place.repository()?, &Selector::Id(name))?;
    let metadata = backup.find("metadata.yaml")?.ok_or("it is not there")?;
    assert_eq!(backup.read(metadata, 100)?, b"date: now");
    Ok(())
}

/// Whoever reads files of another machine asks beforehand of which only the end is needed.
#[test]
fn the_end_of_what_may_have_grown_is_known() -> Result<()> {
    const MIB: usize = 1 << 20;
    // Stored in pieces of 1 MiB, and cut into segments.
    for kind in ["tiny-", ""] {
        let place = Place::new(true)?;
        let mut disk = Disk::default();
        let content = noise(1, 3 * MIB + 500_000);
        for name in ["a", "b", "c"] {
            disk.set(&format!("data/shards/{kind}{name}.couch"), content.clone());
        }
        disk.set(&format!("data/shards/{kind}small.couch"), noise(2, 1000));
        place.backup(&disk, true)?;
        disk.append(&format!("data/shards/{kind}b.couch"), &noise(3, 2 * MIB));
        disk.replace(&format!("data/shards/{kind}c.couch"), noise(9, 4 * MIB));
        disk.append(&format!("data/shards/{kind}small.couch"), &noise(4, 1000));
        disk.set(&format!("data/shards/{kind}x-new.couch"), noise(5, 2 * MIB));
        let options = SnapshotOptions::new(vec!["n@h".into()]);
        let mut writer = SnapshotWriter::begin(&place.as_host()?, options)?;
        let before = writer.before(&disk.stats())?;
        let [Before::AsItWas, Before::Grown(known), Before::Unknown, Before::Unknown, Before::Unknown] =
            &before[..]
        else {
            return Err(format!("{before:?}").into());
        };
        assert_eq!((known.from(), known.size()), (3 << 20, content.len() as u64));
        let (from, size) = (known.from() as usize, known.size() as usize);
        assert!(known.is(&content[from..size]));
        assert!(!known.is(&content[from..size - 1]) && !known.is(&[]));
        assert!(!known.is(&content[from - 1..size - 1]));
        // What it says is what is kept then.
        add(&mut writer, &disk)?;
        let added = save(writer, &Disk::default(), true)?.snapshot;
        let least = (2 * MIB + 4 * MIB + 2000 + 2 * MIB) as u64;
        assert!((least - 5000..=least + 500_000).contains(&added.new_bytes), "{added:?}");
    }
    Ok(())
}
