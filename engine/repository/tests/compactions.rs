//! Files of large documents are compacted: what moves is found again, and every backup is read as it was saved.

mod common;

use common::{Disk, Place, Result, content_of, noise, visited};
use repository::{Newest, OpenSnapshot, PruneOptions, Selector};

const NAME: &str = "data/shards/00000000-ffffffff/attachments.1700000000.couch";

/// A file as CouchDB writes it: documents in the order of their numbers, after every batch nodes of trees and a header at the begin
/// of a block; every 4096th byte says whether one begins there.
fn database(documents: &[u64], size: usize, generation: u64) -> Vec<u8> {
    let mut file = Vec::new();
    let append = |file: &mut Vec<u8>, bytes: &[u8]| {
        let mut rest = bytes;
        while !rest.is_empty() {
            if file.len().is_multiple_of(4096) {
                file.push(0);
            }
            let (now, later) = rest.split_at(rest.len().min(4096 - file.len() % 4096));
            file.extend_from_slice(now);
            rest = later;
        }
    };
    // A compaction writes batches of other sizes than clients do.
    for (number, batch) in documents.chunks(7 + generation as usize * 5).enumerate() {
        for document in batch {
            append(&mut file, &noise(*document, size + (*document % 97) as usize));
        }
        append(&mut file, &noise(generation << 32 | number as u64, 1500));
        file.resize(file.len().next_multiple_of(4096), 0);
        file.push(1);
        append(&mut file, &noise(generation << 33 | number as u64, 300));
    }
    file
}

fn assert_reads(place: &Place, name: &str, disk: &Disk) -> Result<()> {
    let backup = OpenSnapshot::open(&place.repository()?, &Selector::Id(name.to_owned()))?;
    assert!(content_of(&backup)? == disk.contents());
    assert!(visited(&backup, 3)? == disk.contents());
    Ok(())
}

#[test]
fn a_compaction_sends_little_of_attachments_and_large_documents() -> Result<()> {
    for (size, encrypted, goal) in [(60_000, true, 80), (10_000, false, 50)] {
        let place = Place::new(encrypted)?;
        let mut disk = Disk::default();
        let mut documents: Vec<u64> = (0..(20 << 20) / size as u64).collect();
        disk.set(NAME, database(&documents, size, 1));
        let first = place.backup(&disk, true)?;
        assert!(first.snapshot.new_bytes > 20 << 20);
        assert_reads(&place, &first.name.to_string(), &disk)?;
        let mut saved = vec![(first.name.to_string(), disk.clone())];
        for generation in 2..5 {
            // One in twenty was changed, and is at the end now.
            let (moved, stay): (Vec<u64>, Vec<u64>) =
                documents.iter().partition(|document| *document % 20 == generation);
            documents = stay;
            documents.extend(moved.iter().map(|document| document + (generation << 40)));
            let content = database(&documents, size, generation);
            let length = content.len() as u64;
            disk.replace(NAME, content);
            let added = place.backup(&disk, true)?;
            let found = 100 - added.snapshot.new_bytes * 100 / length;
            assert!(found >= goal, "documents of {size} bytes: {found} % was found again");
            assert!(added.snapshot.added_bytes * 100 < length * (101 - goal));
            // It grows: a tail is new, and the manifest says only what that is.
            let grown = [&disk.contents()[NAME][..], &database(&[generation << 50], size, 99)].concat();
            disk.append(NAME, &grown[length as usize..]);
            let added = place.backup(&disk, true)?;
            // Later, packs of which less than half is needed are sent again.
            let again = if generation == 2 { 0 } else { 4 << 20 };
            assert!(added.snapshot.new_bytes < 4 * size as u64 + 100_000 + again, "{:?}", added.snapshot);
            saved.push((added.name.to_string(), disk.clone()));
        }
        assert_eq!(place.repository()?.check()?.findings, []);
        for (name, disk) in &saved {
            assert_reads(&place, name, disk)?;
        }
        // The first backup goes: what the others took over from it stays.
        let repository = place.repository()?;
        repository.delete_snapshot(saved[0].0.parse().map_err(|()| "not a name")?)?;
        repository.prune(&PruneOptions { grace: 0, dry_run: false })?;
        for (name, disk) in &saved[1..] {
            assert_reads(&place, name, disk)?;
        }
    }
    Ok(())
}

#[test]
fn what_lies_in_a_pack_that_is_gone_is_sent_again() -> Result<()> {
    let place = Place::new(false)?;
    let mut disk = Disk::default();
    let documents: Vec<u64> = (0..900).collect();
    disk.set(NAME, database(&documents, 50_000, 1));
    place.backup(&disk, true)?;
    let packs: Vec<_> =
        place.objects()?.into_iter().filter(|path| path.to_string_lossy().contains("/packs/")).collect();
    assert!(packs.len() > 2);
    let large = packs.iter().max_by_key(|pack| pack.metadata().map_or(0, |data| data.len()));
    std::fs::remove_file(large.ok_or("no pack")?)?;
    let added = place.backup(&disk, true)?;
    assert!(added.snapshot.new_bytes > 10 << 20, "{:?}", added.snapshot);
    assert!(added.snapshot.new_bytes < 30 << 20, "{:?}", added.snapshot);
    assert_reads(&place, &added.name.to_string(), &disk)
}

#[test]
fn a_damaged_part_of_a_file_that_is_cut_is_named() -> Result<()> {
    let place = Place::new(false)?;
    let mut disk = Disk::default();
    disk.set(NAME, database(&(0..100).collect::<Vec<_>>(), 50_000, 1));
    place.backup(&disk, true)?;
    let pack = place.objects()?.into_iter().find(|path| path.to_string_lossy().contains("/packs/"));
    let pack = pack.ok_or("no pack")?;
    let mut bytes = std::fs::read(&pack)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&pack, bytes)?;
    let backup = OpenSnapshot::open(&place.repository()?, &Selector::Newest(Newest::default()))?;
    let failure = visited(&backup, 2).err().ok_or("it was read")?.to_string();
    assert!(failure.contains("packs/"), "{failure}");
    Ok(())
}
