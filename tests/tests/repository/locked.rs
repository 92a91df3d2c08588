//! Stores that do not delete: object lock, and users who may not.

use couchcopy_tests::Result;
use couchcopy_tests::fault_proxy::{Fault, FaultProxy};

use super::data::Data;
use super::place::{Place, STORE};

/// A bucket in which every version is locked: what is deleted is only hidden. The repository works as in any other.
#[test]
fn a_repository_in_a_bucket_with_object_lock() -> Result<()> {
    let Some(place) = Place::store("lock-unused")? else { return Ok(()) };
    let Some((s3, _)) = &place.bucket else { return Ok(()) };
    let enabled = [("x-amz-bucket-object-lock-enabled", "true")];
    s3.request("PUT", "/lock-repository", &[], &enabled, b"")?.success()?;
    let rule = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
        <Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
    s3.request("PUT", "/lock-repository", &[("object-lock", "")], &[], rule.as_bytes())?.success()?;
    let place = Place {
        repo: "s3://lock-repository/r".into(),
        bucket: Some((s3.clone(), "lock-repository".into())),
        ..place
    };
    let data = Data::new(2, 300)?;
    place.init(&[])?;
    for number in 0..3 {
        data.replace(number)?;
        place.backup(&data.node())?;
    }
    // What cannot be deleted is reported, and the next commands go on.
    for words in [
        &["repo", "expire", "--keep-last", "1", &place.repo][..],
        &["repo", "prune", "--grace", "0s", &place.repo],
        &["repo", "prune", "--grace", "0s", &place.repo],
    ] {
        let ended = place.couchcopy.run(words)?;
        assert!(
            ended.code == Some(0) || (ended.code == Some(3) && ended.stdout.contains("NOT ")),
            "{ended:?}"
        );
    }
    place.verify_all()?;
    place.backup(&data.node())?;
    place.verify_all()
}

/// A store that refuses every deletion: backups are made, and expire and prune report what stays.
#[test]
fn a_store_that_deletes_nothing() -> Result<()> {
    let (Some(place), Some(store)) = (Place::store("lock-refused")?, &*STORE) else { return Ok(()) };
    let data = Data::new(2, 300)?;
    place.init(&[])?;
    let proxy = FaultProxy::start(&store.endpoint())?;
    let through = place.through(&proxy)?;
    let deletes = |request: &couchcopy_tests::fault_proxy::Request| {
        request.method == "DELETE" || (request.method == "POST" && request.target.contains("delete"))
    };
    proxy.fault_on(deletes, 0, usize::MAX, Fault::Error(403, "AccessDenied"));
    for number in 0..3 {
        data.replace(number)?;
        through.expect(0, &["backup", "--repo", &place.repo, &data.node()])?;
    }
    let expired = through.json_of(3, &["repo", "expire", "--keep-last", "1", &place.repo])?;
    assert_eq!(expired["refused"].as_array().map(Vec::len), Some(2), "{expired}");
    assert_eq!(expired["removed"].as_array().map(Vec::len), Some(0), "{expired}");
    assert_eq!(place.ids()?.len(), 3);
    place.couchcopy.expect(0, &["repo", "expire", "--keep-last", "1", &place.repo])?;
    let before = place.objects("packs")?;
    for round in 0..3 {
        let pruned = through.json_of(3, &["repo", "prune", "--grace", "0s", &place.repo])?;
        assert_eq!(pruned["deleted"], 0, "{pruned}");
        let refused = pruned["refused"].as_array().ok_or("nothing was refused")?;
        assert!(
            refused.iter().all(|refused| refused["problem"].is_string() && refused["object"].is_string())
        );
        let packs = place.objects("packs")?;
        assert!(before.iter().all(|pack| packs.contains(pack)), "a pack is gone");
        // No prune adds a mark to those of the runs before, except where these cannot be deleted either.
        assert!(place.objects("marks")?.len() <= 1 + round as usize);
        // What is marked is not built upon, and the backup is right.
        data.grow(round, 20_000)?;
        through.expect(0, &["backup", "--repo", &place.repo, &data.node()])?;
        place.verify_all()?;
    }
    proxy.clear_faults();
    place.assert_prunes_clean()?;
    place.verify_all()
}

/// With `--object-lock`, what is old is stored again, and nothing else is.
#[test]
fn what_is_locked_no_longer_soon_is_stored_again() -> Result<()> {
    for place in Place::each("lock-renewed")? {
        let data = Data::new(2, 300)?;
        // Everything is due after two seconds at the latest.
        place.init(&["--object-lock", "4s"])?;
        let backup = |more: &[&str]| -> Result<(u64, u64)> {
            let words = ["backup", "--repo", &place.repo, &data.node()];
            let said = place.couchcopy.json(&[&words[..], more].concat())?;
            let new = said["in_repository"]["new_bytes"].as_u64().ok_or("no bytes")?;
            Ok((new, said["content_bytes"].as_u64().ok_or("no bytes")?))
        };
        // All of the databases.
        let everything = |(new, all): (u64, u64)| new > all - 1000;
        assert!(everything(backup(&[])?));
        let packs = place.objects("packs")?;
        std::thread::sleep(std::time::Duration::from_secs(3));
        let few = |(new, all): (u64, u64)| new < all / 20;
        assert!(few(backup(&["--object-lock", "30d"])?) && few(backup(&["--object-lock", "0s"])?));
        assert!(everything(backup(&[])?));
        // The newest backup needs none of the old ones.
        place.couchcopy.expect(0, &["repo", "expire", "--keep-last", "1", &place.repo])?;
        place.assert_prunes_clean()?;
        assert!(place.objects("packs")?.iter().all(|pack| !packs.contains(pack)));
        place.verify_all()?;
        place.couchcopy.expect(2, &["backup", "--object-lock", "x", "--repo", &place.repo, &data.node()])?;
    }
    Ok(())
}
