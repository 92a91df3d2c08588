//! What a store, or the absence of credentials, refuses at the first request: at once, with the reason and the remedy.

use std::process::Command;

use couchcopy_tests::Result;
use couchcopy_tests::fault_proxy::{Fault, FaultProxy};
use couchcopy_tests::lab::{Ended, skipped};
use couchcopy_tests::object_servers::{RadosGateway, RefusingServer, S3};

use super::run::{Couchcopy, bucket, node, small_data};

/// The answers that Amazon documents.
const OTHER_REGION: &str = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; \
    the region 'us-east-1' is wrong; expecting 'eu-central-1'</Message><Region>eu-central-1</Region>\
    <RequestId>1</RequestId><HostId>h</HostId></Error>";
const SKEWED: &str = "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current \
    time is too large.</Message><RequestTime>20261129T080000Z</RequestTime><ServerTime>2026-11-29T09:00:00Z</ServerTime>\
    <MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds><RequestId>1</RequestId><HostId>h</HostId></Error>";
const NO_CHECKSUM: &str = "<Error><Code>InvalidRequest</Code><Message>Content-MD5 OR x-amz-checksum- HTTP header is required for \
    Put Object requests with Object Lock parameters</Message><RequestId>1</RequestId><HostId>h</HostId></Error>";

/// Fails unless an error has all of these words.
fn says(ended: Ended, words: &[&str]) {
    let ended = ended.unwrapped();
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} is missing: {ended:?}");
    }
}

#[test]
fn without_credentials_it_says_which_to_set() -> Result<()> {
    let nothing = Couchcopy::with(Vec::new());
    let ended = nothing.expect(7, &["verify", "s3://backups/k"])?;
    says(
        ended,
        &["CC-O04", "s3://backups", "AWS_EC2_METADATA_DISABLED", "Set AWS_ACCESS_KEY_ID and AWS_SECRET"],
    );
    let ended = nothing.expect(7, &["verify", "az://backups/k"])?;
    says(ended, &["CC-O04", "az://backups", "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"]);
    Ok(())
}

/// A machine that has no identity is not asked for it for minutes.
#[test]
fn a_machine_without_identity_is_soon_given_up() -> Result<()> {
    let silent = FaultProxy::start("http://127.0.0.1:1")?;
    silent.fault_from(0, 1000, Fault::FailBefore);
    let asking = Couchcopy::with(vec![
        ("AWS_EC2_METADATA_DISABLED".to_owned(), "false".to_owned()),
        ("AWS_METADATA_ENDPOINT".to_owned(), silent.endpoint()),
        ("AWS_REGION".to_owned(), "us-east-1".to_owned()),
    ]);
    says(
        asking.expect(7, &["verify", "s3://backups/k"])?,
        &["CC-O04", "s3://backups/k", "AWS_ACCESS_KEY_ID"],
    );
    assert!((1..=4).contains(&silent.count()), "{:?}", silent.requests());
    Ok(())
}

#[test]
fn another_region_is_named() -> Result<()> {
    let server = RefusingServer::start(400, OTHER_REGION)?;
    let couchcopy = Couchcopy::with(server.s3().environment());
    let ended = couchcopy.expect(7, &["verify", "s3://backups/k"])?;
    says(ended, &["CC-O03", "s3://backups/k", "expecting 'eu-central-1'", "Set AWS_REGION"]);
    assert_eq!(server.methods().len(), 1, "it was asked again: {:?}", server.methods());
    Ok(())
}

#[test]
fn a_wrong_clock_is_named() -> Result<()> {
    let server = RefusingServer::start(403, SKEWED)?;
    let couchcopy = Couchcopy::with(server.s3().environment());
    let ended = couchcopy.expect(7, &["verify", "s3://backups/k"])?;
    says(ended, &["CC-O07", "s3://backups/k", "RequestTimeTooSkewed", "timedatectl"]);
    assert_eq!(server.methods().len(), 1, "it was asked again: {:?}", server.methods());
    Ok(())
}

#[test]
fn a_checksum_that_the_store_wants_is_named() -> Result<()> {
    let server = RefusingServer::start(400, NO_CHECKSUM)?;
    let couchcopy = Couchcopy::with(server.s3().environment());
    let dir = tempfile::tempdir()?;
    let node = node(&small_data(dir.path())?);
    let ended = couchcopy.expect(5, &["backup", "--overwrite", &node, "s3://backups/k"])?;
    says(ended, &["CC-O16", "s3://backups/k", "AWS_CHECKSUM_ALGORITHM=sha256"]);
    Ok(())
}

/// Real servers, and a command that believes it is an hour earlier.
#[test]
fn real_stores_refuse_a_wrong_clock() -> Result<()> {
    if Command::new("faketime").arg("--version").output().is_err() {
        skipped("no faketime in the path, with which a command has another time");
        return Ok(());
    }
    let ceph = RadosGateway::start();
    let mut stores: Vec<S3> = bucket("skewed")?.into_iter().collect();
    if let Some(ceph) = &ceph {
        ceph.s3().create_bucket("skewed")?;
        stores.push(ceph.s3());
    }
    let dir = tempfile::tempdir()?;
    let node = node(&small_data(dir.path())?);
    for s3 in stores {
        let an_hour_ago = |arguments: &[&str]| -> Result<Ended> {
            let right = Couchcopy::with(s3.environment()).command(arguments)?;
            let mut command = Command::new("faketime");
            command.args(["-f", "-1h"]).arg(right.get_program()).args(right.get_args());
            for (name, value) in right.get_envs() {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
            couchcopy_tests::lab::run(&mut command)
        };
        let ended = an_hour_ago(&["verify", "s3://skewed/k"])?;
        assert_eq!(ended.code, Some(7), "{ended:?}");
        says(ended, &["CC-O07", "s3://skewed/k", "RequestTimeTooSkewed", "timedatectl"]);
        let ended = an_hour_ago(&["backup", &node, "s3://skewed/k"])?;
        assert_eq!(ended.code, Some(7), "{ended:?}");
        says(ended, &["CC-O07", "s3://skewed/k", "RequestTimeTooSkewed", "timedatectl"]);
        assert_eq!(s3.list("skewed", "")?, []);
    }
    Ok(())
}
