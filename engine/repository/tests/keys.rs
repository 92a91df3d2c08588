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

fn refusal(place: &Place) -> Result<String> {
    let opened = place.repository();
    let error = opened.err().ok_or("it was opened")?;
    let failure = error.downcast::<outcome::Failure>().map_err(|error| error.to_string())?;
    Ok(failure.code().to_string())
}

#[test]
fn a_stolen_key_of_a_machine_changes_no_keys() -> Result<()> {
    let place = Place::new(true)?;
    let mut disk = Disk::default();
    disk.set("data/shards/a.couch", noise(1, 1000));
    place.backup(&disk, true)?;
    let other = encryption::KeyPair::generate().public();
    // Data would be encrypted for the thief from then on.
    forge(&place, |set| set["public"]["data"] = json!(other))?;
    assert_eq!(refusal(&place)?, "CC-Q07");
    // One more machine, or the same keys again.
    forge(&place, |set| set["signers"][0]["name"] = json!("mine"))?;
    assert_eq!(refusal(&place)?, "CC-Q07");
    std::fs::remove_file(common::below(&place, "keys/00000001"))?;
    place.backup(&disk, true)?;
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
