//! Backups that lack something: nobody takes them for complete, and the next one is made.

mod common;

use common::{Disk, Place, Result, add, noise, save, visited};
use outcome::Failure;
use repository::policy::Policy;
use repository::{
    Newest, OpenSnapshot, PruneOptions, Selector, SnapshotName, SnapshotOptions, SnapshotWriter,
};

/// A prune that deletes at once.
const NOW: PruneOptions = PruneOptions { grace: 0, dry_run: false };

fn code_of<T>(result: Result<T, Failure>) -> Result<String> {
    Ok(result.err().ok_or("it did not fail")?.code().to_string())
}

fn options(node: &str, source: &str) -> SnapshotOptions {
    SnapshotOptions { source: vec![source.to_owned()], ..SnapshotOptions::new(vec![node.to_owned()]) }
}

fn backup_of(place: &Place, disk: &Disk, options: SnapshotOptions, complete: bool) -> Result<SnapshotName> {
    let writer = SnapshotWriter::begin(&place.as_host()?, options)?;
    Ok(save(writer, disk, complete)?.name)
}

fn newest(of: &str) -> Selector {
    Selector::Newest(Newest { not_after: None, of: Some(of.to_owned()) })
}

/// Any part of a list of files can be damaged, not only the last one, with which it is opened.
#[test]
fn a_damaged_part_of_a_manifest_does_not_keep_the_next_backup_from_being_made() -> Result<()> {
    let place = Place::new(true)?;
    let mut disk = Disk::default();
    // Long names, so that there are several parts.
    let name = |number: u64| format!("data/shards/{number:05}-{}", hex::encode(noise(number, 1800)));
    for number in 0..1300 {
        disk.set(&name(number), noise(number, 10));
    }
    let first = place.backup(&disk, true)?;
    assert!(first.snapshot.base.len() > 1, "{} parts", first.snapshot.base.len());
    for part in &first.snapshot.base {
        let path = common::below(&place, &part.key);
        let content = std::fs::read(&path)?;
        let is_first = part.key == first.snapshot.base[0].key;
        for damage in if is_first { &["flipped", "cut", "gone"][..] } else { &["flipped"] } {
            let mut other = content.clone();
            match *damage {
                "cut" => other.truncate(content.len() / 2),
                _ => other[content.len() / 3] ^= 1,
            }
            if *damage == "gone" {
                std::fs::remove_file(&path)?;
            } else {
                std::fs::write(&path, other)?;
            }
            disk.set(&name(7), noise(1, 20));
            let added = place.backup(&disk, true)?;
            assert!(added.snapshot.base.iter().all(|other| other.key != part.key), "{damage}");
            let backup = OpenSnapshot::open(&place.repository()?, &Selector::Id(added.name.to_string()))?;
            assert!(visited(&backup, 2)? == disk.contents());
            // The next one builds on it, and not on the damaged one.
            assert!(place.backup(&disk, true)?.snapshot.parent == Some(added.name.to_string()));
            let repository = place.repository()?;
            for name in repository.snapshot_names()?.into_iter().filter(|name| *name != first.name) {
                repository.delete_snapshot(name)?;
            }
            std::fs::write(&path, &content)?;
        }
    }
    Ok(())
}

#[test]
fn the_newest_backup_of_several_sources_has_to_be_named() -> Result<()> {
    let place = Place::new(true)?;
    let mut disk = Disk::default();
    disk.set("data/shards/a.couch", noise(1, 1000));
    let one = backup_of(&place, &disk, options("couchdb@127.0.0.1", "db1:/data"), true)?;
    let repository = place.repository()?;
    assert_eq!(repository.select(&Selector::default())?.0, one);
    let other = backup_of(&place, &disk, options("couchdb@127.0.0.1", "db2:/data"), true)?;
    let broken = backup_of(&place, &disk, options("couchdb@db3.example.com", "db3:/data"), false)?;
    let failure = repository.select(&Selector::default()).err().ok_or("one was chosen")?;
    assert_eq!(failure.code().to_string(), "CC-Q17");
    for (name, place) in [(one, "db1:/data"), (other, "db2:/data"), (broken, "not complete")] {
        let text = failure.to_string();
        assert!(text.contains(&name.to_string()) && text.contains(place), "{text}");
    }
    // Before the others came, there was no doubt.
    let then = Selector::Newest(Newest { not_after: Some(one.second() - 1), of: None });
    assert_eq!(code_of(repository.select(&then))?, "CC-Q08");
    for (of, name) in [("db1", one), ("db1:/data", one), ("db2", other)] {
        assert_eq!(repository.select(&newest(of))?.0, name, "{of}");
    }
    for (of, code) in [
        ("couchdb@127.0.0.1", "CC-Q17"),
        ("db3", "CC-Q10"),
        ("couchdb@db3.example.com", "CC-Q10"),
        ("db3.example.com", "CC-Q10"),
        ("db", "CC-Q08"),
    ] {
        assert_eq!(code_of(repository.select(&newest(of)))?, code, "{of}");
    }
    repository.delete_snapshot(broken)?;
    repository.delete_snapshot(one)?;
    assert_eq!(repository.select(&Selector::default())?.0, other);
    Ok(())
}

/// What was imported has no places. Backups of the same nodes that were made since are meant, and older ones only by their ids.
#[test]
fn imported_backups_are_passed_over_if_there_are_newer_ones() -> Result<()> {
    let place = Place::new(false)?;
    let mut disk = Disk::default();
    disk.set("data/shards/a.couch", noise(1, 1000));
    let imported = |made: &str, node: &str| -> Result<SnapshotOptions> {
        Ok(SnapshotOptions { made: Some(made.parse()?), ..SnapshotOptions::new(vec![node.to_owned()]) })
    };
    let old = backup_of(&place, &disk, imported("2020-01-01T00:00:00Z", "n@h")?, true)?;
    let repository = place.repository()?;
    assert_eq!(repository.select(&Selector::default())?.0, old);
    let own = backup_of(&place, &disk, options("n@h", "db1:/data"), true)?;
    assert_eq!(repository.select(&Selector::default())?.0, own);
    let then = Selector::Newest(Newest { not_after: Some(own.second() - 1), of: None });
    assert_eq!(repository.select(&then)?.0, old);
    // Of other nodes, and newer ones.
    for other in [imported("2020-01-01T00:00:00Z", "m@h")?, imported("2096-01-01T00:00:00Z", "n@h")?] {
        let other = backup_of(&place, &disk, other, true)?;
        assert_eq!(code_of(repository.select(&Selector::default()))?, "CC-Q17");
        repository.delete_snapshot(other)?;
    }
    Ok(())
}

/// A backup that was killed after it had written its snapshot, and before it could make sure that no prune has taken anything.
fn killed(place: &Place, disk: &Disk) -> Result<SnapshotName> {
    let before = common::names_in(place, "intents")?;
    let mut writer = SnapshotWriter::begin(&place.as_host()?, SnapshotOptions::new(vec!["n@h".into()]))?;
    let name = writer.name();
    let note = common::names_in(place, "intents")?.into_iter().find(|note| !before.contains(note));
    let note = common::below(place, &format!("intents/{}", note.ok_or("no note")?));
    let text = std::fs::read(&note)?;
    add(&mut writer, disk)?;
    save(writer, &Disk::default(), true)?;
    std::fs::write(note, text)?;
    Ok(name)
}

#[test]
fn a_killed_backup_from_which_a_prune_took_something_is_not_complete() -> Result<()> {
    for encrypted in [false, true] {
        let place = Place::new(encrypted)?;
        let mut disk = Disk::default();
        disk.set("data/shards/large.couch", noise(1, 3 << 20));
        let good = place.backup(&disk, true)?.name;
        disk.set("data/shards/new.couch", noise(2, 2 << 20));
        let name = killed(&place, &disk)?;
        let repository = place.repository()?;
        // It lacks nothing yet.
        assert_eq!(repository.select(&Selector::default())?.0, name);
        assert!(repository.list()?.iter().all(|backup| backup.lacks.is_empty()));
        // The prune had looked before the snapshot was there.
        let needed = repository.snapshot(name)?.ok_or("it is gone")?;
        let packs = common::names_in(&place, "packs")?;
        let own = packs.iter().find(|pack| {
            let first = repository.snapshot(good).ok().flatten();
            first.is_some_and(|first| first.committed < needed.begun)
                && std::fs::metadata(common::below(&place, &format!("packs/{}/{pack}", &pack[..2])))
                    .is_ok_and(|facts| facts.len() < (5 << 19))
        });
        let own = own.ok_or("no pack")?.clone();
        std::fs::remove_file(common::below(&place, &format!("packs/{}/{own}", &own[..2])))?;

        assert_eq!(repository.select(&Selector::default())?.0, good);
        assert_eq!(repository.select(&Selector::Id(name.to_string()))?.0, name);
        let listed = repository.list()?;
        let lacking = listed.iter().find(|backup| backup.name == name).ok_or("it is not listed")?;
        assert!(lacking.lacks.len() == 1 && lacking.lacks[0].contains(&own), "{:?}", lacking.lacks);
        assert!(listed.iter().filter(|backup| backup.name != name).all(|backup| backup.lacks.is_empty()));
        let lost =
            repository.lost_files(&OpenSnapshot::open(&repository, &Selector::Id(name.to_string()))?)?;
        assert_eq!(lost.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["data/shards/new.couch"]);
        let findings = repository.check()?.findings;
        assert!(findings.len() == 1 && findings[0].backups == [name], "{findings:?}");
        // Nothing is thrown away for it, and it stays known.
        let expired = repository.expire(&Policy { last: 1, ..Policy::default() }, true)?;
        assert!(!expired.removed.contains(&good), "{:?}", expired.removed);
        for options in [NOW, PruneOptions::default()] {
            assert_eq!(repository.prune(&options)?.lacking, [name]);
        }
        assert_eq!(common::names_in(&place, "intents")?.len(), 1);
        assert_eq!(repository.select(&Selector::default())?.0, good);
        // The next one is right, and takes the place.
        let next = place.backup(&disk, true)?.name;
        assert_eq!(repository.select(&Selector::default())?.0, next);
        assert!(visited(&OpenSnapshot::open(&repository, &Selector::default())?, 2)? == disk.contents());
        repository.delete_snapshot(name)?;
        // Its note is kept like that of any backup that is not there.
        assert!(repository.prune(&NOW)?.lacking.is_empty());
    }
    Ok(())
}

/// A note is removed when a prune has made sure of its backup.
#[test]
fn a_killed_backup_that_lacks_nothing_is_complete() -> Result<()> {
    let place = Place::new(true)?;
    let mut disk = Disk::default();
    disk.set("data/shards/large.couch", noise(1, 3 << 20));
    place.backup(&disk, true)?;
    let name = killed(&place, &disk)?;
    let repository = place.repository()?;
    assert!(repository.prune(&PruneOptions::default())?.lacking.is_empty());
    assert_eq!(common::names_in(&place, "intents")?, Vec::<String>::new());
    assert_eq!(repository.select(&Selector::default())?.0, name);
    Ok(())
}
