//! The proxy that fails as told, in front of a real object store.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use couchcopy_tests::Result;
use couchcopy_tests::fault_proxy::{Fault, FaultProxy};
use couchcopy_tests::object_servers::{S3, SeaweedFs};

/// Tests share one store, each with a bucket of its own.
static STORE: LazyLock<Option<SeaweedFs>> = LazyLock::new(SeaweedFs::start);

/// The store, a proxy in front of it, and the admin at both.
fn set_up(bucket: &str) -> Result<Option<(FaultProxy, S3, S3)>> {
    let Some(store) = &*STORE else { return Ok(None) };
    store.create_bucket(bucket)?;
    let proxy = FaultProxy::start(&store.endpoint())?;
    let direct = store.s3();
    let through = direct.at(&proxy.endpoint());
    Ok(Some((proxy, direct, through)))
}

/// Data that differ from byte to byte.
fn data(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

#[test]
fn without_faults_all_comes_through() -> Result<()> {
    let Some((proxy, direct, through)) = set_up("plain")? else { return Ok(()) };
    let large = data(3_000_000);
    through.put("plain", "large", &large)?;
    assert_eq!(through.get("plain", "large")?.as_deref(), Some(&large[..]));
    assert_eq!(through.get_range("plain", "large", 1000, 1999)?, large[1000..2000]);
    assert_eq!(
        through.request("HEAD", "/plain/large", &[], &[], b"")?.header("content-length"),
        Some("3000000")
    );
    assert_eq!(through.list("plain", "")?, direct.list("plain", "")?);
    through.delete("plain", "large")?;
    assert_eq!(through.get("plain", "large")?, None);
    let requests = proxy.requests();
    let told: Vec<_> = requests.iter().map(|r| (r.method.as_str(), r.status, r.up)).collect();
    assert_eq!(
        told,
        [
            ("PUT", Some(200), 3_000_000),
            ("GET", Some(200), 0),
            ("GET", Some(206), 0),
            ("HEAD", Some(200), 0),
            ("GET", Some(200), 0),
            ("DELETE", Some(204), 0),
            ("GET", Some(404), 0),
        ]
    );
    assert_eq!(requests.iter().map(|r| r.down).collect::<Vec<_>>()[..4], [0, 3_000_000, 1000, 0]);
    assert_eq!(requests[2].range.as_deref(), Some("bytes=1000-1999"));
    assert_eq!(requests[4].target, "/plain?list-type=2&prefix=");
    assert_eq!(proxy.count(), 7);
    Ok(())
}

#[test]
fn a_request_fails_before_it_is_sent() -> Result<()> {
    let Some((proxy, direct, through)) = set_up("before")? else { return Ok(()) };
    proxy.fault_at(1, Fault::FailBefore);
    through.put("before", "first", b"1")?;
    assert!(through.put("before", "second", b"2").is_err());
    through.put("before", "third", b"3")?;
    assert_eq!(direct.get("before", "second")?, None);
    assert_eq!(direct.list("before", "")?.len(), 2);
    let requests = proxy.requests();
    assert_eq!((requests[1].fault, requests[1].status, requests[1].up), (Some(Fault::FailBefore), None, 0));
    assert_eq!(proxy.faults_left(), 0);
    Ok(())
}

#[test]
fn a_request_is_done_but_its_answer_is_lost() -> Result<()> {
    let Some((proxy, direct, through)) = set_up("after")? else { return Ok(()) };
    proxy.fault_at(0, Fault::FailAfterSuccess);
    assert!(through.put("after", "key", b"1").is_err());
    assert_eq!(direct.get("after", "key")?.as_deref(), Some(&b"1"[..]));
    let first = &proxy.requests()[0];
    assert_eq!((first.status, first.up, first.down), (None, 1, 0));
    // What clients must cope with: to try again tells of their own work.
    let again = through.request("PUT", "/after/key", &[], &[("If-None-Match", "*")], b"1")?;
    assert_eq!(again.status, 412);
    Ok(())
}

#[test]
fn an_answer_is_cut() -> Result<()> {
    let Some((proxy, direct, through)) = set_up("cut")? else { return Ok(()) };
    direct.put("cut", "key", &data(100_001))?;
    proxy.fault_from(0, 3, Fault::CutBody);
    let error = through.get("cut", "key").err().map(|e| e.to_string());
    assert_eq!(error.as_deref(), Some("the connection ended after 50000 of 100001 bytes"));
    assert!(through.list("cut", "").is_err());
    assert!(through.request("HEAD", "/cut/key", &[], &[], b"").is_err());
    assert_eq!(through.get("cut", "key")?.map(|data| data.len()), Some(100_001));
    let first = &proxy.requests()[0];
    assert_eq!((first.status, first.down), (Some(200), 50_000));
    Ok(())
}

#[test]
fn an_answer_is_garbled() -> Result<()> {
    let Some((proxy, direct, through)) = set_up("garbled")? else { return Ok(()) };
    let mut expected = data(10_000);
    direct.put("garbled", "key", &expected)?;
    proxy.fault_at(0, Fault::GarbleBody);
    let came = through.get("garbled", "key")?;
    assert_eq!(through.get("garbled", "key")?.as_deref(), Some(&expected[..]));
    expected[5000] ^= 1;
    assert_eq!(came, Some(expected));
    Ok(())
}

#[test]
fn an_answer_is_late() -> Result<()> {
    let Some((proxy, direct, through)) = set_up("slow")? else { return Ok(()) };
    proxy.fault_at(0, Fault::Slow(Duration::from_millis(700)));
    let begun = Instant::now();
    through.put("slow", "key", b"1")?;
    assert!(begun.elapsed() >= Duration::from_millis(700));
    assert_eq!(direct.get("slow", "key")?.as_deref(), Some(&b"1"[..]));
    Ok(())
}

#[test]
fn the_proxy_answers_itself() -> Result<()> {
    let Some((proxy, direct, through)) = set_up("status")? else { return Ok(()) };
    let faults = [
        (Fault::Status(503), 503, "SlowDown"),
        (Fault::Status(403), 403, "ExpiredToken"),
        (Fault::Status(412), 412, "PreconditionFailed"),
        (Fault::Error(400, "ExpiredToken"), 400, "ExpiredToken"),
    ];
    for (fault, ..) in faults {
        proxy.fault_at(proxy.faults_left(), fault);
    }
    for (_, status, name) in faults {
        let answer = through.request("PUT", "/status/key", &[], &[], &data(100_000))?;
        assert_eq!(answer.status, status);
        assert!(answer.text().contains(&format!("<Code>{name}</Code>")), "{}", answer.text());
    }
    assert_eq!(direct.get("status", "key")?, None);
    proxy.fault_on(|request| request.method == "HEAD", 0, 1, Fault::Status(503));
    assert_eq!(through.request("GET", "/status/key", &[], &[], b"")?.status, 404);
    let answer = through.request("HEAD", "/status/key", &[], &[], b"")?;
    assert_eq!((answer.status, answer.body.len()), (503, 0));
    Ok(())
}

#[test]
fn an_upload_is_cut() -> Result<()> {
    let Some((proxy, direct, through)) = set_up("upload")? else { return Ok(()) };
    proxy.fault_from(0, 2, Fault::CutUpload);
    assert!(through.put("upload", "key", &data(1_000_001)).is_err());
    assert!(through.get("upload", "key").is_err());
    let up: Vec<u64> = proxy.requests().iter().map(|request| request.up).collect();
    assert_eq!(up, [500_000, 0]);
    // A moment for the server to do what it must not do.
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(direct.get("upload", "key")?, None);
    through.put("upload", "key", &data(1_000_001))?;
    Ok(())
}

#[test]
fn a_held_request_is_not_forwarded_before_it_is_let_go() -> Result<()> {
    let Some((proxy, direct, through)) = set_up("held")? else { return Ok(()) };
    proxy.fault_at(0, Fault::Held);
    std::thread::scope(|scope| {
        let put = scope.spawn(|| through.put("held", "first", b"1"));
        while proxy.held() == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Others go on.
        through.put("held", "second", b"2")?;
        assert_eq!(direct.get("held", "first")?, None);
        assert!(!put.is_finished());
        proxy.release();
        put.join().map_err(|_| "it panicked")??;
        assert_eq!(proxy.held(), 0);
        assert_eq!(direct.get("held", "first")?.as_deref(), Some(&b"1"[..]));
        Ok(())
    })
}
