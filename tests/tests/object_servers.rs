//! The object stores that other tests use do what these tests count on.

use couchcopy_tests::Result;
use couchcopy_tests::object_servers::{Azurite, Object, SeaweedFs};

fn object(key: &str, size: u64) -> Object {
    Object { key: key.to_owned(), size }
}

fn is_gone(pid: i32) -> bool {
    !std::path::Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn seaweedfs_is_an_s3_server() -> Result<()> {
    let begun = std::time::Instant::now();
    let Some(store) = SeaweedFs::start() else { return Ok(()) };
    eprintln!("SeaweedFS took {} ms to start", begun.elapsed().as_millis());
    let s3 = store.s3();
    assert_eq!(s3.request("PUT", "/not-there/key", &[], &[], b"x")?.status, 404);
    store.create_bucket("data")?;
    assert_eq!(s3.list("data", "")?, []);
    s3.put("data", "a/with space & <sign>+ä", b"hello")?;
    s3.put("data", "b/empty", b"")?;
    assert_eq!(s3.get("data", "a/with space & <sign>+ä")?.as_deref(), Some(&b"hello"[..]));
    assert_eq!(s3.get("data", "b/empty")?.as_deref(), Some(&b""[..]));
    assert_eq!(s3.get("data", "b/none")?, None);
    assert_eq!(s3.get_range("data", "a/with space & <sign>+ä", 1, 3)?, b"ell");
    assert_eq!(s3.list("data", "")?, [object("a/with space & <sign>+ä", 5), object("b/empty", 0)]);
    assert_eq!(s3.list("data", "b/")?, [object("b/empty", 0)]);

    // Created once, and read only as it was.
    let only_new = [("If-None-Match", "*")];
    assert_eq!(s3.request("PUT", "/data/once", &[], &only_new, b"one")?.status, 200);
    assert_eq!(s3.request("PUT", "/data/once", &[], &only_new, b"two")?.status, 412);
    assert_eq!(s3.get("data", "once")?.as_deref(), Some(&b"one"[..]));
    let tag = s3.request("HEAD", "/data/once", &[], &[], b"")?.header("etag").ok_or("no tag")?.to_owned();
    assert_eq!(s3.request("GET", "/data/once", &[], &[("If-Match", &tag)], b"")?.status, 200);
    assert_eq!(s3.request("GET", "/data/once", &[], &[("If-Match", "\"other\"")], b"")?.status, 412);
    assert_eq!(s3.request("PUT", "/data/once", &[], &[("If-Match", "\"other\"")], b"three")?.status, 412);

    // Uploads in parts.
    let upload = s3.start_upload("data", "up/one")?;
    s3.put_part("data", &upload, 1, b"part")?;
    let other = s3.start_upload("data", "other/one")?;
    assert_eq!(s3.uploads("data", "")?, [other.clone(), upload.clone()]);
    assert_eq!(s3.uploads("data", "up/")?, std::slice::from_ref(&upload));
    assert_eq!(s3.list("data", "up/")?, []);
    s3.abort_upload("data", &upload)?;
    assert_eq!(s3.uploads("data", "")?, [other]);

    // A list that comes in several parts.
    for i in 0..1003 {
        s3.put("data", &format!("many/{i:04}"), b"x")?;
    }
    assert_eq!(s3.list("data", "many/")?.len(), 1003);

    // The other users.
    let (keeper, reader) = (store.keeper(), store.reader());
    keeper.put("data", "kept", b"kept")?;
    assert_eq!(keeper.get("data", "kept")?.as_deref(), Some(&b"kept"[..]));
    assert_eq!(reader.get("data", "kept")?.as_deref(), Some(&b"kept"[..]));
    for (user, method, path) in [
        (&keeper, "DELETE", "/data/kept"),
        (&keeper, "GET", "/data"),
        (&reader, "DELETE", "/data/kept"),
        (&reader, "PUT", "/data/kept"),
        (&reader, "GET", "/data"),
    ] {
        let answer = user.request(method, path, &[], &[], b"")?;
        assert_eq!(answer.status, 403, "{} {method} {path}: {}", user.access_key, answer.text());
    }
    let mut nobody = s3.clone();
    nobody.secret_key.push('x');
    assert_eq!(nobody.request("GET", "/data/kept", &[], &[], b"")?.status, 403);

    s3.delete("data", "kept")?;
    assert_eq!(s3.get("data", "kept")?, None);
    let pid = store.pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    eprintln!("SeaweedFS: {}", status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default());
    drop(store);
    assert!(is_gone(pid));
    Ok(())
}

#[test]
fn several_seaweedfs_run_side_by_side() -> Result<()> {
    let (Some(one), Some(two)) = (SeaweedFs::start(), SeaweedFs::start()) else { return Ok(()) };
    assert_ne!(one.endpoint(), two.endpoint());
    one.create_bucket("data")?;
    assert!(two.s3().list("data", "").is_err());
    Ok(())
}

#[test]
fn azurite_is_a_blob_server() -> Result<()> {
    let begun = std::time::Instant::now();
    let Some(store) = Azurite::start() else { return Ok(()) };
    eprintln!("Azurite took {} ms to start", begun.elapsed().as_millis());
    store.create_container("data")?;
    assert_eq!(store.list("data", "")?, []);
    store.put("data", "a/with space & <sign>+ä", b"hello")?;
    store.put("data", "b/empty", b"")?;
    assert_eq!(store.get("data", "a/with space & <sign>+ä")?.as_deref(), Some(&b"hello"[..]));
    assert_eq!(store.get("data", "none")?, None);
    assert_eq!(store.list("data", "")?, [object("a/with space & <sign>+ä", 5), object("b/empty", 0)]);
    assert_eq!(store.list("data", "b/")?, [object("b/empty", 0)]);
    let block = [("blockid", "MDAx"), ("comp", "block")];
    store.request("PUT", "/data/b/unfinished", &block, &[], b"block")?.success()?;
    assert_eq!(store.list("data", "b/")?, [object("b/empty", 0)]);
    assert_eq!(store.list_uncommitted("data", "b/")?, [object("b/empty", 0), object("b/unfinished", 0)]);
    store.delete("data", "b/empty")?;
    assert_eq!(store.get("data", "b/empty")?, None);
    let pid = store.pid();
    drop(store);
    assert!(is_gone(pid));
    Ok(())
}
