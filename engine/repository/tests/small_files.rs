//! Small files that grow: what is new is sent, and each backup is read as it was saved.

mod common;

use common::{Disk, Place, Result, content_of, noise, visited};
use repository::{OpenSnapshot, PruneOptions, Selector};

const KIB: usize = 1 << 10;

#[test]
fn only_the_end_of_a_small_file_is_sent() -> Result<()> {
    let place = Place::new(false)?;
    let mut disk = Disk::default();
    for number in 0..20 {
        disk.set(&format!("data/shards/{number:02}.couch"), noise(number, 300 * KIB));
    }
    place.backup(&disk, true)?;
    for number in 0..20 {
        disk.append(&format!("data/shards/{number:02}.couch"), &noise(100 + number, 5 * KIB));
    }
    let added = place.backup(&disk, true)?.snapshot;
    assert_eq!((added.read_files, added.new_bytes), (20, 20 * 5 * KIB as u64));
    assert!(added.added_bytes < 110 * KIB as u64, "{added:?}");
    let backup = OpenSnapshot::open(&place.repository()?, &Selector::default())?;
    assert!(content_of(&backup)? == disk.contents());
    assert!(visited(&backup, 3)? == disk.contents());
    // Changed before its end: another file.
    let mut content = disk.contents()["data/shards/07.couch"].clone();
    content[1000] ^= 1;
    content.extend_from_slice(&noise(7, 100));
    let length = content.len() as u64;
    disk.set("data/shards/07.couch", content);
    assert_eq!(place.backup(&disk, true)?.snapshot.new_bytes, length);
    // Shorter than it was.
    let content = disk.contents()["data/shards/08.couch"][..100 * KIB].to_vec();
    disk.set("data/shards/08.couch", content);
    assert_eq!(place.backup(&disk, true)?.snapshot.new_bytes, 100 * KIB as u64);
    let backup = OpenSnapshot::open(&place.repository()?, &Selector::default())?;
    assert!(content_of(&backup)? == disk.contents());
    Ok(())
}

/// However often a file grows, it has few parts, and few bytes are sent again.
#[test]
fn a_file_that_grows_often_has_few_parts() -> Result<()> {
    for encrypted in [false, true] {
        let place = Place::new(encrypted)?;
        let mut disk = Disk::default();
        disk.set("data/shards/a.couch", noise(1, 100 * KIB));
        let (mut saved, mut sent) = (Vec::new(), 0);
        for round in 0..60 {
            disk.append("data/shards/a.couch", &noise(round, 4 * KIB));
            let added = place.backup(&disk, true)?;
            sent += added.snapshot.new_bytes;
            saved.push((added.name.to_string(), disk.contents()));
        }
        assert!(sent < 2 << 20, "{sent} bytes were sent of a file of 340 KiB");
        let repository = place.repository()?;
        for (name, contents) in saved.iter().step_by(7) {
            let backup = OpenSnapshot::open(&repository, &Selector::Id(name.clone()))?;
            assert!(content_of(&backup)? == *contents, "{name}");
            let file = backup.find("data/shards/a.couch")?.ok_or("it is not there")?;
            assert!(file.parts() <= 8, "{} parts", file.parts());
        }
        // What later backups need is kept when earlier ones are gone.
        for (name, _) in saved.iter().take(59) {
            std::fs::remove_file(place.path().join(format!("snapshots/{name}")))?;
        }
        repository.prune(&PruneOptions { grace: 0, dry_run: false })?;
        let backup = OpenSnapshot::open(&repository, &Selector::default())?;
        assert!(content_of(&backup)? == saved[59].1);
        assert_eq!(repository.check()?.findings, []);
    }
    Ok(())
}

/// A part that is lost is reported with its pack; the next backup sends the file again.
#[test]
fn a_lost_part_is_reported_and_sent_again() -> Result<()> {
    let place = Place::new(false)?;
    let mut disk = Disk::default();
    disk.set("data/shards/a.couch", noise(1, 100 * KIB));
    place.backup(&disk, true)?;
    let packs = common::names_in(&place, "packs")?;
    disk.append("data/shards/a.couch", &noise(2, 4 * KIB));
    let damaged = place.backup(&disk, true)?.name.to_string();
    let [pack] = &packs[..] else { return Err("one pack was expected".into()) };
    std::fs::remove_file(common::below(&place, &format!("packs/{}/{pack}", &pack[..2])))?;
    let repository = place.repository()?;
    let backup = OpenSnapshot::open(&repository, &Selector::Id(damaged))?;
    let error = content_of(&backup).err().ok_or("it was read")?.to_string();
    assert!(error.contains(pack.as_str()), "{error}");
    assert_eq!(repository.lost_files(&backup)?.len(), 1);
    disk.append("data/shards/a.couch", &noise(3, 4 * KIB));
    let added = place.backup(&disk, true)?.snapshot;
    assert_eq!(added.new_bytes, 108 * KIB as u64);
    let backup = OpenSnapshot::open(&repository, &Selector::default())?;
    assert!(content_of(&backup)? == disk.contents());
    Ok(())
}
