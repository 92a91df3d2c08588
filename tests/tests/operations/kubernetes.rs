//! The manifest, and the roles that the documentation shows, with an API server of Kubernetes.

use std::collections::BTreeSet;

use couchcopy_tests::Result;
use couchcopy_tests::isolated::Couchcopy;
use couchcopy_tests::kubernetes::ApiServer;

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/kubernetes/couchcopy.yaml");
const SERVICES: &str = include_str!("../../../docs/services.md");

/// All that every account may do: learn of itself.
const EVERYBODY: [&str; 3] = [
    "selfsubjectaccessreviews.authorization.k8s.io [] [create]",
    "selfsubjectreviews.authentication.k8s.io [] [create]",
    "selfsubjectrulesreviews.authorization.k8s.io [] [create]",
];

/// A namespace at the strictest level of Pod Security, with everything of a manifest in it. `None` without an API server.
pub(crate) fn with(manifest: &str) -> Result<Option<ApiServer>> {
    let Some(server) = ApiServer::start()? else { return Ok(None) };
    server.kubectl(&["create", "namespace", "couchdb"])?.success()?;
    let level = |mode: &str| format!("pod-security.kubernetes.io/{mode}=restricted");
    server.kubectl(&["label", "namespace", "couchdb", &level("enforce"), &level("warn")])?.success()?;
    apply(&server, manifest)?;
    Ok(Some(server))
}

/// Applies a file, with the server as strict as it can be.
pub(crate) fn apply(server: &ApiServer, file: &str) -> Result<String> {
    server.kubectl(&["apply", "--validate=strict", "--warnings-as-errors", "-f", file])?.success()
}

/// What an account may do with resources in a namespace: each with the names it is limited to, and the verbs.
pub(crate) fn rights(server: &ApiServer, account: &str, namespace: &str) -> Result<BTreeSet<String>> {
    let account = format!("system:serviceaccount:couchdb:{account}");
    let mut asked =
        vec!["auth", "can-i", "--list", "--no-headers", "--namespace", namespace, "--as", &account];
    asked.extend(["--as-group=system:serviceaccounts", "--as-group=system:authenticated"]);
    let listed = server.kubectl(&asked)?.success()?;
    let resources = listed.lines().filter(|line| !line.starts_with(' '));
    // Of its columns, the second is for what is no resource.
    Ok(resources
        .map(|line| {
            let (what, rest) = line.split_once(" []").unwrap_or((line, ""));
            format!("{} {}", what.trim(), rest.split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect())
}

pub(crate) fn everybody_and(more: &[String]) -> BTreeSet<String> {
    EVERYBODY.iter().map(|&right| right.to_owned()).chain(more.iter().cloned()).collect()
}

#[test]
fn the_manifest_is_accepted_and_its_role_allows_nothing_more() -> Result<()> {
    let Some(server) = with(MANIFEST)? else { return Ok(()) };
    let told = apply(&server, MANIFEST)?;
    assert_eq!(told.lines().filter(|line| line.ends_with(" unchanged")).count(), 6, "{told}");

    // A server that would accept anything shows nothing.
    let text = std::fs::read_to_string(MANIFEST)?;
    let folder = tempfile::tempdir()?;
    let wrong = folder.path().join("wrong.yaml").display().to_string();
    for (right, mistake, complaint) in [
        ("concurrencyPolicy:", "concurencyPolicy:", "unknown field"),
        ("drop: [\"ALL\"]", "drop: [\"CHOWN\"]", "unrestricted capabilities"),
    ] {
        std::fs::write(&wrong, text.replace(right, mistake))?;
        let refused = apply(&server, &wrong).map_or_else(|e| e.to_string(), |told| format!("taken: {told}"));
        assert!(refused.contains(complaint), "{refused}");
    }

    let pods = (0..3).flat_map(|number| {
        let name = format!("[couchdb-couchdb-{number}]");
        [format!("pods {name} [get]"), format!("pods/exec {name} [create get]")]
    });
    assert_eq!(rights(&server, "couchcopy", "couchdb")?, everybody_and(&pods.collect::<Vec<_>>()));
    for elsewhere in ["default", "kube-system"] {
        assert_eq!(rights(&server, "couchcopy", elsewhere)?, everybody_and(&[]), "{elsewhere}");
    }
    Ok(())
}

/// With the account of the manifest, commands get as far as the node of a pod, which is not there.
#[test]
fn commands_get_into_the_pods_of_the_manifest() -> Result<()> {
    let Some(server) = with(MANIFEST)? else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    for name in ["couchdb-couchdb-2", "couchdb-couchdb-3"] {
        let pod = serde_json::json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "couchdb"},
            "spec": {
                "serviceAccountName": "couchcopy",
                "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{"name": "couchdb", "image": "couchdb", "securityContext":
                    {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
            },
        });
        let file = folder.path().join("pod.json");
        std::fs::write(&file, pod.to_string())?;
        apply(&server, &file.display().to_string())?;
    }
    let couchcopy = Couchcopy::at_home(folder.path(), server.environment_of("couchdb", "couchcopy")?);
    for (pod, complaint) in [
        ("couchdb-couchdb-2", "does not have a host assigned"),
        ("couchdb-couchdb-3", "cannot get resource \"pods\""),
    ] {
        let plugin = format!("kubernetes:pod={pod},container=couchdb");
        let told = couchcopy.run(&["plugin", "run", &plugin, "exec", "localhost", "--", "true"])?;
        assert!(told.code != Some(0) && told.stderr.contains(complaint), "{told:?}");
    }
    Ok(())
}

/// The role in `docs/services.md` is enough for the service plugin.
#[test]
fn the_documented_role_lets_the_set_be_scaled() -> Result<()> {
    let Some(server) = with(MANIFEST)? else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let role = folder.path().join("role.yaml");
    let block = SERVICES.lines().skip_while(|line| line.trim() != "```yaml").skip(1);
    let block: Vec<_> = block.take_while(|line| line.trim() != "```").collect();
    std::fs::write(&role, block.join("\n"))?;
    apply(&server, &role.display().to_string())?;
    let set = folder.path().join("set.json");
    std::fs::write(&set, SET)?;
    apply(&server, &set.display().to_string())?;
    for arguments in [
        &["serviceaccount", "scaler"][..],
        &["rolebinding", "scaler", "--role=couchcopy-service", "--serviceaccount=couchdb:scaler"],
    ] {
        server.kubectl(&[&["create", "--namespace=couchdb"], arguments].concat())?.success()?;
    }
    let name = "[couchdb-couchdb]";
    let needed = [
        "pods [] [list]".to_owned(),
        format!("statefulsets.apps {name} [get]"),
        format!("statefulsets.apps/scale {name} [patch]"),
    ];
    assert_eq!(rights(&server, "scaler", "couchdb")?, everybody_and(&needed));

    let couchcopy = Couchcopy::at_home(folder.path(), server.environment_of("couchdb", "scaler")?);
    // Nobody makes pods here: a start waits for them in vain, and the set shall have them all the same.
    for (action, code, replicas) in [("status", 0, "0"), ("start", 8, "3"), ("stop", 0, "0")] {
        let plugin = "kubernetes:statefulset=couchdb-couchdb,replicas=3,timeout=1";
        let ended = couchcopy.expect(code, &["service", action, "localhost", "--service", plugin])?;
        let asked = [
            "get",
            "statefulset",
            "couchdb-couchdb",
            "--namespace=couchdb",
            "--output=jsonpath={.spec.replicas}",
        ];
        assert_eq!(server.kubectl(&asked)?.success()?, replicas, "{action}: {ended:?}");
    }
    Ok(())
}

/// A set without pods, as nobody makes them.
const SET: &str = r#"{
  "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "couchdb-couchdb", "namespace": "couchdb"},
  "spec": {
    "replicas": 0, "serviceName": "couchdb-couchdb", "selector": {"matchLabels": {"app": "couchdb"}},
    "template": {
      "metadata": {"labels": {"app": "couchdb"}},
      "spec": {
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "couchdb", "image": "couchdb", "securityContext":
          {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]
      }
    }
  }
}"#;
