//! Encrypted archives, in files, pipes and stores.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use couchcopy_tests::Result;
use couchcopy_tests::fault_proxy::FaultProxy;

use super::run::{Couchcopy, STORE, bucket, data, node, restored, small_data};

/// A key made for these tests, with its public half.
pub(crate) const IDENTITY: &str =
    "AGE-SECRET-KEY-1UP03SMUJJZPCTN4FXWNMF034E490R4YRC4PTP2U0R7WPZQGUK2ZQ6J9487";
pub(crate) const RECIPIENT: &str = "age1s2nh04qfv7kd873jmwlju2a6ttq80nsahjlgn2v4nypk93d7uu5qvze2z6";

pub(crate) fn secret(folder: &Path, name: &str, content: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, content)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(path)
}

#[test]
fn only_who_has_the_key_reads_it() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (data, couchcopy) = (small_data(dir.path())?, Couchcopy::with(Vec::new()));
    let key = secret(dir.path(), "key.txt", IDENTITY)?;
    let key = key.to_str().ok_or("not text")?;
    let (plain, sealed) = (dir.path().join("plain.tar.gz"), dir.path().join("sealed.tar.gz.age"));
    let (plain, sealed) = (plain.to_str().ok_or("not text")?, sealed.to_str().ok_or("not text")?);
    couchcopy.expect(0, &["backup", &node(&data), plain])?;
    couchcopy.expect(0, &["backup", "--recipient", RECIPIENT, &node(&data), sealed])?;

    let without = couchcopy.expect(5, &["verify", sealed])?.unwrapped();
    assert!(without.stderr.contains("CC-K05") && without.stderr.contains("--identity"), "{without:?}");
    couchcopy.expect(0, &["verify", "--identity", key, sealed])?;
    let dump = |words: &[&str]| couchcopy.expect(0, words).map(|ended| ended.stdout);
    assert_eq!(
        dump(&["dump", sealed, "bulk-000002", "--identity", key])?,
        dump(&["dump", plain, "bulk-000002"])?
    );
    assert!(restored(&couchcopy, sealed, &["--identity", key])? == restored(&couchcopy, plain, &[])?);

    // Nothing of the data is readable in the file.
    let bytes = std::fs::read(sealed)?;
    assert!(!bytes.windows(10).any(|window| window == b"_dbs.couch"));
    Ok(())
}

#[test]
fn a_passphrase_works_too_and_a_wrong_one_does_not() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (data, couchcopy) = (small_data(dir.path())?, Couchcopy::with(Vec::new()));
    let right = secret(dir.path(), "right", "correct horse\n")?;
    let wrong = secret(dir.path(), "wrong", "battery staple\n")?;
    let (right, wrong) = (right.to_str().ok_or("not text")?, wrong.to_str().ok_or("not text")?);
    let sealed = dir.path().join("sealed.age");
    let sealed = sealed.to_str().ok_or("not text")?;
    couchcopy.expect(0, &["backup", "--passphrase-file", right, &node(&data), sealed])?;
    couchcopy.expect(0, &["verify", "--passphrase-file", right, sealed])?;
    let refused = couchcopy.expect(5, &["verify", "--passphrase-file", wrong, sealed])?;
    assert!(refused.stderr.contains("CC-K07") && !refused.stderr.contains("battery"), "{refused:?}");
    std::fs::set_permissions(right, std::fs::Permissions::from_mode(0o644))?;
    let open = couchcopy.expect(5, &["verify", "--passphrase-file", right, sealed])?.unwrapped();
    assert!(open.stderr.contains("CC-K13") && open.stderr.contains("chmod 600"), "{open:?}");
    Ok(())
}

#[test]
fn a_document_of_an_encrypted_archive_in_a_store_takes_few_requests() -> Result<()> {
    let Some(s3) = bucket("sealed")? else { return Ok(()) };
    let Some(store) = &*STORE else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let (data, couchcopy) = (data(dir.path())?, Couchcopy::with(s3.environment()));
    let key = secret(dir.path(), "key.txt", IDENTITY)?;
    let key = key.to_str().ok_or("not text")?;
    let archive = "s3://sealed/k.tar.gz.age";
    couchcopy.expect(0, &["backup", "--recipient", RECIPIENT, &node(&data), archive])?;
    couchcopy.expect(0, &["verify", "--identity", key, archive])?;
    let first = couchcopy
        .expect(0, &["ls", archive, "bulk-000001", "--ids", "--limit", "1", "--identity", key])?
        .stdout;
    let proxy = FaultProxy::start(&store.endpoint())?;
    let counted = Couchcopy::with(s3.at(&proxy.endpoint()).environment());
    counted.expect(0, &["get", archive, "bulk-000001", first.trim(), "--identity", key])?;
    let requests = proxy.requests();
    assert!(requests.len() <= 6, "{} requests: {requests:#?}", requests.len());
    Ok(())
}
