//! The examples of plugins in other languages: built where their tools are in `PATH` or in the folders that
//! `COUCHCOPY_PLUGIN_TOOLS` names, then run through the command.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{binary, run, skipped};

/// An init script's front end that keeps its state in a file beside it.
const SERVICE: &str = r#"#!/bin/sh
[ "$1" = couch-x ] || exit 1
up=$(dirname "$0")/up
case $2 in
  start) touch "$up" ;;
  stop) rm -f "$up" ;;
  status) test -e "$up" || exit 3 ;;
  *) exit 2 ;;
esac
"#;

#[test]
fn examples_in_other_languages_build_and_work() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/examples/build");
    let search = env::var("PATH")?;
    let tools = match env::var("COUCHCOPY_PLUGIN_TOOLS") {
        Ok(folders) => format!("{folders}:{search}"),
        Err(_) => search.clone(),
    };
    let told = run(Command::new(script).arg(path("built")).env("PATH", tools))?.success()?;
    for line in told.lines().filter(|line| line.contains("SKIPPED")) {
        skipped(line);
    }

    fs::create_dir(path("bin"))?;
    fs::write(path("bin/service"), SERVICE)?;
    fs::set_permissions(path("bin/service"), fs::Permissions::from_mode(0o755))?;
    let couchcopy = |arguments: &[&str]| {
        let mut command = Command::new(binary()?);
        for name in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
            command.env_remove(name);
        }
        command.env("HOME", folder.path()).env("PATH", format!("{}:{search}", path("bin").display()));
        run(command.args(arguments))
    };
    for entry in fs::read_dir(path("built"))? {
        let file = entry?.path().display().to_string();
        let checked = couchcopy(&["plugin", "check", &file])?.success()?;
        assert!(checked.contains("world service-control, contract 0.1.0"), "{checked}");
        let refused = couchcopy(&["plugin", "run", &file, "status"])?;
        assert_eq!(refused.code, Some(5), "{file}: {}", refused.stderr);
        let reference = format!("{file}:service=couch-x");
        let does =
            |action: &str| couchcopy(&["plugin", "run", &reference, action, "--grant", &file])?.success();
        for (action, state) in [("status", "stopped"), ("start", "running"), ("start", "running")] {
            assert_eq!(does(action)?.trim(), state, "{file} {action}");
        }
        assert!(path("bin/up").exists(), "{file}");
        for (action, state) in [("status", "running"), ("stop", "stopped"), ("status", "stopped")] {
            assert_eq!(does(action)?.trim(), state, "{file} {action}");
        }
        assert!(!path("bin/up").exists(), "{file}");
    }
    Ok(())
}
