//! What a store holds is what a file would hold, and everything reads it.

use couchcopy_tests::Result;
use couchcopy_tests::fault_proxy::FaultProxy;
use couchcopy_tests::object_servers::Azurite;

use super::run::{Couchcopy, STORE, bucket, data, node, restored, small_data};

#[test]
fn every_command_reads_an_archive_in_a_store() -> Result<()> {
    let Some(s3) = bucket("everything")? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let (data, couchcopy) = (data(dir.path())?, Couchcopy::with(s3.environment()));
    let (remote, local) = ("s3://everything/a/backup.tar.gz", dir.path().join("backup.tar.gz"));
    let local = local.to_str().ok_or("not text")?;
    couchcopy.expect(0, &["backup", &node(&data), remote])?;
    couchcopy.expect(0, &["backup", &node(&data), local])?;
    assert_eq!(s3.uploads("everything", "")?.len(), 0);
    assert!(
        s3.list("everything", "")?
            .iter()
            .any(|object| object.key == "a/backup.tar.gz" && object.size > 16 << 20)
    );

    couchcopy.expect(0, &["verify", remote])?;
    for arguments in [
        &["ls"][..],
        &["ls", "bulk-000001", "--limit", "3"],
        &["dump", "bulk-000002"],
        &["ls", "bulk-000001", "--shards"],
    ] {
        let of = |archive| {
            let mut words = vec![arguments[0], archive];
            words.extend(&arguments[1..]);
            couchcopy.expect(0, &words).map(|ended| ended.stdout)
        };
        assert!(of(remote)? == of(local)?, "{arguments:?}");
    }
    let first = couchcopy.expect(0, &["ls", remote, "bulk-000001", "--ids", "--limit", "1"])?.stdout;
    let document = |archive| couchcopy.expect(0, &["get", archive, "bulk-000001", first.trim()]);
    assert_eq!(document(remote)?.stdout, document(local)?.stdout);
    let of_file =
        |archive| couchcopy.expect(0, &["cat", archive, "data/_dbs.couch"]).map(|ended| ended.stdout);
    assert_eq!(of_file(remote)?, of_file(local)?);
    assert_eq!(couchcopy.json(&["info", remote])?["documents"], 5200);

    assert!(restored(&couchcopy, remote, &[])? == restored(&couchcopy, local, &[])?);
    couchcopy.expect(0, &["unbrand", remote, "s3://everything/unbranded.tar.gz"])?;
    couchcopy.expect(0, &["verify", "s3://everything/unbranded.tar.gz"])?;
    Ok(())
}

#[test]
fn an_object_is_only_replaced_when_it_may_be() -> Result<()> {
    let Some(s3) = bucket("overwrite")? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let (data, couchcopy) = (small_data(dir.path())?, Couchcopy::with(s3.environment()));
    s3.put("overwrite", "k.tar.gz", b"mine")?;
    let refused = couchcopy.expect(5, &["backup", &node(&data), "s3://overwrite/k.tar.gz"])?.unwrapped();
    assert!(refused.stderr.contains("CC-O11") && refused.stderr.contains("--overwrite"), "{refused:?}");
    assert_eq!(s3.get("overwrite", "k.tar.gz")?.as_deref(), Some(&b"mine"[..]));
    couchcopy.expect(0, &["backup", "--overwrite", &node(&data), "s3://overwrite/k.tar.gz"])?;
    couchcopy.expect(0, &["verify", "s3://overwrite/k.tar.gz"])?;
    Ok(())
}

#[test]
fn a_document_takes_few_requests() -> Result<()> {
    let Some(s3) = bucket("few")? else { return Ok(()) };
    let Some(store) = &*STORE else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let (data, couchcopy) = (data(dir.path())?, Couchcopy::with(s3.environment()));
    couchcopy.expect(0, &["backup", &node(&data), "s3://few/k.tar.gz"])?;
    let first =
        couchcopy.expect(0, &["ls", "s3://few/k.tar.gz", "bulk-000001", "--ids", "--limit", "1"])?.stdout;
    let proxy = FaultProxy::start(&store.endpoint())?;
    let counted = Couchcopy::with(s3.at(&proxy.endpoint()).environment());
    counted.expect(0, &["get", "s3://few/k.tar.gz", "bulk-000001", first.trim()])?;
    let requests = proxy.requests();
    assert!(requests.len() <= 6, "{} requests: {requests:#?}", requests.len());
    proxy.clear_faults();
    let before = proxy.count();
    counted.expect(0, &["info", "s3://few/k.tar.gz"])?;
    assert!(proxy.count() - before <= 2, "{:#?}", &proxy.requests()[before..]);
    Ok(())
}

#[test]
fn azure_holds_an_archive_too() -> Result<()> {
    let Some(azurite) = Azurite::start() else { return Ok(()) };
    azurite.create_container("backups")?;
    let dir = tempfile::tempdir()?;
    let (data, couchcopy) = (data(dir.path())?, Couchcopy::with(azurite.environment()));
    let archive = "az://backups/k.tar.gz";
    couchcopy.expect(0, &["backup", &node(&data), archive])?;
    couchcopy.expect(0, &["verify", archive])?;
    assert_eq!(couchcopy.json(&["info", archive])?["documents"], 5200);
    couchcopy.expect(5, &["backup", &node(&data), archive])?;
    Ok(())
}

/// What the files of Amazon's own tools say: keys, region, and an address with `http://`.
#[test]
fn a_profile_leads_to_a_store() -> Result<()> {
    let Some(s3) = bucket("profile")? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let (credentials, config) = (dir.path().join("credentials"), dir.path().join("config"));
    let keys =
        format!("[lab]\naws_access_key_id = {}\naws_secret_access_key = {}\n", s3.access_key, s3.secret_key);
    std::fs::write(&credentials, keys)?;
    std::fs::write(&config, format!("[profile lab]\nregion = us-east-1\nendpoint_url = {}\n", s3.endpoint))?;
    let couchcopy = Couchcopy::with(vec![
        ("AWS_PROFILE".to_owned(), "lab".to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE".to_owned(), credentials.display().to_string()),
        ("AWS_CONFIG_FILE".to_owned(), config.display().to_string()),
    ]);
    couchcopy.expect(0, &["backup", &node(&small_data(dir.path())?), "s3://profile/k"])?;
    couchcopy.expect(0, &["verify", "s3://profile/k"])?;
    Ok(())
}
