//! Google's protocol, against a server that is part of the tests: what is sent, and that everything reads what was sent.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use couchcopy_tests::Result;
use couchcopy_tests::lab::skipped;
use couchcopy_tests::object_servers::{Google, GoogleRequest};
use serde_json::{Value, json};

use super::run::{Couchcopy, data, node, restored, small_data};

const TOKEN: &str = "token-of-the-tests";
/// The condition that there is no object yet.
const CREATE_ONLY: (&str, &str) = ("x-goog-if-generation-match", "0");

/// Method, names in the query, number of the part, and whether only a new object may be written.
fn shape(request: &GoogleRequest) -> String {
    let query: Vec<String> = request
        .query
        .iter()
        .map(|(name, value)| if name == "partNumber" { format!("{name}={value}") } else { name.clone() })
        .collect();
    let create_only = if has(request, CREATE_ONLY) { " create-only" } else { "" };
    format!("{} {} {}{create_only}", request.method, query.join("&"), request.status)
}

fn has(request: &GoogleRequest, (name, value): (&str, &str)) -> bool {
    request.headers.iter().any(|header| header.0 == name && header.1 == value)
}

fn names(request: &GoogleRequest, name: &str) -> bool {
    request.headers.iter().any(|header| header.0 == name)
}

#[test]
fn what_an_upload_asks_of_google() -> Result<()> {
    let google = Google::start(Some(TOKEN))?;
    google.create_bucket("backups");
    let dir = tempfile::tempdir()?;
    let couchcopy = Couchcopy::with(google.environment(dir.path())?);
    couchcopy.expect(0, &["backup", &node(&data(dir.path())?), "gs://backups/a/k.tar.gz"])?;
    let requests = google.requests();
    for request in &requests {
        assert_eq!(request.authorization.as_deref(), Some("Bearer token-of-the-tests"), "{request:?}");
        assert_eq!(request.path, "/backups/a/k.tar.gz");
    }
    let (mut parts, others): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request.method == "PUT");
    // Google refuses conditions on uploads in parts, so the object is looked for before they are put together.
    let shapes = |requests: &[&GoogleRequest]| requests.iter().map(|r| shape(r)).collect::<Vec<_>>();
    assert_eq!(
        shapes(&others),
        ["HEAD  404", "POST uploads 200", "HEAD  404", "POST uploadId 200", "HEAD  200"]
    );
    assert!(names(others[1], "x-goog-meta-couchcopy-upload"), "{:?}", others[1]);
    // Parts are on their way at the same time.
    parts.sort_by_key(|request| request.query.clone());
    assert_eq!(
        shapes(&parts),
        ["PUT partNumber=1&uploadId 200", "PUT partNumber=2&uploadId 200", "PUT partNumber=3&uploadId 200"]
    );
    let sizes: Vec<usize> = parts.iter().map(|request| request.length).collect();
    assert_eq!(sizes[..2], [8 << 20, 8 << 20]);
    assert!((1..=8 << 20).contains(&sizes[2]), "{sizes:?}");
    let stored = google.get("backups", "a/k.tar.gz").ok_or("nothing is there")?;
    assert_eq!(stored.len(), sizes.iter().sum::<usize>());
    assert_eq!(google.unfinished(), 0);

    // An object in one piece is only created, unless it may replace another.
    let small = node(&small_data(&dir.path().join("small"))?);
    google.clear_requests();
    couchcopy.expect(0, &["backup", &small, "gs://backups/small"])?;
    couchcopy.expect(0, &["backup", "--overwrite", &small, "gs://backups/small"])?;
    couchcopy.expect(5, &["backup", &small, "gs://backups/small"])?;
    assert_eq!(
        shapes(&google.requests().iter().collect::<Vec<_>>()),
        ["HEAD  404", "PUT  200 create-only", "HEAD  200", "PUT  200", "HEAD  200", "HEAD  200"]
    );
    Ok(())
}

#[test]
fn everything_reads_an_archive_at_google() -> Result<()> {
    let google = Google::start(None)?;
    google.create_bucket("backups");
    let dir = tempfile::tempdir()?;
    let (data, couchcopy) = (node(&data(dir.path())?), Couchcopy::with(google.environment(dir.path())?));
    let (remote, local) = ("gs://backups/k.tar.gz", dir.path().join("k.tar.gz"));
    let local = local.to_str().ok_or("not text")?;
    couchcopy.expect(0, &["backup", &data, remote])?;
    couchcopy.expect(0, &["backup", &data, local])?;
    couchcopy.expect(0, &["verify", remote])?;
    assert_eq!(couchcopy.json(&["info", remote])?["documents"], 5200);
    let first = couchcopy.expect(0, &["ls", remote, "bulk-000001", "--ids", "--limit", "1"])?.stdout;
    google.clear_requests();
    let document = |archive| couchcopy.expect(0, &["get", archive, "bulk-000001", first.trim()]);
    assert_eq!(document(remote)?.stdout, document(local)?.stdout);
    let requests = google.requests();
    assert!(requests.len() <= 6, "{requests:#?}");
    for (i, request) in requests.iter().enumerate() {
        assert_eq!((request.method.as_str(), request.status), ("GET", 206), "{request:?}");
        // The first answer says which version it is.
        assert!(names(request, "range") && (i == 0 || names(request, "if-match")), "{request:?}");
    }
    assert!(restored(&couchcopy, remote, &[])? == restored(&couchcopy, local, &[])?);
    Ok(())
}

#[test]
fn what_google_refuses_is_named() -> Result<()> {
    let google = Google::start(Some(TOKEN))?;
    google.create_bucket("backups");
    let dir = tempfile::tempdir()?;
    let mut environment = google.environment(dir.path())?;
    let right = Couchcopy::with(environment.clone());
    environment.retain(|(name, _)| name != "GOOGLE_BEARER_TOKEN");
    let wrong = Couchcopy::with(environment);
    for (couchcopy, words, code, exit) in [
        (&right, ["verify", "gs://no-such-bucket/k"], "CC-O01", 7),
        (&right, ["verify", "gs://backups/nothing"], "CC-O02", 7),
        (&wrong, ["verify", "gs://backups/nothing"], "CC-O05", 7),
        (&right, ["clean", "gs://backups/"], "CC-O22", 5),
    ] {
        let ended = couchcopy.expect(exit, &words)?.unwrapped();
        assert!(ended.stderr.contains(code) && ended.stderr.contains(words[1]), "{words:?}: {ended:?}");
    }
    Ok(())
}

/// A service account's key signs a token, without a request for one.
#[test]
fn a_service_account_signs_its_requests() -> Result<()> {
    let arguments = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    let Ok(made) = Command::new("openssl").args(arguments).output() else {
        skipped("no openssl in the path, which makes the key of a service account");
        return Ok(());
    };
    let google = Google::start(None)?;
    google.create_bucket("backups");
    let dir = tempfile::tempdir()?;
    let account = json!({
        "type": "service_account", "client_email": "backup@project.iam.gserviceaccount.com",
        "private_key_id": "id-of-the-key", "private_key": String::from_utf8(made.stdout)?,
        "gcs_base_url": google.endpoint(),
    });
    let file = dir.path().join("account.json");
    std::fs::write(&file, account.to_string())?;
    let variable = ("GOOGLE_SERVICE_ACCOUNT".to_owned(), file.display().to_string());
    let couchcopy = Couchcopy::with(vec![variable]);
    couchcopy.expect(0, &["backup", &node(&small_data(dir.path())?), "gs://backups/k"])?;
    couchcopy.expect(0, &["verify", "gs://backups/k"])?;
    for request in google.requests() {
        let token = request.authorization.as_deref().and_then(|text| text.strip_prefix("Bearer "));
        let parts: Vec<&str> = token.unwrap_or_default().split('.').collect();
        let [head, claims, signature] = parts[..] else { return Err(format!("no token: {parts:?}").into()) };
        let decoded =
            |text: &str| -> Result<Value> { Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text)?)?) };
        assert_eq!(decoded(head)?["kid"], "id-of-the-key");
        assert_eq!(decoded(claims)?["iss"], account["client_email"]);
        assert_eq!(URL_SAFE_NO_PAD.decode(signature)?.len(), 256);
    }
    Ok(())
}
