//! Configurations with and without mistakes.

use std::collections::BTreeSet;

use super::*;
use crate::shape::{Key, Table};
use crate::{Configuration, schema};

const GOOD: &str = r#"
state_dir = "state"

[cluster.prod]
repository = "main"
with_config = true

[cluster.prod.defaults]
via = ["ssh:user=backup", { plugin = "sudo" }]
user = "backup"
password_file = "prod.password"

[[cluster.prod.node]]
name = "couchdb@10.0.0.1"
host = "db1.example.com"
data = "/opt/couchdb/data"

[[cluster.prod.node]]
host = "localhost"
data = "/srv/couchdb"
via = []

[repository.main]
location = "s3://backups/couchdb/"
keep = { daily = 14, within = "7d" }
verify = "5%"
store = { region = "eu-central-1", limit_rate = "20M" }

[repository.disk]
location = "backups"

[health]
max_age = "26h"

[hooks]
on_failure = ["alert", "couchcopy"]
"#;

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("couchcopy.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn found(text: &str) -> Vec<String> {
    let (folder, path) = file(text);
    let prefix = format!("{}/", folder.path().display());
    let mistakes = mistakes(&path).unwrap().mistakes;
    mistakes.iter().map(|mistake| mistake.to_string().replace(&prefix, "")).collect()
}

#[test]
fn what_it_says_is_read() {
    let (folder, path) = file(GOOD);
    let base = folder.path();
    let configuration = Configuration::read(&path).unwrap();
    let cluster = configuration.cluster(None).unwrap();
    assert_eq!(
        (cluster.name.as_str(), cluster.nodes.nodes.len(), cluster.table.with_config),
        ("prod", 2, true)
    );
    let [first, second] = &cluster.nodes.nodes[..] else { panic!("{cluster:?}") };
    assert_eq!(first.http.password_file, Some(base.join("prod.password")));
    assert_eq!((first.via.len(), second.via.len(), second.id.host.as_deref()), (2, 0, None));
    let repository = configuration.repository(Some(&cluster)).unwrap();
    assert_eq!(repository.location.to_string(), "s3://backups/couchdb/");
    assert_eq!(repository.table.keep.policy().within, Some(604_800));
    assert_eq!(repository.table.verify.map(|share| share.0), Some(0.05));
    assert_eq!(configuration.state_dir(), Some(base.join("state")));
    // With the location of a repository comes everything that belongs to it.
    for text in ["s3://backups/couchdb", "s3://backups/couchdb::latest"] {
        let location = text.parse().unwrap();
        assert_eq!(configuration.repository_at(&location).unwrap().name, "main", "{text}");
    }
    let location = base.join("backups").into();
    assert_eq!(configuration.repository_at(&location).unwrap().name, "disk");
    assert!(configuration.repository_at(&"s3://backups/other".parse().unwrap()).is_none());
    for failure in
        [configuration.cluster(Some("test")).unwrap_err(), configuration.repository(None).unwrap_err()]
    {
        assert!(failure.remedy().is_some(), "{failure}");
    }
}

#[test]
fn a_cluster_file_is_a_part_of_it() {
    let (folder, path) = file("[cluster.prod]\nfile = 'sub/prod.toml'\n[repository.main]\nlocation = '/b'\n");
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    let cluster_file = folder.path().join("sub/prod.toml");
    let text =
        "[defaults]\nca = 'ca.pem'\n[[node]]\nhost = 'localhost'\ndata = '/d'\n[store]\nregion = 'x'\n";
    std::fs::write(&cluster_file, text).unwrap();
    let cluster = Configuration::read(&path).unwrap().cluster(Some("prod")).unwrap();
    assert_eq!(cluster.nodes.nodes[0].http.ca, Some(folder.path().join("sub/ca.pem")));
    assert_eq!(cluster.store.unwrap().region.as_deref(), Some("x"));
    let listed = mistakes(&path).unwrap().mistakes;
    assert!(listed.len() == 1 && listed[0].problem.contains("ca.pem") && listed[0].line == 2, "{listed:?}");
    std::fs::write(folder.path().join("sub/ca.pem"), "").unwrap();
    std::fs::write(&cluster_file, "[[node]]\nhots = 'x'\n").unwrap();
    let listed = mistakes(&path).unwrap().mistakes;
    assert!(listed.len() == 1 && listed[0].problem.contains("did you mean host?"), "{listed:?}");
    assert_eq!((&listed[0].file, listed[0].line, listed[0].column), (&cluster_file, 2, 1));
}

#[test]
fn every_mistake_has_its_line_and_column() {
    let text = "stat_dir = 'x'\n[cluster.prod]\nrepositry = 'main'\nwith_config = 'yes'\n[[cluster.prod.node]]\nhost = 3\n\
                url = 'db1'\nvia = ['ssh', { host = 'x' }]\n  [repository.main]\n  keep = { daily = -1, within = '7' }\n\
                [hooks]\non_start = 'echo'\nzebra = 1\n";
    assert_eq!(
        found(text),
        [
            "couchcopy.toml:1:1: stat_dir: unknown key; did you mean state_dir?",
            "couchcopy.toml:3:1: cluster.prod.repositry: unknown key; did you mean repository?",
            "couchcopy.toml:4:15: cluster.prod.with_config: expected true or false, found a string",
            "couchcopy.toml:6:8: cluster.prod.node[0].host: expected a text: any text, found an integer",
            "couchcopy.toml:7:7: cluster.prod.node[0].url: a node's url must be http://HOST[:PORT] or https://HOST[:PORT], \
             without a name and password",
            "couchcopy.toml:8:15: cluster.prod.node[0].via[1]: the key plugin is missing: the name or path of a plugin",
            "couchcopy.toml:9:15: repository.main: the key location is missing: a text: a directory, s3://BUCKET/KEY, \
             gs://BUCKET/KEY or az://CONTAINER/KEY",
            "couchcopy.toml:10:20: repository.main.keep.daily: expected a number from 0 to 4294967295",
            "couchcopy.toml:10:33: repository.main.keep.within: \"7\" is not a duration: write, for example, 90s, 24h or 7d",
            "couchcopy.toml:12:12: hooks.on_start: expected a list of words, the program first, found a string",
            "couchcopy.toml:13:1: hooks.zebra: unknown key; known are on_start, on_success, on_failure, timeout",
        ]
    );
}

#[test]
fn what_does_not_fit_together_is_a_mistake() {
    let text = "[cluster.a]\nrepository = 'x'\nfile = 'a.toml'\n[cluster.b]\nconfig_dir = ['/e']\n\
                [[cluster.b.node]]\nname = 'n@h'\n[[cluster.b.node]]\nname = 'n@h'\n\
                [repository.m]\nlocation = '/b'\nidentity = ['key.txt']\n[repository.n]\nlocation = '/b/'\n";
    let found = found(text);
    for (line, problem) in [
        ("1:10", "no repository is called x; known are: m, n"),
        ("3:8", "a.toml"),
        ("4:10", "there are several repositories"),
        ("4:10", "config_dir has no effect"),
        ("4:10", "occurs twice"),
        ("12:13", "key.txt"),
        ("13:13", "another repository has the location /b"),
    ] {
        let place = format!("couchcopy.toml:{line}: ");
        assert!(
            found.iter().any(|one| one.starts_with(&place) && one.contains(problem)),
            "{line} {problem}: {found:#?}"
        );
    }
    assert_eq!(found.len(), 7, "{found:#?}");
    let syntax = self::found("[a\nb = \n");
    assert!(!syntax.is_empty() && syntax[0].starts_with("couchcopy.toml:1:"), "{syntax:?}");
}

#[test]
fn a_command_refuses_a_file_with_a_mistake() {
    let (_folder, path) = file("[health]\nmax_agee = '1d'\nx = 1\n");
    let failure = Configuration::read(&path).unwrap_err();
    assert_eq!(failure.code().to_string(), "CC-M01");
    let message = failure.to_string();
    assert!(message.contains("couchcopy.toml:2:1: ") && message.contains("(and 1 more)"), "{message}");
}

/// The keys that serde accepts in a table, as its message for another key lists them.
fn accepted(error: &str) -> BTreeSet<String> {
    let list = error.split("expected").nth(1).unwrap_or_else(|| panic!("{error}"));
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_tables_of_keys_are_what_is_read() {
    let of_document = |text: &str| toml::from_str::<Document>(text).unwrap_err().message().to_owned();
    let of_cluster = |text: &str| ClusterFile::of_table(text.parse().unwrap()).unwrap_err();
    for (table, error) in [
        (&keys::CONFIGURATION, of_document("zz = 1")),
        (&keys::CLUSTER, of_document("[cluster.a]\nzz = 1")),
        (&keys::REPOSITORY, of_document("[repository.a]\nzz = 1")),
        (&keys::KEEP, of_document("[repository.a]\nlocation = ''\nkeep = { zz = 1 }")),
        (&keys::STORE, of_document("[repository.a]\nlocation = ''\nstore = { zz = 1 }")),
        (&keys::HEALTH, of_document("[health]\nzz = 1")),
        (&keys::HOOKS, of_document("[hooks]\nzz = 1")),
        (&keys::CLUSTER_FILE, of_cluster("zz = 1")),
        (&keys::DEFAULTS, of_cluster("[defaults]\nzz = 1")),
        (&keys::NODE, of_cluster("[[node]]\nzz = 1")),
    ] {
        let known: BTreeSet<String> = table.keys.iter().map(|key| key.name.to_owned()).collect();
        assert_eq!(accepted(&error), known, "{}: {error}", table.doc);
    }
}

/// A text with one key, and what its table needs.
fn with(table: &Table, key: &Key) -> String {
    let required = table.keys.iter().filter(|other| other.is_required && other.name != key.name);
    let lines = required.chain([key]).map(|key| format!("{} = {}", key.name, key.example));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_key_with_its_example_can_be_read() {
    let node = "node = [{ host = 'localhost' }]\n";
    for (table, heading) in [
        (&keys::CONFIGURATION, ""),
        (&keys::CLUSTER, "[cluster.a]\n"),
        (&keys::REPOSITORY, "[repository.a]\n"),
        (&keys::KEEP, "[repository.a]\nlocation = '/b'\n[repository.a.keep]\n"),
        (&keys::STORE, "[repository.a]\nlocation = '/b'\n[repository.a.store]\n"),
        (&keys::HEALTH, "[health]\n"),
        (&keys::HOOKS, "[hooks]\n"),
    ] {
        for key in table.keys {
            let text = format!("{heading}{}\n", with(table, key));
            let path = Path::new("x");
            let examination = Examination::of(path, &text, &keys::CONFIGURATION);
            assert_eq!(examination.mistakes, [], "{text}");
            toml::from_str::<Document>(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }
    for (table, heading) in [
        (&keys::CLUSTER_FILE, node),
        (&keys::DEFAULTS, "[[node]]\n[defaults]\n"),
        (&keys::NODE, "[[node]]\n"),
    ] {
        for key in table.keys {
            let heading = if key.name == "node" { "" } else { heading };
            let text = format!("{heading}{}\n", with(table, key));
            let examination = Examination::of(Path::new("x"), &text, &keys::CLUSTER_FILE);
            assert_eq!(examination.mistakes, [], "{text}");
            ClusterFile::of_table(text.parse().unwrap()).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }
}

#[test]
fn the_schema_has_every_key() {
    let schema = schema();
    let keep = &schema["properties"]["repository"]["additionalProperties"]["properties"]["keep"];
    assert_eq!(keep["properties"].as_object().unwrap().len(), keys::KEEP.keys.len());
    assert_eq!(
        schema["properties"]["repository"]["additionalProperties"]["required"],
        serde_json::json!(["location"])
    );
    let node = &schema["properties"]["cluster"]["additionalProperties"]["properties"]["node"]["items"];
    assert_eq!(node["additionalProperties"], false);
    assert!(node["properties"]["via"]["items"]["anyOf"].is_array(), "{node}");
}
