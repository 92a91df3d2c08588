//! What every kind of store does alike: put once, read, list, delete, unfinished uploads.

use std::process::Command;

use couchcopy_tests::Result;
use couchcopy_tests::object_servers::{Azurite, Google, RadosGateway};
use store::{Bucket, Location, Said, Settings, Stores};

use super::run::bucket;

/// The suite runs in processes of its own: stores read their credentials from the environment.
const LOCATION: &str = "COUCHCOPY_TEST_STORE";

fn here() -> Result<Option<Bucket>> {
    let Ok(text) = std::env::var(LOCATION) else { return Ok(None) };
    if let Some(folder) = text.strip_prefix("folder:") {
        return Ok(Some(Bucket::folder(folder.as_ref())?));
    }
    let Location::Object(object) = text.parse()? else { return Err("no object".into()) };
    Ok(Some(Stores::new(Settings::default()).bucket(&object)?))
}

fn run_suite(environment: &[(String, String)], location: &str) -> Result<()> {
    let output = Command::new(std::env::current_exe()?)
        .args(["conformance::suite", "--exact", "--nocapture"])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .env(LOCATION, location)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[test]
fn folder() -> Result<()> {
    let folder = tempfile::tempdir()?;
    run_suite(&[], &format!("folder:{}", folder.path().display()))
}

#[test]
fn s3() -> Result<()> {
    let Some(s3) = bucket("conformance")? else { return Ok(()) };
    run_suite(&s3.environment(), "s3://conformance/x")
}

#[test]
fn azure() -> Result<()> {
    let Some(azurite) = Azurite::start() else { return Ok(()) };
    azurite.create_container("conformance")?;
    run_suite(&azurite.environment(), "az://conformance/x")
}

#[test]
fn ceph() -> Result<()> {
    let Some(ceph) = RadosGateway::start() else { return Ok(()) };
    ceph.s3().create_bucket("conformance")?;
    run_suite(&ceph.s3().environment(), "s3://conformance/x")
}

#[test]
fn google() -> Result<()> {
    let google = Google::start(Some("token"))?;
    google.create_bucket("conformance");
    let dir = tempfile::tempdir()?;
    run_suite(&google.environment(dir.path())?, "gs://conformance/x")?;
    assert!(google.requests().iter().all(|request| request.authorization.is_some()));
    Ok(())
}

/// Does nothing unless it is run for a store.
#[test]
fn suite() -> Result<()> {
    let Some(bucket) = here()? else { return Ok(()) };
    // Put once: the same content again is no mistake, another is.
    bucket.put_once("a/one", b"1")?;
    bucket.put_once("a/one", b"1")?;
    let refused = bucket.put_once("a/one", b"2").err().ok_or("it was replaced")?;
    assert_eq!(refused.said, Said::Exists);
    assert_eq!(bucket.get("a/one", 10)?.as_deref(), Some(&b"1"[..]));
    assert!(bucket.get("a/one", 0).is_err());
    assert_eq!(bucket.get("a/none", 10)?, None);
    assert_eq!(bucket.head("a/none")?, None);
    bucket.put_once("a/empty", b"")?;
    assert_eq!(bucket.get("a/empty", 10)?.as_deref(), Some(&b""[..]));
    let odd = "a/sp ace/ü+%41&x=y";
    bucket.put_once(odd, b"odd")?;
    assert_eq!(bucket.get(odd, 10)?.as_deref(), Some(&b"odd"[..]));

    // List: all of a folder and nothing else, in order; more than one page.
    bucket.put_once("ab/other", b"")?;
    let keys = |prefix: &str| -> Result<Vec<String>> {
        let mut keys: Vec<_> = bucket.list(prefix)?.into_iter().map(|object| object.key).collect();
        keys.sort();
        Ok(keys)
    };
    assert_eq!(keys("a")?, ["a/empty", "a/one", odd]);
    assert_eq!(keys("none")?, [""; 0]);
    let many: Vec<String> = (0..1050).map(|number| format!("many/{number:04}")).collect();
    for key in &many {
        bucket.put_once(key, b"x")?;
    }
    assert_eq!(keys("many")?, many);

    // Delete: what is not there counts as deleted.
    let mut gone = many.clone();
    gone.push("many/none".to_owned());
    let refused = bucket.delete(&gone)?;
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(keys("many")?, [""; 0]);
    assert_eq!(keys("a")?.len(), 3);
    if let Some(unfinished) = bucket.unfinished("")? {
        assert_eq!(unfinished, []);
    }
    Ok(())
}
