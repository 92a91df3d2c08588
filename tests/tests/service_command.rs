//! `couchcopy service` and `couchcopy plugin`: which plugins nodes take, and what users are told.

use std::fs;
use std::path::Path;
use std::process::Command;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Ended, binary, run};
use serde_json::{Value, from_str};
use tempfile::TempDir;

/// couchcopy with folders of its own.
struct Home(TempDir);

impl Home {
    fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn couchcopy(&self, arguments: &[&str]) -> Result<Ended> {
        let mut command = Command::new(binary()?);
        for name in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
            command.env_remove(name);
        }
        run(command.env("HOME", self.path()).current_dir(self.path()).args(arguments))
    }

    fn json(&self, arguments: &[&str]) -> Result<Value> {
        Ok(from_str(&self.couchcopy(&[arguments, &["--json"]].concat())?.success()?)?)
    }

    /// A cluster of two nodes on this machine, whose service is a file that is there or not.
    fn cluster(&self) -> Result<String> {
        let path = self.path().join("cluster.toml");
        let service = |name: &str| {
            let file = self.path().join(name).display().to_string();
            format!(
                "service = {{ plugin = \"command\", start = [\"touch\", \"{file}\"], stop = [\"rm\", \"{file}\"], \
                 status = [\"sh\", \"-c\", \"test -e '{file}' || exit 3\"] }}"
            )
        };
        let text = format!(
            "[[node]]\nname = \"couchdb@a\"\n{}\n[[node]]\nname = \"couchdb@b\"\nhost = \"localhost\"\n{}\n",
            service("a is up"),
            service("b is up")
        );
        fs::write(&path, text)?;
        Ok(path.display().to_string())
    }
}

fn states(told: &Value) -> Vec<(String, String)> {
    let text = |node: &Value, key: &str| node[key].as_str().unwrap_or_default().to_owned();
    told.as_array().into_iter().flatten().map(|node| (text(node, "node"), text(node, "state"))).collect()
}

#[test]
fn the_nodes_of_a_cluster_file_have_plugins_of_their_own() -> Result<()> {
    let home = Home::new()?;
    let cluster = home.cluster()?;
    let service = |action: &str, nodes: &[&str]| -> Result<Vec<(String, String)>> {
        Ok(states(&home.json(&[&["service", action], nodes, &["--cluster", &cluster]].concat())?))
    };
    let pair = |a: &str, b: &str| vec![("couchdb@a".into(), a.into()), ("couchdb@b".into(), b.into())];
    assert_eq!(service("status", &[])?, pair("stopped", "stopped"));
    assert_eq!(service("start", &["couchdb@b"])?, [("couchdb@b".to_owned(), "running".to_owned())]);
    assert_eq!(service("status", &[])?, pair("stopped", "running"));
    assert!(home.path().join("b is up").exists());
    service("stop", &[])?;
    assert_eq!(service("status", &[])?, pair("stopped", "stopped"));

    let unknown = home.couchcopy(&["service", "status", "couchdb@c", "--cluster", &cluster])?;
    assert_eq!(unknown.code, Some(5));
    assert!(unknown.stderr.contains("couchdb@a, couchdb@b"), "{}", unknown.stderr);
    Ok(())
}

#[test]
fn a_mistake_in_the_cluster_file_is_told() -> Result<()> {
    let home = Home::new()?;
    let path = home.path().join("c.toml");
    for (text, told) in [
        ("[[node]]\nnmae = \"couchdb@a\"\n", "nmae"),
        ("[[node]]\nname = \"couchdb@a\"\nservice = { plugin = \"systemd\", unti = \"x\" }\n", "unit"),
        ("[[node]]\nname = \"couchdb@a\"\nservice = \"kubernetes\"\n", "replicas"),
    ] {
        fs::write(&path, text)?;
        let ended = home.couchcopy(&["service", "status", "--cluster", "c.toml"])?;
        assert_eq!(ended.code, Some(5), "{text}");
        assert!(ended.stderr.contains(told), "{text}: {}", ended.stderr);
    }
    Ok(())
}

#[test]
fn the_flags_of_the_python_tool_work() -> Result<()> {
    let home = Home::new()?;
    let (start, stop) = ("touch up", "sh -c 'rm up && touch \"was down\"'");
    let with = |action: &str| {
        home.couchcopy(&["service", action, "localhost", "--couchdb-start", start, "--couchdb-stop", stop])
    };
    with("start")?.success()?;
    assert!(home.path().join("up").exists());
    with("stop")?.success()?;
    assert!(home.path().join("was down").exists());
    assert!(with("status")?.success()?.starts_with("unknown"));
    let both = home.couchcopy(&[
        "service",
        "start",
        "localhost",
        "--service",
        "runit",
        "--couchdb-start",
        start,
        "--couchdb-stop",
        stop,
    ])?;
    assert_eq!(both.code, Some(5));
    let one = home.couchcopy(&["service", "start", "localhost", "--couchdb-start", start])?;
    assert_eq!(one.code, Some(2));
    Ok(())
}

#[test]
fn every_built_in_plugin_is_listed_and_shown() -> Result<()> {
    let home = Home::new()?;
    let list = home.json(&["plugin", "list"])?;
    let plugins = list["plugins"].as_array().ok_or("no list")?;
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/dist");
    assert_eq!(plugins.len(), fs::read_dir(dist)?.count());
    assert_eq!(list["failures"].as_array().map(Vec::len), Some(0));
    for plugin in plugins {
        let name = plugin["name"].as_str().ok_or("no name")?;
        assert_eq!(plugin["granted"], Value::Bool(true), "{name}");
        assert!(plugin["bytes"].as_u64().is_some_and(|bytes| bytes <= 100_000), "{plugin}");
        let shown = home.couchcopy(&["plugin", "show", name])?.success()?;
        let commands = if name == "anonymise" { "It runs no commands." } else { "Commands that it may" };
        assert!(shown.contains("It is built in.") && shown.contains(commands), "{shown}");
    }
    let missing = home.couchcopy(&["plugin", "show", "nosuch"])?;
    assert_eq!(missing.code, Some(5));
    assert!(missing.stderr.contains("systemd"), "{}", missing.stderr);
    Ok(())
}

#[test]
fn a_new_plugin_refuses_bad_names_and_folders_that_exist() -> Result<()> {
    let home = Home::new()?;
    home.couchcopy(&["plugin", "new", "acme"])?.success()?;
    for path in ["acme/Cargo.toml", "acme/src/lib.rs", "acme/README.md"] {
        assert!(home.path().join(path).is_file(), "{path}");
    }
    for name in ["acme", "Acme", "../acme", "a b"] {
        assert_eq!(home.couchcopy(&["plugin", "new", name])?.code, Some(5), "{name}");
    }
    Ok(())
}
