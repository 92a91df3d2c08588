//! What goes wrong with a store is said in the store's terms, with what to do, and without any secret.

use couchcopy_tests::Result;
use couchcopy_tests::fault_proxy::{Fault, FaultProxy};

use super::run::{Couchcopy, STORE, bucket, node, small_data};

fn environment(s3: &couchcopy_tests::object_servers::S3, changes: &[(&str, &str)]) -> Couchcopy {
    let mut environment = s3.environment();
    environment.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    let set = changes.iter().filter(|(_, value)| !value.is_empty());
    environment.extend(set.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Couchcopy::with(environment)
}

#[test]
fn mistakes_are_named() -> Result<()> {
    let Some(s3) = bucket("mistakes")? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let data = small_data(dir.path())?;
    let right = environment(&s3, &[]);
    let wrong = environment(&s3, &[("AWS_SECRET_ACCESS_KEY", "wrong-secret-key")]);
    let nowhere = environment(&s3, &[("AWS_ENDPOINT_URL", "http://127.0.0.1:1")]);
    for (couchcopy, words, code, exit) in [
        (&right, vec!["verify", "s3://no-such-bucket-here/k"], "CC-O01", 7),
        (&right, vec!["verify", "s3://mistakes/nothing"], "CC-O02", 7),
        (&wrong, vec!["verify", "s3://mistakes/nothing"], "CC-O05", 7),
        (&right, vec!["verify", "s3://mistakes/folder/"], "CC-O19", 5),
        (&right, vec!["verify", "s3://mistakes/nothing", "--store-config", "/nonexistent"], "CC-G02", 7),
    ] {
        let ended = couchcopy.expect(exit, &words)?.unwrapped();
        assert!(ended.stderr.contains(code), "{words:?}: {ended:?}");
        assert!(!ended.stderr.contains("wrong-secret-key"), "{ended:?}");
    }
    let refused = right.expect(7, &["backup", &node(&data), "s3://no-such-bucket-here/k"])?;
    assert!(refused.stderr.contains("CC-O01"), "{refused:?}");
    let _ = nowhere;
    // Nobody vouches for anybody.
    let bare = environment(&s3, &[("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")]);
    let ended = bare.expect(5, &["verify", "s3://mistakes/nothing"])?.unwrapped();
    assert!(ended.stderr.contains("CC-O26") && ended.stderr.contains("ca-certificates"), "{ended:?}");
    let unknown = right.expect(2, &["verify", "ftp://u:secret@host/k"])?;
    assert!(!unknown.stderr.contains("secret@"), "{unknown:?}");
    Ok(())
}

#[test]
fn expired_credentials_end_at_once() -> Result<()> {
    let Some(s3) = bucket("expired")? else { return Ok(()) };
    let Some(store) = &*STORE else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let data = small_data(dir.path())?;
    Couchcopy::with(s3.environment()).expect(0, &["backup", &node(&data), "s3://expired/k"])?;
    let proxy = FaultProxy::start(&store.endpoint())?;
    let couchcopy = Couchcopy::with(s3.at(&proxy.endpoint()).environment());
    proxy.fault_from(0, 100, Fault::Error(400, "ExpiredToken"));
    let ended = couchcopy.expect(7, &["verify", "s3://expired/k"])?.unwrapped();
    assert!(ended.stderr.contains("CC-O06") && ended.stderr.contains("new credentials"), "{ended:?}");
    Ok(())
}

#[test]
fn who_may_not_delete_can_still_save() -> Result<()> {
    let Some(_) = bucket("keeper")? else { return Ok(()) };
    let Some(store) = &*STORE else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let data = small_data(dir.path())?;
    let keeper = Couchcopy::with(store.keeper().environment());
    keeper.expect(0, &["backup", &node(&data), "s3://keeper/k"])?;
    keeper.expect(0, &["verify", "s3://keeper/k"])?;
    let reader = Couchcopy::with(store.reader().environment());
    reader.expect(0, &["verify", "s3://keeper/k"])?;
    let denied = reader.expect(7, &["backup", &node(&data), "s3://keeper/other"])?.unwrapped();
    assert!(denied.stderr.contains("CC-O08") && denied.stderr.contains("permission"), "{denied:?}");
    Ok(())
}

#[test]
fn an_object_that_is_replaced_while_it_is_read_is_noticed() -> Result<()> {
    let Some(s3) = bucket("replaced")? else { return Ok(()) };
    let Some(store) = &*STORE else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let data = super::run::data(dir.path())?;
    Couchcopy::with(s3.environment()).expect(0, &["backup", &node(&data), "s3://replaced/k"])?;
    let proxy = FaultProxy::start(&store.endpoint())?;
    // The answer that a store gives when the ETag is another one.
    proxy.fault_from(2, 100, Fault::Status(412));
    let ended =
        Couchcopy::with(s3.at(&proxy.endpoint()).environment()).expect(7, &["verify", "s3://replaced/k"])?;
    assert!(ended.stderr.contains("CC-O10"), "{ended:?}");
    assert!(proxy.requests().iter().skip(1).all(|request| request.method == "GET"), "{:?}", proxy.requests());
    Ok(())
}
