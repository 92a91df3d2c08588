//! Which backup is the newest one, if the snapshots say of each other what there is.

mod common;

use std::time::{Duration, SystemTime};

use common::{Disk, Place, Result, noise, save};
use repository::{Newest, Repository, Selector, SnapshotName, SnapshotOptions, SnapshotWriter};

/// A backup of a node, made so many hours ago; its snapshot is as old.
fn backup(place: &Place, node: &str, hours: u64, complete: bool) -> Result<SnapshotName> {
    let repository = place.as_host()?;
    let made = jiff::Timestamp::now().checked_sub(jiff::SignedDuration::from_hours(hours.try_into()?))?;
    let options =
        SnapshotOptions { made: Some(made), ..SnapshotOptions::new(vec![format!("couchdb@{node}")]) };
    let mut disk = Disk::default();
    disk.set("data/shards/a.couch", noise(hours, 1000));
    let name = save(SnapshotWriter::begin(&repository, options)?, &disk, complete)?.name;
    let snapshot =
        std::fs::File::options().write(true).open(place.path().join(format!("snapshots/{name}")))?;
    snapshot.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600))?;
    Ok(name)
}

fn latest(repository: &Repository, of: Option<&str>) -> Result<SnapshotName, String> {
    let selector = Selector::Newest(Newest { not_after: None, of: of.map(str::to_owned) });
    repository.select(&selector).map(|(name, _)| name).map_err(|failure| failure.code().to_string())
}

fn sources(repository: &Repository, name: SnapshotName) -> Result<Vec<String>> {
    let known = repository.snapshot(name)?.and_then(|snapshot| snapshot.known).ok_or("it knows nothing")?;
    Ok(known.sources.into_iter().flat_map(|source| source.nodes).collect())
}

#[test]
fn a_snapshot_names_the_newest_backups_of_other_sources() -> Result<()> {
    let place = Place::new(false)?;
    let first = backup(&place, "a", 30, true)?;
    let other = backup(&place, "b", 29, true)?;
    backup(&place, "a", 28, true)?;
    let newest = backup(&place, "a", 3, true)?;
    let repository = place.repository()?;
    assert!(sources(&repository, first)?.is_empty());
    assert_eq!(sources(&repository, newest)?, ["couchdb@b"]);
    assert_eq!(latest(&repository, None), Err("CC-Q17".into()));
    assert_eq!(latest(&repository, Some("a")), Ok(newest));
    assert_eq!(latest(&repository, Some("b")), Ok(other));
    assert_eq!(latest(&repository, Some("c")), Err("CC-Q08".into()));
    // The other cluster is not saved here any more.
    std::fs::remove_file(place.path().join(format!("snapshots/{other}")))?;
    assert_eq!(latest(&repository, None), Ok(newest));
    let next = backup(&place, "a", 1, true)?;
    assert!(sources(&repository, next)?.is_empty());
    assert_eq!(latest(&repository, None), Ok(next));
    Ok(())
}

/// Two machines make backups at the same time: neither saw the other's.
#[test]
fn a_backup_that_a_writer_did_not_see_is_seen() -> Result<()> {
    let place = Place::new(false)?;
    backup(&place, "a", 30, true)?;
    let repository = place.as_host()?;
    let mut disk = Disk::default();
    disk.set("data/shards/a.couch", noise(1, 1000));
    let a = SnapshotWriter::begin(&repository, SnapshotOptions::new(vec!["couchdb@a".into()]))?;
    let other = backup(&place, "b", 0, true)?;
    let newest = save(a, &disk, true)?.name;
    assert!(sources(&repository, newest)?.is_empty());
    assert_eq!(latest(&repository, None), Err("CC-Q17".into()));
    assert_eq!(latest(&repository, Some("b")), Ok(other));
    Ok(())
}

#[test]
fn a_complete_backup_is_found_behind_those_that_are_not() -> Result<()> {
    let place = Place::new(false)?;
    let complete = backup(&place, "a", 30, true)?;
    backup(&place, "a", 20, false)?;
    backup(&place, "a", 10, false)?;
    let repository = place.repository()?;
    assert_eq!(latest(&repository, None), Ok(complete));
    let other = backup(&place, "b", 5, true)?;
    assert_eq!(latest(&repository, Some("a")), Ok(complete));
    assert_eq!(latest(&repository, Some("b")), Ok(other));
    Ok(())
}
