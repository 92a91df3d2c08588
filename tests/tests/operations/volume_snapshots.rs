//! The manifest for backups from snapshots of volumes. With an API server of Kubernetes, and nothing that makes snapshots.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use couchcopy_tests::isolated::{Couchcopy, ended};
use couchcopy_tests::kubernetes::ApiServer;
use couchcopy_tests::{Result, fixtures};
use serde_json::Value;

use crate::kubernetes::{apply, everybody_and, rights, with};
use crate::site::{IDENTITY, RECIPIENT, Site, configuration_in};

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/kubernetes/snapshots.yaml");

const SNAPSHOTS: &str = "volumesnapshots.snapshot.storage.k8s.io";

/// As much of the definition of a VolumeSnapshot as the manifest uses.
const DEFINITION: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: volumesnapshots.snapshot.storage.k8s.io
  annotations: { api-approved.kubernetes.io: 'unapproved, for a test' }
spec:
  group: snapshot.storage.k8s.io
  names: { kind: VolumeSnapshot, plural: volumesnapshots, singular: volumesnapshot }
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      subresources: { status: {} }
      schema:
        openAPIV3Schema:
          type: object
          required: [spec]
          properties:
            spec:
              type: object
              required: [source]
              properties:
                source:
                  type: object
                  required: [persistentVolumeClaimName]
                  properties: { persistentVolumeClaimName: { type: string } }
            status:
              type: object
              properties:
                readyToUse: { type: boolean }
                error: { type: object, properties: { message: { type: string } } }
";

/// The manifest, and what a VolumeSnapshot is.
fn applied(folder: &Path) -> Result<Option<ApiServer>> {
    let Some(server) = with(MANIFEST)? else { return Ok(None) };
    let file = folder.join("definition.yaml");
    std::fs::write(&file, DEFINITION)?;
    apply(&server, &file.display().to_string())?;
    let wait = ["wait", "--for=condition=Established", "--timeout=60s"];
    server.kubectl(&[&wait[..], &[&format!("customresourcedefinition/{SNAPSHOTS}")]].concat())?.success()?;
    Ok(Some(server))
}

/// An object in the namespace.
fn object(server: &ApiServer, kind: &str, name: &str) -> Result<Value> {
    let text = server.kubectl(&["get", kind, name, "--namespace=couchdb", "--output=json"])?.success()?;
    Ok(serde_json::from_str(&text)?)
}

/// Writes what the pods have in `/config`.
fn unpack(server: &ApiServer, folder: &Path) -> Result<()> {
    let map = object(server, "configmap", "couchcopy-snapshots")?;
    for (name, content) in map["data"].as_object().into_iter().flatten() {
        std::fs::write(folder.join(name), content.as_str().unwrap_or_default())?;
    }
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn the_manifest_is_accepted_and_its_roles_allow_nothing_more() -> Result<()> {
    let Some(server) = with(MANIFEST)? else { return Ok(()) };
    let told = apply(&server, MANIFEST)?;
    assert_eq!(told.lines().filter(|line| line.ends_with(" unchanged")).count(), 10, "{told}");
    let named = |verbs: &str| (0..3).map(|n| format!("{SNAPSHOTS} [couchcopy-{n}] [{verbs}]")).collect();
    let mut makes: Vec<String> = named("delete get list watch");
    makes.push(format!("{SNAPSHOTS} [] [create]"));
    for (account, allowed) in [("couchcopy-snapshots", makes), ("couchcopy-from-snapshots", named("get"))] {
        assert_eq!(rights(&server, account, "couchdb")?, everybody_and(&allowed), "{account}");
        for elsewhere in ["default", "kube-system"] {
            assert_eq!(rights(&server, account, elsewhere)?, everybody_and(&[]), "{account}, {elsewhere}");
        }
    }
    Ok(())
}

/// Each name leads from the claim of a pod to the directory of its node.
#[test]
fn every_snapshot_gets_to_its_node() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(server) = applied(folder.path())? else { return Ok(()) };
    unpack(&server, folder.path())?;
    let file = folder.path().join("snapshots.yaml").display().to_string();
    let columns = r#"jsonpath={.metadata.name} of {.spec.source.persistentVolumeClaimName}{"\n"}"#;
    let made =
        ["create", "--namespace=couchdb", "--dry-run=server", "--output", columns, "--filename", &file];
    let made = server.kubectl(&made)?.success()?;
    let job = object(&server, "cronjob", "couchcopy-from-snapshots")?;
    let pod = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let found = |list: &Value, name: &str| -> Value {
        let mut all = list.as_array().into_iter().flatten();
        all.find(|one| one["name"] == name).cloned().unwrap_or_default()
    };
    let configuration = std::fs::read_to_string(folder.path().join("couchcopy.toml"))?;
    for (number, line) in made.lines().enumerate() {
        assert_eq!(line, format!("couchcopy-{number} of database-storage-couchdb-couchdb-{number}"));
        let volume = format!("node-{number}");
        let claim = &found(&pod["volumes"], &volume)["ephemeral"]["volumeClaimTemplate"]["spec"];
        let source = &claim["dataSource"];
        assert_eq!(
            [text(&source["apiGroup"]), text(&source["kind"]), text(&source["name"])],
            ["snapshot.storage.k8s.io", "VolumeSnapshot", &format!("couchcopy-{number}")]
        );
        let mount = found(&pod["containers"][0]["volumeMounts"], &volume);
        let path = format!("/nodes/couchdb-couchdb-{number}");
        assert!(mount["mountPath"] == path.as_str() && mount["readOnly"] == true, "{mount}");
        let name = format!("couchdb@couchdb-couchdb-{number}.couchdb-couchdb.couchdb.svc.cluster.local");
        let node = format!("name = \"{name}\"\nhost = \"localhost\"\ndata = \"{path}\"\n");
        assert!(configuration.contains(&node), "{node}");
    }
    assert_eq!(made.lines().count(), 3);
    // The source of the backups in a repository has the name of the machine.
    assert_eq!(pod["hostname"], "couchcopy");
    Ok(())
}

/// What the jobs run, with the accounts of the jobs.
#[test]
fn snapshots_are_made_anew_and_old_ones_are_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(server) = applied(folder.path())? else { return Ok(()) };
    unpack(&server, folder.path())?;
    let script = |name: &str| folder.path().join(name).display().to_string();
    let uids = || -> Result<Vec<Value>> {
        let names = (0..3).map(|number| format!("couchcopy-{number}"));
        names.map(|name| Ok(object(&server, SNAPSHOTS, &name)?["metadata"]["uid"].clone())).collect()
    };
    let set = |number: usize, status: &str| {
        let (name, status) = (format!("couchcopy-{number}"), format!(r#"{{"status":{status}}}"#));
        let patch =
            ["patch", SNAPSHOTS, &name, "--namespace=couchdb", "--subresource=status", "--type=merge"];
        server.kubectl(&[&patch[..], &["--patch", &status]].concat())
    };
    let makes = Couchcopy::with(server.environment_of("couchdb", "couchcopy-snapshots")?);
    let reads = Couchcopy::with(server.environment_of("couchdb", "couchcopy-from-snapshots")?);

    // Before there are any, and where they do not get ready in time.
    let missing = ended(&mut reads.program("sh", &[&script("check.sh")])?)?;
    assert!(missing.code != Some(0) && missing.stderr.contains("\"couchcopy-0\" not found"), "{missing:?}");
    let impatient = std::fs::read_to_string(script("take.sh"))?.replace("+ 900", "+ 0");
    std::fs::write(script("impatient.sh"), impatient)?;
    let late = ended(&mut makes.program("sh", &[&script("impatient.sh")])?)?;
    assert!(late.code == Some(1) && late.stderr.contains("not all snapshots are ready to use"), "{late:?}");
    let yesterday = uids()?;

    // All are made anew, and it ends as soon as all are ready. An error goes away if what makes snapshots tries again.
    let mut take = makes.program("sh", &[&script("take.sh")])?;
    let mut running = take.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let renewed = || uids().is_ok_and(|now| now.iter().all(|uid| !yesterday.contains(uid)));
    while !renewed() && running.try_wait()?.is_none() {
        std::thread::sleep(Duration::from_millis(100));
    }
    for number in 0..3 {
        assert_eq!(running.try_wait()?, None, "it ended before {number}");
        set(number, r#"{"error":{"message":"the disk is busy"}}"#)?.success()?;
        set(number, r#"{"readyToUse":true,"error":null}"#)?.success()?;
    }
    let output = running.wait_with_output()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && told.lines().filter(|line| line.contains(" true ")).count() == 3,
        "{told}"
    );

    let fresh = ended(&mut reads.program("sh", &[&script("check.sh")])?)?;
    assert!(fresh.code == Some(0) && fresh.stdout.lines().count() == 3, "{fresh:?}");
    let strict = std::fs::read_to_string(script("check.sh"))?.replace("-ge 43200", "-ge 0");
    std::fs::write(script("strict.sh"), strict)?;
    let old = ended(&mut reads.program("sh", &[&script("strict.sh")])?)?;
    assert!(old.code == Some(1) && old.stderr.contains("no new one has been made since"), "{old:?}");
    server.kubectl(&["delete", SNAPSHOTS, "couchcopy-1", "--namespace=couchdb"])?.success()?;
    let gone = ended(&mut reads.program("sh", &[&script("check.sh")])?)?;
    assert!(gone.code == Some(1) && gone.stderr.contains("\"couchcopy-1\" not found"), "{gone:?}");

    // Where the old ones cannot be removed, there are no new ones.
    let refused = ended(&mut reads.program("sh", &[&script("take.sh")])?)?;
    assert!(refused.code == Some(1) && !refused.stdout.contains("created"), "{refused:?}");
    Ok(())
}

/// With the configuration of the manifest, three directories are saved as three nodes.
#[test]
fn the_configuration_saves_the_directories() -> Result<()> {
    let cluster = fixtures::four_nodes()?;
    let mut configuration = configuration_in(&std::fs::read_to_string(MANIFEST)?)
        .replace("/keys/", "{home}/")
        .replace("/state/", "{home}/state/")
        .replace("s3://backups/couchdb", "{home}/repository");
    for (number, node) in cluster.nodes.iter().take(3).enumerate() {
        let name = format!("couchdb@couchdb-couchdb-{number}.couchdb-couchdb.couchdb.svc.cluster.local");
        let path = format!("/nodes/couchdb-couchdb-{number}");
        configuration =
            configuration.replace(&name, &node.name).replace(&path, &node.data.display().to_string());
    }
    let site = Site::new(&configuration)?;
    let repository = site.path("repository").display().to_string();
    let key = site.path("host.key").display().to_string();
    let init = ["repo", "init", "--recipient", RECIPIENT, "--host-key", &key, &repository];
    site.couchcopy.expect(0, &init)?;
    let first = site.couchcopy.json(&["run"])?;
    let backup = &first["runs"][0]["steps"][0]["result"];
    let names: Vec<_> = cluster.nodes.iter().take(3).map(|node| node.name.as_str()).collect();
    assert_eq!(backup["nodes"], serde_json::json!(names), "{first}");
    assert_eq!(backup["problems"], serde_json::json!([]), "{first}");

    // The snapshot of a node was taken before a database was made, that of another node after it.
    for range in std::fs::read_dir(cluster.nodes[1].data.join("shards"))? {
        for file in std::fs::read_dir(range?.path())? {
            let file = file?.path();
            if file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("purged.")) {
                std::fs::remove_file(file)?;
            }
        }
    }
    let second = site.couchcopy.json(&["run"])?;
    let later = &second["runs"][0]["steps"][0]["result"];
    assert_eq!((&later["documents"], &later["problems"]), (&backup["documents"], &backup["problems"]));
    assert_eq!(later["in_repository"]["parent"], backup["in_repository"]["id"], "{second}");

    let identity = site.path("identity").display().to_string();
    std::fs::write(&identity, IDENTITY)?;
    std::fs::set_permissions(&identity, std::fs::Permissions::from_mode(0o600))?;
    site.couchcopy.expect(0, &["verify", "--identity", &identity, &format!("{repository}::latest")])?;
    assert_eq!(site.couchcopy.json(&["health"])?["status"], "OK");
    Ok(())
}
