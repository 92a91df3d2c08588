//! Buckets whose objects are locked against deletion.

use couchcopy_tests::Result;
use couchcopy_tests::object_servers::RefusingServer;

use super::run::{Couchcopy, STORE, bucket, node, small_data};

/// What Amazon answers to a request for a version that is locked.
const PROTECTED: &str = "<Error><Code>AccessDenied</Code><Message>Access Denied because object protected by object lock.</Message>\
    <RequestId>1</RequestId><HostId>h</HostId></Error>";
/// Long after any test.
const UNTIL: &str = "2099-01-01T00:00:00Z";

/// A locked version stays when the object is replaced: the store keeps both.
#[test]
fn a_locked_object_is_replaced_by_a_version_and_stays() -> Result<()> {
    let Some(s3) = bucket("unlocked")? else { return Ok(()) };
    if STORE.is_none() {
        return Ok(());
    }
    let enabled = [("x-amz-bucket-object-lock-enabled", "true")];
    s3.request("PUT", "/locked", &[], &enabled, b"")?.success()?;
    let lock = [("x-amz-object-lock-mode", "COMPLIANCE"), ("x-amz-object-lock-retain-until-date", UNTIL)];
    let locked = s3.request("PUT", "/locked/k.tar.gz", &[], &lock, b"locked")?.success()?;
    let version = locked.header("x-amz-version-id").ok_or("no version")?.to_owned();
    let of_version = [("versionId", version.as_str())];
    let refused = s3.request("DELETE", "/locked/k.tar.gz", &of_version, &[], b"")?;
    assert_eq!(refused.status, 403, "the store does not lock: {}", refused.text());

    let dir = tempfile::tempdir()?;
    let (data, couchcopy) = (node(&small_data(dir.path())?), Couchcopy::with(s3.environment()));
    let refused = couchcopy.expect(5, &["backup", &data, "s3://locked/k.tar.gz"])?;
    assert!(refused.stderr.contains("CC-O11"), "{refused:?}");
    couchcopy.expect(0, &["backup", "--overwrite", &data, "s3://locked/k.tar.gz"])?;
    couchcopy.expect(0, &["verify", "s3://locked/k.tar.gz"])?;
    let kept = s3.request("GET", "/locked/k.tar.gz", &of_version, &[], b"")?.success()?;
    assert_eq!(kept.body, b"locked");

    // An upload is no object yet, and is not locked.
    let upload = s3.start_upload("locked", "begun")?;
    s3.put_part("locked", &upload, 1, b"part")?;
    couchcopy.expect(0, &["clean", "--unfinished-for", "0", "s3://locked/"])?;
    assert_eq!(s3.uploads("locked", "")?, []);
    couchcopy.expect(0, &["verify", "s3://locked/k.tar.gz"])?;
    Ok(())
}

/// A store without versions refuses to replace what is locked.
#[test]
fn a_lock_that_the_store_holds_against_is_named() -> Result<()> {
    let server = RefusingServer::start(403, PROTECTED)?;
    let dir = tempfile::tempdir()?;
    let (data, couchcopy) = (node(&small_data(dir.path())?), Couchcopy::with(server.s3().environment()));
    for words in [&["backup", "--overwrite", &data, "s3://locked/k"][..], &["clean", "s3://locked/k"]] {
        let ended = couchcopy.expect(7, words)?.unwrapped();
        for part in ["CC-O09", "s3://locked/k", "protected by object lock", "Wait until the lock"] {
            assert!(ended.stderr.contains(part), "{words:?}: {part:?} is missing: {ended:?}");
        }
    }
    Ok(())
}
