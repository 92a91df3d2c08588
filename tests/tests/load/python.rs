//! Unbranded archives are for the Python couchcopy (0.2.4), which loads and restores them.

use std::fs;
use std::path::Path;
use std::process::Command;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Installation, couchcopy, python_couchcopy, run, skipped};

use super::archives::single_node;

/// Loads an archive with the Python couchcopy, asks CouchDB for documents, and ends both. Of its own the machine's
/// configuration of CouchDB is needed, and a `couchdb` in PATH; the rest is thrown away with the namespaces.
const LOAD: &str = r#"
set -e
mount --make-rprivate /
mkdir "$WORK/etc"
cp -a /etc/. "$WORK/etc"
mount --bind "$WORK/etc" /etc
rm -rf /etc/couchdb
cp -r "$COUCHDB/etc" /etc/couchdb
PATH=$COUCHDB/bin:$PATH
export HOME=$WORK
"$PYTHON" load --admin adm:secret --tmp-dir "$WORK" "$ARCHIVE" >"$WORK/told" 2>&1 &
tries=0
until url=$(grep -o 'http://[^ ]*' "$WORK/told"); do
  tries=$((tries + 1))
  [ $tries -lt 600 ] || { cat "$WORK/told"; exit 1; }
  sleep 0.1
done
cat "$WORK/told"
until curl -sf "$url/_up" >/dev/null; do sleep 0.1; done
curl -s "$url/_membership"
for db in q1n1 views; do curl -s "$url/$db"; done
"#;

/// Whether this machine lets us make namespaces.
fn namespaces() -> bool {
    let made = run(Command::new("unshare").args(["-m", "-p", "-f", "true"]));
    let may = made.is_ok_and(|ended| ended.code == Some(0));
    if !may {
        skipped("no namespaces here for the Python couchcopy's configuration");
    }
    may
}

fn load(couchdb: &Installation, python: &Path, archive: &Path) -> Result<String> {
    let work = tempfile::tempdir()?;
    run(Command::new("unshare")
        .args(["-m", "-p", "-f", "--kill-child", "--mount-proc", "sh", "-c", LOAD])
        .env("WORK", work.path())
        .env("COUCHDB", &couchdb.home)
        .env("PYTHON", python)
        .env("ARCHIVE", archive))?
    .success()
}

#[test]
fn loads_without_changing_a_shard_map() -> Result<()> {
    let (Some(couchdb), Some(python)) = (Installation::find(), python_couchcopy()) else { return Ok(()) };
    if !namespaces() {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let archive = single_node(dir.path())?;
    let new = dir.path().join("new.tar.gz");
    let told = couchcopy(&["unbrand".as_ref(), archive.as_os_str(), new.as_os_str(), "--json".as_ref()])?
        .success()?;
    let node =
        serde_json::from_str::<serde_json::Value>(&told)?["node"].as_str().ok_or("no node")?.to_owned();
    let told = load(&couchdb, &python, &new)?;
    assert!(told.contains("already good"), "{told}");
    assert!(told.contains(&format!("\"cluster_nodes\":[\"{node}\"]")), "{told}");
    for db in ["q1n1", "views"] {
        let line =
            told.lines().find(|line| line.contains(&format!("\"db_name\":\"{db}\""))).unwrap_or_default();
        assert!(line.contains("doc_count") && !line.contains("\"doc_count\":0,"), "{told}");
    }
    assert!(fs::metadata(&new)?.len() > 0);
    Ok(())
}
