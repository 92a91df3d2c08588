//! Who may change the keys of a repository, and what happens to somebody who tries.

mod common;

use common::{Disk, Place, Result, noise};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

/// Writes the next key set as a machine of the repository would sign it.
fn forge(place: &Place, change: impl FnOnce(&mut Value)) -> Result<()> {
    let text = std::fs::read_to_string(common::below(place, "keys/00000000"))?;
    let mut set: Value = serde_json::from_str(text.lines().next().ok_or("empty")?)?;
    set["number"] = json!(1);
    change(&mut set);
    let key = std::fs::read_to_string(place.host_key())?;
    let seed = key.lines().find_map(|line| line.strip_prefix("signing ")).ok_or("no seed")?;
    let pair = Ed25519KeyPair::from_seed_unchecked(&hex::decode(seed)?).map_err(|error| error.to_string())?;
    let payload = set.to_string();
    let signature = pair.sign(format!("couchcopy repository object 1\nkeys\n{payload}").as_bytes());
    let seal = json!({
        "signer": hex::encode(pair.public_key().as_ref()),
        "signature": hex::encode(signature.as_ref()),
    });
    std::fs::write(common::below(place, "keys/00000001"), format!("{payload}\n{seal}\n"))?;
    Ok(())
}

/// The code of a failure.
fn code_of<T>(result: Result<T>) -> Result<String> {
    let error = result.err().ok_or("it did not fail")?;
    let failure = error.downcast::<outcome::Failure>().map_err(|error| error.to_string())?;
    Ok(failure.code().to_string())
}

fn refusal(place: &Place) -> Result<String> {
    code_of(place.repository())
}

#[test]
fn a_stolen_key_of_a_machine_changes_no_keys() -> Result<()> {
    let place = Place::new(true)?;
    let mut disk = Disk::default();
    disk.set("data/shards/a.couch", noise(1, 1000));
    place.backup(&disk, true)?;
    let other = encryption::KeyPair::generate().public();
    let before = place.repository()?.key_holders();
    // Data would be encrypted for the thief from then on; one more machine, or the same keys again; any bytes, and too many.
    for attempt in 0..4 {
        match attempt {
            0 => forge(&place, |set| set["public"]["data"] = json!(other))?,
            1 => forge(&place, |set| set["signers"][0]["name"] = json!("mine"))?,
            2 => std::fs::write(common::below(&place, "keys/00000001"), b"garbage\n")?,
            _ => std::fs::write(common::below(&place, "keys/00000001"), vec![b'x'; 5 << 20])?,
        }
        let repository = place.repository()?;
        assert_eq!(repository.key_holders(), before, "{attempt}");
        let ignored = repository.ignored_keys();
        assert_eq!(ignored.len(), 1);
        assert!(ignored[0].object.ends_with("keys/00000001"), "{ignored:?}");
        // Nobody is kept from anything, and it is reported.
        let added = place.backup(&disk, true)?;
        assert!(added.snapshot.parent.is_some());
        let findings = repository.check()?.findings;
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!((&findings[0].object, &findings[0].backups[..]), (&ignored[0].object, &[][..]));
    }
    Ok(())
}

#[test]
fn the_keys_can_be_changed_beside_objects_of_strangers() -> Result<()> {
    for encrypted in [false, true] {
        let place = Place::new(encrypted)?;
        let mut disk = Disk::default();
        disk.set("data/shards/a.couch", noise(1, 1000));
        std::fs::write(common::below(&place, "keys/00000001"), b"garbage\n")?;
        place.backup(&disk, true)?;
        let other = place.path().with_file_name("other.key");
        place.repository()?.add_machine("other", &other)?;
        assert!(common::below(&place, "keys/00000002").exists());
        std::fs::write(common::below(&place, "keys/00000003"), b"garbage\n")?;
        let repository = place.with_key(&other)?;
        assert_eq!((repository.key_holders().iter().filter(|holder| holder.kind == "machine")).count(), 2);
        assert_eq!(repository.ignored_keys().len(), 2);
        let snapshot = repository::SnapshotOptions::new(vec!["n@h".into()]);
        common::save(repository::SnapshotWriter::begin(&repository, snapshot)?, &disk, true)?;
        // Beyond a number of them, they are not looked through.
        for number in 4..300 {
            std::fs::write(common::below(&place, &format!("keys/{number:08}")), b"garbage\n")?;
        }
        assert_eq!(refusal(&place)?, "CC-Q05");
    }
    Ok(())
}

/// Without a first key set, nothing says who may sign.
#[test]
fn the_first_key_set_is_not_passed_over() -> Result<()> {
    let place = Place::new(true)?;
    place.repository()?.add_machine("other", &place.path().with_file_name("other.key"))?;
    std::fs::write(common::below(&place, "keys/00000000"), b"garbage\n")?;
    assert_eq!(refusal(&place)?, "CC-Q05");
    Ok(())
}

#[test]
fn a_machine_knows_the_keys_of_its_repository() -> Result<()> {
    let (place, other) = (Place::new(true)?, Place::new(true)?);
    // The keys of another repository under the same id: a first key set signs itself.
    let id = |place: &Place| -> Result<String> {
        let text = std::fs::read_to_string(common::below(place, repository::CONFIG))?;
        Ok(serde_json::from_str::<Value>(&text)?["id"].as_str().ok_or("no id")?.to_owned())
    };
    let (ours, theirs) = (id(&place)?, id(&other)?);
    let text = std::fs::read_to_string(common::below(&other, "keys/00000000"))?;
    std::fs::write(common::below(&place, "keys/00000000"), text.replace(&theirs, &ours))?;
    assert_eq!(refusal(&place)?, "CC-Q07");
    // Without a key file there is nothing to compare with; the signature of the replaced text is wrong.
    assert!(place.as_stranger().is_err());
    // All of the other repository, signatures and all, under the key file of this one.
    std::fs::copy(common::below(&other, "keys/00000000"), common::below(&place, "keys/00000000"))?;
    std::fs::copy(common::below(&other, repository::CONFIG), common::below(&place, repository::CONFIG))?;
    assert_eq!(refusal(&place)?, "CC-Q12");
    Ok(())
}

#[test]
fn the_owner_gives_a_new_machine_a_key_without_that_of_another() -> Result<()> {
    let place = Place::new(true)?;
    let mut disk = Disk::default();
    disk.set("data/shards/a.couch", noise(1, 1000));
    place.backup(&disk, true)?;
    std::fs::remove_file(place.host_key())?;
    assert!(place.backup(&disk, true).is_err());
    place.repository()?.add_machine("new", &place.host_key())?;
    let added = place.backup(&disk, true)?;
    assert!(added.snapshot.parent.is_some());
    let holders = place.repository()?.key_holders();
    let lost =
        holders.iter().find(|holder| holder.name.as_deref() == Some("here")).ok_or("it is not listed")?;
    place.repository()?.remove_machine(&lost.public)?;
    place.backup(&disk, true)?;
    // Its backups are refused from now on, the others are not.
    let repository = place.repository()?;
    let names = repository.snapshot_names()?;
    let read: Vec<bool> = repository.snapshots(&names).iter().map(|(_, snapshot)| snapshot.is_ok()).collect();
    assert_eq!(read, [false, true, true]);
    Ok(())
}
