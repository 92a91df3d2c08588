//! Every request of a backup to a store and of a restore from it fails once, in every way.

use std::time::Duration;

use couchcopy_tests::Result;
use couchcopy_tests::fault_proxy::{Fault, FaultProxy};
use couchcopy_tests::object_servers::S3;

use super::run::{Couchcopy, STORE, bucket, data, node, restored};

fn temporary() -> Vec<Fault> {
    Fault::temporary(Duration::from_millis(200))
}

/// The proxy in front of a bucket, the bucket itself, and the command through each.
struct Setting {
    proxy: FaultProxy,
    direct: S3,
    through: Couchcopy,
    beside: Couchcopy,
}

fn setting(name: &str) -> Result<Option<Setting>> {
    let Some(direct) = bucket(name)? else { return Ok(None) };
    let Some(store) = &*STORE else { return Ok(None) };
    let proxy = FaultProxy::start(&store.endpoint())?;
    let through = Couchcopy::with(direct.at(&proxy.endpoint()).environment());
    let beside = Couchcopy::with(direct.environment());
    Ok(Some(Setting { proxy, direct, through, beside }))
}

#[test]
fn a_backup_is_whole_or_not_there() -> Result<()> {
    let Some(Setting { proxy, direct, through, beside }) = setting("upload-faults")? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let data = node(&data(dir.path())?);
    through.expect(0, &["backup", &data, "s3://upload-faults/first"])?;
    let requests = proxy.count();
    assert!(requests >= 6, "{:?}", proxy.requests());
    for number in 0..requests {
        for (which, fault) in temporary().into_iter().enumerate() {
            let key = format!("k-{number}-{which}");
            let archive = format!("s3://upload-faults/{key}");
            let about = format!("{fault:?} at request {number}");
            proxy.fault_at(number, fault);
            let ended = through.run(&["backup", &data, &archive])?;
            proxy.clear_faults();
            let there = direct.list("upload-faults", &key)?.len();
            match ended.code {
                Some(0) => {
                    assert_eq!(there, 1, "{about}");
                    beside.expect(0, &["verify", &archive])?;
                    direct.delete("upload-faults", &key)?;
                }
                _ => assert_eq!(there, 0, "{about}: {ended:?}"),
            }
            assert_eq!(ended.code, Some(0), "{about}: one fault was not survived: {ended:?}");
            let orphans = direct.uploads("upload-faults", "")?;
            assert_eq!(orphans.len(), 0, "{about}: {orphans:?}");
        }
    }
    Ok(())
}

#[test]
fn a_backup_that_is_refused_leaves_nothing_that_clean_does_not_find() -> Result<()> {
    let Some(Setting { proxy, direct, through, beside }) = setting("refused-uploads")? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let data = node(&data(dir.path())?);
    through.expect(0, &["backup", &data, "s3://refused-uploads/first"])?;
    let requests = proxy.count();
    // The last request looks at the object that is complete.
    for number in 0..requests - 1 {
        let archive = format!("s3://refused-uploads/k-{number}");
        proxy.fault_from(number, 10_000, Fault::Error(403, "AccessDenied"));
        let ended = through.run(&["backup", &data, &archive])?.unwrapped();
        proxy.clear_faults();
        assert_eq!(ended.code, Some(7), "request {number}: {ended:?}");
        assert!(ended.stderr.contains("CC-O08"), "request {number}: {ended:?}");
        assert_eq!(direct.list("refused-uploads", &format!("k-{number}"))?.len(), 0, "request {number}");
    }
    // Nobody was allowed to give the uploads up.
    assert_ne!(direct.uploads("refused-uploads", "")?.len(), 0);
    let kept = beside.json(&["clean", "s3://refused-uploads/"])?;
    assert_eq!(kept["removed"].as_array().map(Vec::len), Some(0), "{kept}");
    beside.expect(0, &["clean", "--unfinished-for", "0", "s3://refused-uploads/"])?;
    assert_eq!(direct.uploads("refused-uploads", "")?.len(), 0);
    Ok(())
}

#[test]
fn a_restore_is_right_or_refused() -> Result<()> {
    let Some(Setting { proxy, through, beside, .. }) = setting("restore-faults")? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let data = node(&data(dir.path())?);
    let archive = "s3://restore-faults/k";
    beside.expect(0, &["backup", &data, archive])?;
    let right = restored(&beside, archive, &[])?;
    let before = proxy.count();
    assert!(restored(&through, archive, &[])? == right);
    let requests = proxy.count() - before;
    for number in 0..requests {
        for fault in temporary() {
            let about = format!("{fault:?} at request {number}");
            proxy.fault_at(number, fault);
            let files = restored(&through, archive, &[]).map_err(|error| format!("{about}: {error}"))?;
            proxy.clear_faults();
            assert!(files == right, "{about}: other files");
        }
        proxy.fault_at(number, Fault::GarbleBody);
        let files = restored(&through, archive, &[]);
        proxy.clear_faults();
        assert!(files.is_err() || files? == right, "garbled at request {number}: other files");
    }
    Ok(())
}
