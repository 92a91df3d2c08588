//! Ceph's radosgw holds an archive, and everything reads it.

use couchcopy_tests::Result;
use couchcopy_tests::object_servers::RadosGateway;

use super::run::{Couchcopy, data, node, restored};

#[test]
fn ceph_holds_an_archive_too() -> Result<()> {
    let Some(ceph) = RadosGateway::start() else { return Ok(()) };
    let s3 = ceph.s3();
    s3.create_bucket("backups")?;
    let dir = tempfile::tempdir()?;
    let (data, couchcopy) = (node(&data(dir.path())?), Couchcopy::with(s3.environment()));
    let (remote, local) = ("s3://backups/a/k.tar.gz", dir.path().join("k.tar.gz"));
    let local = local.to_str().ok_or("not text")?;
    couchcopy.expect(0, &["backup", &data, remote])?;
    couchcopy.expect(0, &["backup", &data, local])?;
    assert_eq!(s3.uploads("backups", "")?, []);
    couchcopy.expect(0, &["verify", remote])?;
    assert_eq!(couchcopy.json(&["info", remote])?["documents"], 5200);
    let first = couchcopy.expect(0, &["ls", remote, "bulk-000001", "--ids", "--limit", "1"])?.stdout;
    let document = |archive| couchcopy.expect(0, &["get", archive, "bulk-000001", first.trim()]);
    assert_eq!(document(remote)?.stdout, document(local)?.stdout);
    assert!(restored(&couchcopy, remote, &[])? == restored(&couchcopy, local, &[])?);

    // It is not replaced unless it may be, and what an interrupted upload leaves is found.
    couchcopy.expect(5, &["backup", &data, remote])?;
    couchcopy.expect(0, &["backup", "--overwrite", &data, remote])?;
    let upload = s3.start_upload("backups", "a/begun")?;
    s3.put_part("backups", &upload, 1, b"part")?;
    couchcopy.expect(0, &["clean", "--unfinished-for", "0", "s3://backups/a/"])?;
    assert_eq!(s3.uploads("backups", "")?, []);

    // The checksums that a bucket with locked objects wants at Amazon.
    let mut environment = s3.environment();
    environment.push(("AWS_CHECKSUM_ALGORITHM".to_owned(), "sha256".to_owned()));
    let checked = Couchcopy::with(environment);
    checked.expect(0, &["backup", &data, "s3://backups/checked"])?;
    checked.expect(0, &["verify", "s3://backups/checked"])?;
    Ok(())
}
